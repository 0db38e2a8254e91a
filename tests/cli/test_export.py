from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.cli.small import PROTOCOL


def test_export_train_evaluate_restore(at_home, tmp_path) -> None:
    recipe = tmp_path / "mine.yaml"
    code, out, _ = at_home("export", "first", "--pick", "best-psnr", "-o", str(recipe))
    assert code == 0
    assert f"bbnas train {recipe}" in out
    assert "exists" in at_home("export", "first", "-o", str(recipe))[2]
    # Small enough for a test: what is exported is of full size.
    content = yaml.safe_load(recipe.read_text())
    assert content["protocol"]["iterations"] == 300_000
    content["design"] |= {"width": 8, "depth": 2}
    content["protocol"] |= {"batch": 2, "patch": 32, "validation_side": 64}
    recipe.write_text(yaml.safe_dump(content))

    folder = tmp_path / "run"
    train = ("train", str(recipe), "-o", str(folder), "--iterations", "4", "--device", "cpu")
    code, out, err = at_home(*train)
    assert code == 0
    assert "4 iterations" in out
    assert "4/4" in err
    assert "--resume" in at_home(*train)[2]
    code, out, _ = at_home(*train, "--resume", "--json")
    assert code == 0
    assert json.loads(out)["iteration"] == 4

    checkpoint = str(folder / "best.safetensors")
    images = tmp_path / "images"
    images.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (37, 53, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(images / "a.png")
    code, out, _ = at_home("evaluate", checkpoint, "--benchmark", str(images), "--json")
    assert code == 0
    (scores,) = json.loads(out)["benchmarks"]
    assert scores["benchmark"] == "images"
    assert [row["name"] for row in scores["images"]] == ["a.png"]
    assert scores["psnr"] == scores["images"][0]["psnr"]

    restored = tmp_path / "restored"
    code, out, _ = at_home("restore", str(images), "--model", checkpoint, "-o", str(restored))
    assert code == 0
    assert Image.open(restored / "a.png").size == (4 * 53, 4 * 37)

    # One bad file stops no other, and is told by the exit code.
    (images / "b.png").write_bytes(b"no image")
    again = tmp_path / "again"
    code, out, err = at_home("restore", str(images), "--model", checkpoint, "-o", str(again))
    assert code == 2
    assert (again / "a.png").exists()
    assert "b.png" in err
    assert err.splitlines()[-1] == "error: 1 of 2 images were skipped"

    (tmp_path / "half.safetensors").write_bytes(Path(checkpoint).read_bytes()[:1000])
    code, out, err = at_home("evaluate", str(tmp_path / "half.safetensors"), "--benchmark", "Set5")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "half.safetensors" in err


@pytest.mark.parametrize(
    ("task", "backbone", "title"),
    [("denoise25", "dncnn", "denoising, σ = 25"), ("jpeg10", "dncnn3", "JPEG deblocking, q = 10")],
)
def test_other_tasks_from_search_to_recipe(at_home, tmp_path, task, backbone, title) -> None:
    """Methods against each other, with all presets of the task as baselines."""
    methods = {"method": ["bnn", "reactnet", "bbcu"], "width": [16, 32]}
    space = {"version": 1, "axes": {"binarize": [["body"], ["body", "upsampling"]], **methods}}
    Path("methods.yaml").write_text(yaml.safe_dump(space))
    Path("short.yaml").write_text(yaml.safe_dump(PROTOCOL | {"iterations": 60}))
    search = ("search", "--space", "methods.yaml", "--task", task, "--protocol", "short.yaml")
    search = (*search, "--workers", "1", "--name", task)
    code, out, err = at_home(*search, "--baselines", f"{backbone}-lite,bnn", "--budget", "8")
    assert code == 0, err
    assert "against BBCU (dB)" in out
    found = json.loads(at_home(*search, "--budget", "8", "--json")[1])
    # Six designs of the space, a part that DnCNN lacks left out, and the two baselines.
    assert found["evaluated"] == 8
    assert {row["method"] for row in found["methods"]} == {"bbcu", "reactnet", "bnn"}
    assert {point["design"]["depth"] for point in found["front"]} == {18}

    html, csv = tmp_path / "r.html", tmp_path / "r.csv"
    code, out, err = at_home("report", task, "-o", str(html), "--csv", str(csv), "--repeats", "1")
    assert (code, err.count("\n")) == (0, 1)  # the one repeat
    text = html.read_text().split('id="data"')[0]
    assert title in text
    assert "Methods at equal parts and size" in text
    pictures = text[text.index('<section id="pictures">') :]
    assert pictures.count("data:image/png;base64,") == 16  # four photographs in four ways
    assert "degraded" in pictures
    assert "bicubic" not in text
    assert "± " in text  # the seed noise beside the ranking

    code, out, err = at_home("benefit", task, "--json")
    assert code == 0
    assert [row["part"] for row in json.loads(out)["parts"]] == ["head", "body", "tail"]

    recipe = tmp_path / "mine.yaml"
    assert at_home("export", task, "-o", str(recipe))[0] == 0
    content = yaml.safe_load(recipe.read_text())
    assert (content["task"], content["design"]["depth"]) == (task, 18)
    assert content["protocol"]["name"] == "paper-dncnn"


def test_a_picked_trial_is_exported_where_nothing_is_recommended(at_home, tmp_path) -> None:
    Path("one.yaml").write_text(yaml.safe_dump(PROTOCOL | {"iterations": 1}))  # beats nothing
    search = ("search", "--space", "small.yaml", "--protocol", "one.yaml", "--name", "useless")
    code, out, _ = at_home(*search, "--workers", "1", "--budget", "2", "--json", "-q")
    assert (code, json.loads(out)["recommended"]) == (0, None)
    assert at_home("export", "useless", "-o", str(tmp_path / "knee.yaml"))[0] == 2
    recipe = tmp_path / "picked.yaml"
    assert at_home("export", "useless", "--pick", "trial 0", "-o", str(recipe))[0] == 0
    assert yaml.safe_load(recipe.read_text())["provenance"]["trial"] == 0
