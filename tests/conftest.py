from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from PIL import Image
from skimage.data import astronaut, coffee

from bbnas.data import Dataset, load_dataset
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.presets import PRESETS, load_design
from bbnas.protocol import PROTOCOLS
from bbnas.recipe import Recipe
from bbnas.space import load_space
from bbnas.study import Candidate, Study, StudyConfig
from bbnas.tasks import Part, get_task

# quick.py and tabled.py are imported by name, here as in Ray's workers.
sys.path.insert(0, str(Path(__file__).parent / "helpers"))

# One thread a process, as search workers run: tests may share a small machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; a handler they do
# not inherit, so the programs that the tests interrupt can be.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is no failure.
settings.register_profile(
    "bbnas",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
settings.load_profile("bbnas")

PROXY = PROTOCOLS["proxy"]
PIXELS = 320 * 180


def convolutions(design: Design) -> dict[Part, list[tuple[int, int]]]:
    """SRResNet ×4 by hand: per part, (weights, LQ pixels they are applied to)."""
    n, body = design.width, 9 * design.width**2
    return {
        Part.HEAD: [(9 * 3 * n, PIXELS)],
        Part.BODY: [(body, PIXELS)] * design.depth,
        Part.UPSAMPLING: [(4 * body, PIXELS), (4 * body, 4 * PIXELS), (body, 16 * PIXELS)],
        Part.TAIL: [(9 * 3 * n, 16 * PIXELS)],
    }


def synthetic_psnr(design: Design) -> float:
    """A plausible proxy: what the paper found, in dB, with width and depth."""
    psnr = 26.5 + 0.25 * np.log2(design.width / 64) + 0.1 * np.log2(design.depth / 32)
    losses = {Part.HEAD: 0.05, Part.BODY: 0.20, Part.UPSAMPLING: 0.02, Part.TAIL: 0.80}
    psnr -= sum(losses[part] for part in design.binarize)
    if design.binarize:
        psnr -= {"none": 0.0, "batchnorm": 0.4}[design.norm]
        off = 4.0 if design.k_ratio is None else abs(np.log2(design.k_ratio))
        psnr -= 0.015 * off**2
        psnr -= {"rprelu": 0, "prelu": 0.02, "relu": 0.08, "hardtanh": 0.2, "none": 0.1}[
            design.activation
        ]
        psnr -= 0.0 if design.weight_scale else 0.1
        if design.binary(Part.BODY):
            psnr -= (
                0.5 if design.convs_per_residual == 0 else 0.02 * design.convs_per_residual**0.5
            )
    return float(psnr)


def random_design(rng: np.random.Generator) -> Design:
    def pick(*choices):  # type: ignore[no-untyped-def]
        return choices[rng.integers(len(choices))]

    return Design(
        binarize=tuple(part for part in Part if rng.random() < 0.5),
        norm=pick("none", "batchnorm"),
        k_ratio=pick(None, *(2.0**e for e in range(-6, 7))),
        activation=pick("rprelu", "prelu", "relu", "hardtanh", "none"),
        activation_position=pick("after_addition", "residual_branch"),
        convs_per_residual=pick(0, 1, 2, 4, 8, 16, 32),
        weight_scale=pick(True, False),
        estimator=pick("clip", "quadratic", "ede"),
        width=pick(16, 32, 48, 64),
        depth=pick(16, 32),
    ).canonical()


@pytest.fixture(scope="session")
def evaluated() -> Callable[..., Evaluation]:
    """An Evaluation with figures that nobody trained for."""

    def make(design: Design, psnr: float | None = None, **changes: object) -> Evaluation:
        fp = {p: sum(w * pixels for w, pixels in cs) for p, cs in convolutions(design).items()}
        weights = {p: sum(w for w, _ in cs) for p, cs in convolutions(design).items()}
        psnr = synthetic_psnr(design) if psnr is None else psnr
        iterations = range(0, PROXY.iterations + 1, 5)
        evaluation = Evaluation(
            design=design,
            task="sr4",
            protocol=PROXY,
            data="fingerprint",
            status="ok",
            psnr=psnr,
            ssim=0.5 + psnr / 100,
            ops=sum(v / (64 if design.binary(p) else 1) for p, v in fp.items()),
            params=sum(v / (32 if design.binary(p) else 1) for p, v in weights.items()),
            seconds=4.2,
            curve=tuple((i, 0.02 + (27 - psnr) / 100 + 0.1 * 0.98**i) for i in iterations),
            environment={"python": "3.11.2", "torch": "2.13.0", "device": "cpu"},
        )
        return replace(evaluation, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def synthetic_study(evaluated: Callable[..., Evaluation]) -> Callable[..., Study]:
    """A plausible finished study of distinct random designs, some of which diverged."""

    def make(
        candidates: int = 200,
        seed: int = 0,
        noise: float = 0.02,
        diverged: float = 0.04,
        baselines: tuple[str, ...] = (),
        references: bool = True,
        **config: object,
    ) -> Study:
        rng = np.random.default_rng(seed)
        designs = {PRESETS[name].canonical().key: PRESETS[name].canonical() for name in baselines}
        names = list(baselines)
        while len(designs) < candidates:
            design = random_design(rng)
            designs.setdefault(design.key, design)
        start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        found = []
        for number, design in enumerate(designs.values()):
            evaluation = evaluated(design, synthetic_psnr(design) + rng.normal(0, noise))
            if number >= len(names) and rng.random() < diverged:
                curve = (*evaluation.curve[:10], (50, float("nan")))
                lost = {"psnr": float("nan"), "ssim": float("nan"), "curve": curve}
                evaluation = replace(evaluation, status="diverged", error="loss is NaN", **lost)
            name = names[number] if number < len(names) else ""
            found.append(
                Candidate(number, evaluation, name, start + timedelta(seconds=4 * number))
            )
        singles = [Design(), *(Design(binarize=(part,), k_ratio=1.0) for part in Part)]
        settings = {
            "name": "first",
            "space": load_space("bbcu", get_task(str(config.get("task", "sr4")))),
            "task": "sr4",
            "protocol": PROXY,
            "data": "fingerprint",
            "data_description": "12 photographs, 9 to train and 3 to validate",
        }
        return Study(
            config=StudyConfig(**(settings | config)),  # type: ignore[arg-type]
            storage="sqlite:///studies/first.db",
            candidates=tuple(found),
            references=tuple(evaluated(d) for d in singles) if references else (),
            duplicates=17,
            rejected=3,
            created=start,
        )

    return make


@pytest.fixture(scope="session")
def methods_study() -> Callable[..., Study]:
    """A study of methods.yaml on one of the ten tasks; ``psnr`` (dB) is by (method, width)."""

    def make(
        psnr: dict[tuple[str, int], float], task: str = "denoise25", **config: object
    ) -> Study:
        candidates = []
        for number, ((method, width), value) in enumerate(psnr.items()):
            design = load_design(method, get_task(task)).replace(width=width).canonical()
            evaluation = Evaluation(
                design=design,
                task=task,
                protocol=PROXY,
                data="fingerprint",
                status="ok" if np.isfinite(value) else "diverged",
                psnr=value,
                ssim=value / 40,
                ops=1e5 * width**2,
                params=100.0 * width,
                seconds=2.0,
                curve=((100, 0.1), (500, 0.05)),
            )
            candidates.append(Candidate(number, evaluation))
        settings = {
            "name": "methods",
            "space": load_space("methods", get_task(task)),
            "task": task,
            "protocol": PROXY,
            "data": "fingerprint",
            "data_description": "12 photographs",
        }
        return Study(
            config=StudyConfig(**(settings | config)),  # type: ignore[arg-type]
            storage="sqlite:///studies/methods.db",
            candidates=tuple(candidates),
        )

    return make


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BBNAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten small photographs: crops of two that scikit-image ships."""
    folder = tmp_path_factory.mktemp("photographs")
    for name, image in (("astronaut", astronaut()), ("coffee", coffee())):
        for i in range(5):
            y, x = 40 * i, 80 * i
            Image.fromarray(image[y : y + 112, x : x + 120]).save(folder / f"{name}{i}.png")
    return folder


@pytest.fixture(scope="session")
def dataset(photographs: Path) -> Dataset:
    return load_dataset(photographs)


@pytest.fixture(scope="session")
def quick():  # type: ignore[no-untyped-def]
    """A protocol of a second or less."""
    return PROTOCOLS["proxy"].replace(
        name="quick",
        learning_rate=4e-3,
        depth_scale=0.0625,
        width_scale=0.125,
        iterations=60,
        batch=4,
        patch=32,
        validation_side=64,
        rungs=(),
    )


@pytest.fixture(scope="session")
def recipe(photographs: Path) -> Recipe:
    """A recipe of a second or two: a small BBCU-M, ×2, 60 iterations, three validations."""
    protocol = PROTOCOLS["paper"].replace(
        iterations=60,
        batch=2,
        patch=24,
        learning_rate=1e-3,
        halve_every=40,
        validate_every=20,
        validation_side=48,
    )
    design = PRESETS["bbcu-m"].replace(width=6, depth=3, k_ratio=1.0)
    return Recipe(design=design, task="sr2", protocol=protocol, data=str(photographs))


@pytest.fixture(scope="session")
def postgres():  # type: ignore[no-untyped-def]
    """A PostgreSQL server; tests that need one skip where it is not installed."""
    from postgres import Server

    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/a.db"
    return str(request.getfixturevalue("postgres").url())


@pytest.fixture
def tell(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    """Prints a row of the table of what was done and what was lost, past pytest's capture."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(row: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n| {row} |")

    return say


@pytest.fixture
def leaves_nothing():  # type: ignore[no-untyped-def]
    """The test must leave no process, no temporary folder and no shared memory."""
    from drivers import nothing_left

    with nothing_left():
        yield
