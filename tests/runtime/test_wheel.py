"""The wheel bbnas-runtime: small, and it restores a photograph where there is no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bbnas
from bbnas.native import build, isas
from bbnas.presets import load_design
from bbnas.tasks import get_task
from tests.engine.networks import run, saved
from tests.helpers.wheels import built_wheel

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs a source checkout"),
    pytest.mark.skipif(build.compiler() is None, reason="no compiler"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(ROOT / "bbnas" / "runtime", tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the wheel, numpy and Pillow alone."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "--quiet"]
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (site,) = folder.glob("lib/python*/site-packages")
    for name in ("numpy", "numpy.libs", "PIL", "pillow.libs"):
        here = Path(sysconfig.get_path("platlib")) / name
        if here.exists():
            (site / name).symlink_to(here)
    return folder / "bin"


def alone(program: Path, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    hidden = ("PYTHON", "BBNAS_", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    done = subprocess.run(
        [program, *map(str, words)],
        cwd=program.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done


def test_it_is_small_and_of_the_version_of_bbnas(wheel: Path) -> None:
    assert wheel.stat().st_size < 2e6
    assert wheel.name.startswith(f"bbnas_runtime-{bbnas.__version__}-py3-none-")


@pytest.mark.parametrize(("task", "mode"), [("sr2", "RGB"), ("jpeg10", "RGB"), ("jpeg10", "L")])
def test_it_restores_a_photograph_as_bbnas_does(
    scripts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, mode: str
) -> None:
    design = load_design("bbcu-m" if task == "sr2" else "bbcu", get_task(task))
    checkpoint = saved(design.replace(width=16, depth=3), task, tmp_path)
    model, photo = tmp_path / "m.bbn", tmp_path / "a.png"
    assert run(capsys, "pack", checkpoint, "-o", model)[0] == 0
    pixels = np.random.default_rng(0).integers(0, 256, (70, 101, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(photo)
    restored = []
    assert run(capsys, "restore", photo, "--model", model, "-o", tmp_path / "b.png")[0] == 0
    alone(scripts / "bbnas-run", model, photo, "-o", tmp_path / "c.png", "--tile", 32)
    for name in ("b.png", "c.png"):
        with Image.open(tmp_path / name) as image:
            assert image.mode == mode
            restored.append(np.asarray(image))
    assert np.array_equal(*restored)
    assert restored[0].std() > 1


def test_it_has_no_torch_and_times_itself(
    scripts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for absent in ("torch", "bbnas"):
        done = alone(scripts / "python", "-c", f"import {absent}", code=1)
        assert f"No module named '{absent}'" in done.stderr
    checkpoint = saved(
        load_design("bbcu", get_task("sr2")).replace(width=16, depth=2), "sr2", tmp_path
    )
    model = tmp_path / "m.bbn"
    assert run(capsys, "pack", checkpoint, "-o", model)[0] == 0
    words = ("--time", model, "--size", "40x30", "--runs", 3, "--threads", 1, "--json")
    found = json.loads(alone(scripts / "bbnas-run", *words).stdout)
    assert (found["size"], found["threads"], found["isa"]) == ([40, 30], 1, isas()[0])
    assert found["version"] == bbnas.__version__
    assert found["processor"]
    assert len(found["seconds"]) == 3
    kinds = [operation["kind"] for operation in found["operations"]]
    assert (kinds[0], kinds[-1], kinds.count("binary")) == ("input", "output", 2)
    parts = sum(operation["seconds"] for operation in found["operations"])
    assert 0 < parts < 3 * min(found["processor_seconds"])
    assert "binary" in alone(scripts / "bbnas-run", *words[:-1]).stdout


def test_bad_input_is_one_line_and_code_2(scripts: Path, tmp_path: Path) -> None:
    photo, model = tmp_path / "a.png", ROOT / "bbnas" / "models" / "sr4-small.bbn"
    Image.new("RGB", (8, 8)).save(photo)
    Image.new("RGBA", (8, 8)).save(tmp_path / "clear.png")
    (tmp_path / "half.bbn").write_bytes(model.read_bytes()[:50_000])
    out = tmp_path / "b.png"
    for words, said in (
        ((tmp_path / "no.bbn", photo, "-o", out), "No such file"),
        ((tmp_path, photo, "-o", out), "directory"),
        ((tmp_path / "half.bbn", photo, "-o", out), "50000 bytes of 100556"),
        ((photo, photo, "-o", out), "no .bbn file"),
        ((model, model, "-o", out), "cannot identify"),
        ((model, tmp_path / "clear.png", "-o", out), "RGBA"),
        ((model, photo, "-o", tmp_path / "b.txt"), "b.txt"),
        ((model, photo, "-o", tmp_path / "no" / "b.png"), "cannot be written"),
        ((model, photo), "-o OUTPUT"),
        ((model, photo, "-o", out, "--tile", 3), "--tile"),
        ((model, photo, "-o", out, "--threads", -1), "--threads"),
        ((model, photo, "-o", out, "--isa", "sse9"), "sse9"),
        (("--time", model, "--size", "3x0"), "3x0"),
        (("--time", model, "--size", "9000000x9000000"), "allocate"),
    ):
        done = alone(scripts / "bbnas-run", *words, code=2)
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("error: ")
        assert said in done.stderr
    assert not out.exists()
