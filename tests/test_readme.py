"""README, run from its first command to its last, at small sizes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bbnas.searching import search
from bbnas.store import open_study

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="needs a source checkout")

# README's sizes and the ones that this test runs at; every one must occur.
SMALL = {
    "--budget 200": "--budget 60 --workers 1 --protocol quick.yaml",
    "budget=200": "budget=60, workers=1",
    'bbnas.PROTOCOLS["proxy"]': 'bbnas.protocol.load_protocol("quick.yaml")',
    "bbnas profile bbcu-m": "bbnas profile small.yaml",
}
# Installation is a test of its own (tests/test_wheel.py); here bbnas is on the path already.
INSTALLS = ("git clone", "make install", "source ")
PROTOCOL = """
name: quick
width_scale: 0.125
depth_scale: 0.0625
iterations: 30
batch: 4
patch: 48
learning_rate: 0.004
schedule: onecycle
validation_side: 64
noise: 0.0
"""
DESIGN = "binarize: [body]\nk_ratio: 1\nwidth: 16\ndepth: 2\n"


def blocks(language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def small(text: str) -> str:
    for size, smaller in SMALL.items():
        text = text.replace(size, smaller)
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a clone has that README's commands read, and bbnas on the path."""
    place = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "docs" / "sample", place / "docs" / "sample")
    (place / "quick.yaml").write_text(PROTOCOL)
    (place / "small.yaml").write_text(DESIGN)
    (place / "bin").mkdir()
    program = place / "bin" / "bbnas"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bbnas "$@"\n')
    program.chmod(0o755)
    return place


@pytest.fixture(scope="module")
def shell(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def commands(folder: Path, shell: dict[str, str]) -> Path:
    """The folder after every command of README."""
    for block in blocks("sh"):
        lines = [line for line in block.splitlines() if not line.startswith(INSTALLS)]
        done = subprocess.run(
            ["bash", "-e", "-c", small("\n".join(lines))],
            cwd=folder,
            env=shell,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return folder


@pytest.mark.timeout(400)
def test_every_command_runs(commands: Path) -> None:
    for made in (
        "studies/bbcu-sr4-s0.db",
        "reports/bbcu-sr4-s0.html",
        "recipes/bbcu-sr4-s0.yaml",
        "runs/bbcu-sr4-s0/best.safetensors",
        "restored/astronaut.png",
        "model.bbn",
        "packed/astronaut.png",
    ):
        assert (commands / made).is_file(), made


@pytest.mark.timeout(400)
def test_python_gives_the_study_of_the_command(commands: Path, shell: dict[str, str]) -> None:
    (block,) = blocks("python")
    program = "import bbnas.protocol\n" + small(block)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=commands,
        env=shell,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert (commands / "restored-mine" / "astronaut.png").is_file()

    def found(name: str) -> list[tuple[str, str, float, tuple[tuple[int, float], ...]]]:
        study = open_study(str(commands / "studies" / f"{name}.db"))
        rows = sorted(study.candidates, key=lambda c: c.number)
        own = [c.evaluation for c in (*rows,)] + list(study.confirmations)
        return [(e.design.key, e.status, e.psnr, e.rungs) for e in own]

    mine, theirs = found("mine"), found("bbcu-sr4-s0")
    assert repr(mine) == repr(theirs)


def test_readme_fits_and_its_sizes_are_made_small() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) < 200
    assert all(size in text for size in SMALL)
    assert search.__defaults__ is None  # every option of a search is named
