"""Commands in mid-work, ended by Ctrl-C and SIGTERM: the real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from drivers import abandoned
from PIL import Image

from bbnas.recipe import Recipe
from tests.cli.small import PROTOCOL, SPACE

# Seconds from the signal to the end; a machine on which other tests run is given one more.
LIMIT = 3 + 1


def started(folder: Path, command: str) -> subprocess.Popen[str]:
    """``command`` as a shell starts it: the first of a group of processes, and with a script's
    jobs, which have Ctrl-C ignored.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "bbnas", *command.split()],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # noqa: PLW1509
    )


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def names(process: subprocess.Popen[str]) -> list[str]:
    """What Ray's workers call themselves: by what they do."""
    found = []
    for worker in workers(process):
        with contextlib.suppress(psutil.Error):
            found.append(" ".join(worker.cmdline()))
    return [name for name in found if name.startswith("ray::")]


def aged(file: Path) -> bool:
    """Whether it was there a second ago."""
    return file.exists() and time.time() - file.stat().st_ctime > 1


def busy(process: subprocess.Popen[str]) -> bool:
    """Whether two workers compute."""
    return sum(worker.cpu_times().user > 0.5 for worker in workers(process)) >= 2


@dataclass(frozen=True)
class Case:
    """``begun`` tells from the folder and the process whether the work has."""

    command: str
    begun: Callable[[Path, subprocess.Popen[str]], bool]
    kept: str


CASES = {
    "pool": Case(
        "bench sampler --seeds 9 --contenders default --workers 2",
        lambda _, process: busy(process),
        "nothing is kept",
    ),
    "ray": Case(
        "search --space small.yaml --protocol long.yaml --workers 2 --name it",
        lambda _, process: any("train" in line for line in names(process)),
        "; the same command resumes",  # how many are kept, if it ends by itself in time
    ),
    "loop": Case(
        "fidelity --space small.yaml --protocol long.yaml --workers 1 --designs 5",
        lambda folder, _: aged(folder / "runs" / "fidelity.db"),
        "every training that ended is kept in sqlite:///runs/fidelity.db; the same command "
        "resumes",
    ),
    "checkpoints": Case(
        "train recipe.yaml -o run",
        lambda folder, _: (folder / "run" / "last.safetensors").exists(),
        "is kept in run/last.safetensors; --resume continues",
    ),
    "together": Case(
        "train recipe.yaml -o run --device cpu --workers 2",
        lambda folder, _: (folder / "run" / "last.safetensors").exists(),
        "is kept in run/last.safetensors; --resume continues",
    ),
    "engine": Case(
        "restore --model model.bbn small.png large.png -o restored",
        lambda folder, _: (folder / "restored" / "small.png").exists(),
        "the images that are in restored already are kept; the same command does all again",
    ),
    "threads": Case(
        "data prepare images",
        lambda folder, _: any((folder / "cache").rglob("*.lock")),
        "the files that are complete are kept; the same command makes the others",
    ),
    "peers": Case(
        "bench engine --cases unit --rounds 1000",
        lambda _, process: len(workers(process)) > 2,  # they start, which takes long
        "nothing is kept",
    ),
}


@pytest.fixture
def place(tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BBNAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SPACE))
    (tmp_path / "long.yaml").write_text(yaml.safe_dump(PROTOCOL | {"iterations": 1_000_000}))
    protocol = recipe.protocol.replace(iterations=1_000_000, validate_every=20)
    (tmp_path / "recipe.yaml").write_text(
        recipe.model_copy(update={"protocol": protocol}).to_yaml()
    )
    return tmp_path


def made(name: str, folder: Path) -> None:
    """What a case needs that takes time to make."""
    rng = np.random.default_rng(0)
    if name == "engine":
        from bbnas.engine import compile_network, write_program
        from bbnas.networks import build
        from bbnas.presets import load_design
        from bbnas.tasks import get_task

        task = get_task("sr4")
        network = build(load_design("bbcu-m", task), task).eval()
        write_program(compile_network(network, task), folder / "model.bbn")
        pixels = rng.integers(0, 256, (3000, 3000, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "large.png", compress_level=0)
        Image.fromarray(pixels[:32, :32]).save(folder / "small.png")
    if name == "threads":
        (folder / "images").mkdir()
        pixels = rng.integers(0, 256, (2000, 2000, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / "0.png")
        for number in range(1, 60):
            (folder / "images" / f"{number}.png").hardlink_to(folder / "images" / "0.png")


@pytest.mark.parametrize("name", CASES)
def test_a_signal_ends_a_command_in_mid_work(name: str, place: Path) -> None:
    case = CASES[name]
    if name == "peers":
        pytest.importorskip("openvino")
        pytest.importorskip("onnxruntime")
    made(name, place)
    # Every second case by the one, and all processes at once as a terminal does.
    number = (signal.SIGINT, signal.SIGTERM)[list(CASES).index(name) % 2]
    before = abandoned()
    process = started(place, case.command)
    deadline = time.monotonic() + 240
    while not case.begun(place, process):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    others = workers(process)
    begun = time.monotonic()
    for _ in range(2):
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        time.sleep(0.2)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < LIMIT
    assert process.returncode == 128 + number, err
    assert err.splitlines()[-1].startswith("interrupted: ")
    assert err.splitlines()[-1].endswith(case.kept)
    assert "Traceback" not in err
    assert "resource_tracker" not in err  # which would say that semaphores are left
    # Killed they are; on a busy machine that takes its time.
    _, left = psutil.wait_procs(others, timeout=2)
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []
    # Tests beside this one kill searches, whose folders go some seconds later.
    deadline = time.monotonic() + 15
    while left_folders := abandoned() - before:
        assert time.monotonic() < deadline, left_folders
        time.sleep(0.2)


def test_two_signals_while_a_command_starts(place: Path) -> None:
    for wait, number in (
        (0.3, signal.SIGINT),
        (0.7, signal.SIGTERM),
        (1.2, signal.SIGINT),
        (2.0, signal.SIGTERM),
    ):
        process = started(place, "search --space small.yaml --protocol long.yaml")
        time.sleep(wait)
        begun = time.monotonic()
        process.send_signal(number)
        time.sleep(0.3)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - begun < LIMIT
        assert process.returncode == 128 + number, err
        assert out == ""
        assert err.split(maxsplit=1)[0].startswith("interrupted")
        assert len(err.split("\n")) <= 3
