"""From a checkpoint to a packed model to restored files, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.engine import isas
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
