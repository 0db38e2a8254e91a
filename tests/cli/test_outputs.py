"""Where commands write: parent folders are made, and where that fails is told at once."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from bbnas.cli import cli, main, options
from bbnas.recipe import Recipe
from bbnas.training import train

Words = list[str]


def commands(group: click.Group = cli, words: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


OUTPUTS = [
    (words, max(option.opts, key=len))
    for words, command in commands()
    for option in command.params
    if isinstance(option.type, options.Output)
]


def test_every_path_is_read_or_written() -> None:
    read = {"--data", "--data-root", "--runs"}
    others = {
        (words, option.name)
        for words, command in commands()
        for option in command.params
        if isinstance(option, click.Option)
        and isinstance(option.type, click.Path)
        and not isinstance(option.type, options.Output | options.Existing)
        and not read & set(option.opts)
    }
    assert others == set()
    assert {words for words, _ in OUTPUTS} >= {
        *[(name,) for name in ("pack", "export-model", "report", "evaluate", "restore", "paper")],
        *[("bench", name) for name in ("sampler", "tabulate", "engine")],
        *[(name,) for name in ("train", "export", "fidelity", "profile")],
        ("ablation", "run"),
    }


@pytest.mark.parametrize(("words", "option"), OUTPUTS)
def test_a_place_that_cannot_be_made_is_told_before_anything_is_done(
    words: tuple[str, ...], option: str, tmp_path: Path, capsys
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "below" / "out"
    assert main([*words, option, str(path)]) == 2
    err = capsys.readouterr().err
    assert f"{path}: {tmp_path / 'file'} is a file" in err
    assert err.count("\n") == 1


@pytest.fixture(scope="module")
def checkpoint(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(recipe, folder, iterations=2, device="cpu")
    return folder / "last.safetensors"


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("pack CHECKPOINT -o a/b/m.bbn", ["m.bbn"]),
        ("export-model CHECKPOINT --format onnx -o a/b/m.onnx", ["m.onnx"]),
        ("export-model CHECKPOINT --format openvino -o a/b/m.xml", ["m.bin", "m.xml"]),
        ("evaluate CHECKPOINT --benchmark images --csv a/b/rows.csv", ["rows.csv"]),
        ("evaluate CHECKPOINT --benchmark images --save-images a/b/all", ["all"]),
        ("restore --model CHECKPOINT images/a.png -o a/b/b.png", ["b.png"]),
        ("paper table1 -o a/b/t.csv", ["t.csv"]),
        ("profile bbcu-m --lq 32x32 --inline -o a/b/p.html", ["p.html"]),
        ("train RECIPE --iterations 1 -o a/b/run", ["run"]),
        ("export STUDY -o a/b/r.yaml", ["r.yaml"]),
        ("compare STUDY STUDY --inline -o a/b/c.html", ["c.html"]),
        (
            "report STUDY --no-pictures --inline --repeats 0 -o a/b/a.html --csv a/b/a.csv",
            ["a.csv", "a.html"],
        ),
        (
            "search --space SMALL --protocol TINY --workers 1 --budget 1 --storage a/b/s.db",
            ["s.db"],
        ),
    ],
)
def test_parent_folders_are_made(
    words: str,
    written: list[str],
    checkpoint: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for package in ("onnx", "openvino"):
        if f" {package} " in words:
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    for name, path in {
        "CHECKPOINT": checkpoint,
        "RECIPE": checkpoint.with_name("recipe.yaml"),
        "STUDY": home / "studies" / "first.db",
        "SMALL": home / "small.yaml",
        "TINY": home / "tiny.yaml",
    }.items():
        words = words.replace(name, str(path))
    assert main([*words.split()]) == 0
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == written


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(
    checkpoint: Path, tmp_path: Path, capsys
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "m.bbn").mkdir()
    assert main(["pack", str(checkpoint), "-o", str(tmp_path / "m.bbn")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'm.bbn'}: cannot be written")
