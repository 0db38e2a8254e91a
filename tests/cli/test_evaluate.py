from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.cli import main
from bbnas.inference import evaluate_checkpoint
from bbnas.tasks import get_task


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """LIVE1 and Classic5 of two small images each."""
    monkeypatch.setenv("BBNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BBNAS_DATA", raising=False)
    rng = np.random.default_rng(0)
    for name in ("LIVE1", "Classic5"):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for stem in ("a", "b"):
            pixels = rng.integers(0, 256, (40, 48, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{stem}.png")
    return tmp_path / "data"


def test_tables_csv_and_images(sets: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    rows = tmp_path / "rows.csv"
    args = ["evaluate", "identity", "--task", "jpeg10", "--data-root", str(sets)]
    args += ["--benchmark", "LIVE1", "--benchmark", "classic5"]
    assert main([*args, "--csv", str(rows), "--save-images", str(tmp_path / "out")]) == 0
    expected = evaluate_checkpoint("identity", "all", get_task("jpeg10"), data_root=sets)
    out = capsys.readouterr().out
    for name in ("LIVE1", "Classic5"):
        assert f"identity on {name}" in out
        assert f"{expected[name][-1].psnr:.2f}" in out
        assert {p.name for p in (tmp_path / "out" / name).iterdir()} == {"a.png", "b.png"}
    assert out.count("mean") == 2
    with rows.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["benchmark"], row["image"]) for row in found] == [
        (name, image) for name in ("LIVE1", "Classic5") for image in ("a.png", "b.png", "mean")
    ]
    assert float(found[-1]["psnr"]) == expected["Classic5"][-1].psnr
    assert float(found[-1]["ssim"]) == expected["Classic5"][-1].ssim


def test_json_of_all(sets: Path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("BBNAS_DATA", str(sets))
    args = ["evaluate", "identity", "--task", "jpeg40", "--benchmark", "all", "--json"]
    assert main(args) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["checkpoint"] == "identity"
    expected = evaluate_checkpoint("identity", "all", get_task("jpeg40"))
    for found in content["benchmarks"]:
        *images, mean = expected[found["benchmark"]]
        assert found["images"] == [row._asdict() for row in images]
        assert (found["psnr"], found["ssim"]) == mean[1:]
    assert len(content["benchmarks"]) == 2


def test_a_difference_is_told_with_its_interval(sets: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    args = ["evaluate", "identity", "--task", "jpeg20", "--against", "identity"]
    args += ["--benchmark", "all", "--data-root", str(sets)]
    assert main(args) == 0
    assert "identity less identity" in capsys.readouterr().out
    assert main([*args, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["against"] == "identity"
    assert set(content["difference"]) == {"LIVE1", "Classic5", "all images"}
    assert content["difference"]["all images"] | {"low": 0, "high": 0} == {
        "psnr": 0,
        "low": 0,
        "high": 0,
        "images": 4,
    }


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["identity"], "--task"),
        (["bicubic", "--task", "jpeg10"], "use identity"),
        (["Bicubic", "--task", "jpeg10"], "bicubic is no baseline"),
        (["bbcu-m", "--task", "sr4"], "no weights of its own"),
        (["BBCU-M", "--task", "sr4"], "no weights of its own"),
        (["bbcu-m", "--task", "denoise25", "--weights", "none"], "none: no such file"),
        (["identity", "--task", "jpeg11"], "did you mean 'jpeg10'"),
    ],
)
def test_bad_input_is_one_line(args, says, sets: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    code = main(["evaluate", *args, "--benchmark", "LIVE1", "--data-root", str(sets)])
    captured = capsys.readouterr()
    assert (code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert says in captured.err
