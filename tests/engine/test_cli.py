"""From a checkpoint to a packed model to restored files, by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.engine import isas
from bbnas.native import choose_isa
from bbnas.presets import load_design
from bbnas.tasks import get_task
from tests.engine.networks import assert_same_pixels, run, saved


@pytest.fixture(params=["sr2", "jpeg10"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    design = load_design("bbcu", get_task(request.param)).replace(width=8, depth=2)
    return saved(design, request.param, tmp_path)


def test_a_checkpoint_is_packed_and_restores(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.bbn"
    code, out, _ = run(capsys, "pack", checkpoint, "-o", model, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["bytes"] == model.stat().st_size
    assert sum(row["bytes"] for row in found["content"][:-1]) == found["bytes"]
    code, out, _ = run(capsys, "pack", checkpoint, "-o", model, "--explain")
    assert code == 0
    assert "1-bit weights" in out

    pixels = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    restored = []
    for source, folder in ((model, "packed"), (checkpoint, "network")):
        words = ("restore", tmp_path / "a.png", "--model", source, "-o", tmp_path / folder)
        words += ("--tile", 24)
        assert run(capsys, *words)[0] == 0
        with Image.open(tmp_path / folder / "a.png") as image:
            restored.append(np.asarray(image))
    assert_same_pixels(restored[0], restored[1])


WITHOUT_TORCH = """
import sys
import numpy as np
import bbnas.engine
from bbnas.cli import main

def check():
    assert not {"torch", "scipy"} & set(sys.modules)

assert main(["restore", "a.png", "--model", "m.bbn", "-o", "out", "--tile", "16"]) == 0
check()
assert main(["restore", "in", "--model", "m.bbn", "-o", "out", "--device", "cuda", "--json"]) == 0
check()
assert bbnas.restore("m.bbn", "a.png", "out")[0].output
check()
model = bbnas.engine.load("m.bbn")
image = np.zeros((20, 18, model.channels), np.uint8)
assert (model(image, tile=16) == model(image)).all()
check()
assert main(["profile", "m.bbn", "--lq", "9x8"]) == 0
check()
"""


@pytest.mark.skipif(not choose_isa(), reason="packed models run on torch here")
def test_a_packed_model_runs_without_torch(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "pack", checkpoint, "-o", tmp_path / "m.bbn")[0] == 0
    pixels = np.random.default_rng(0).integers(0, 256, (30, 41, 4), np.uint8)
    (tmp_path / "in").mkdir()
    for name in ("a.png", "in/b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )


def test_a_packed_model_restores_without_a_compiled_library(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(capsys, "pack", checkpoint, "-o", tmp_path / "m.bbn")
    pixels = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    restored = []
    for isa in ("torch", choose_isa()):
        monkeypatch.setenv("BBNAS_ISA", isa)
        words = (
            "restore",
            tmp_path / "a.png",
            "--model",
            tmp_path / "m.bbn",
            "-o",
            tmp_path / "out",
        )
        assert run(capsys, *words, "--tile", 24)[0] == 0
        with Image.open(tmp_path / "out" / "a.png") as image:
            restored.append(np.asarray(image))
    assert_same_pixels(restored[0], restored[1])


def test_bad_input_is_one_line(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.bbn"
    broken.write_bytes(checkpoint.read_bytes())
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    words = ("restore", tmp_path / "a.png", "--model", broken, "-o", tmp_path / "out")
    code, _, err = run(capsys, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "broken.bbn" in err
    assert run(capsys, "pack", checkpoint, "-o", tmp_path / "m.bbn")[0] == 0
    code, _, err = run(capsys, *words, "--model", tmp_path / "m.bbn", "--device", "gpu")
    assert (code, err) == (2, "error: unknown device 'gpu': choose auto, cpu, cuda or cuda:N\n")
    code, _, err = run(capsys, "pack", tmp_path / "none.safetensors", "-o", tmp_path / "x.bbn")
    assert (code, err.count("\n")) == (2, 1)


SMALL = ("--task", "sr2", "--lq", "24x16")


@pytest.mark.skipif(not isas(), reason="no compiled library")
def test_a_profile_is_a_table_a_page_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "profile.html"
    code, out, _ = run(capsys, "profile", "bbcu-m", *SMALL, "-o", page, "--inline")
    assert code == 0
    for words in ("24×16 LQ pixels, 1 thread", "1-bit convolution", "upsampling", "in all"):
        assert words in out
    html = page.read_text(encoding="utf-8")
    assert "<script src" not in html
    assert "Plotly.newPlot" in html
    code, out, _ = run(capsys, "profile", "bbcu-m", *SMALL, "--layers", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["setting"]["lq"] == [24, 16]
    layers = sum(layer["seconds"] for layer in found["layers"])
    assert sum(row["seconds"] for row in found["parts"]) == pytest.approx(layers)
    assert found["seconds"] == pytest.approx(layers)
    code, out, _ = run(capsys, "profile", "bbcu-m", *SMALL, "--layers")
    assert out.count("1-bit convolution") == 32 + 2


def test_a_cost_says_how_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "cost", "bbcu-m", *SMALL, "--latency", "--json")
    assert code == 0
    found = json.loads(out)["latency"]
    assert found["seconds"] == pytest.approx(found["ratio"] * found["reference"])
    assert found["setting"]["threads"] == 1
    code, out, _ = run(capsys, "cost", "bbcu-m", *SMALL, "--latency")
    assert "times the reference workload run beside it" in out
    code, _, err = run(capsys, "cost", "bbcu-m", "--latency", "--threads", "0")
    assert (code, err.count("\n")) == (2, 1)
