from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bbnas.cli import main
from bbnas.inference.checkpoint import read_checkpoint
from bbnas.recipe import Recipe


def test_resume_needs_a_run(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(recipe.to_yaml())
    other = recipe.model_copy(update={"design": recipe.design.replace(width=8)})
    Path("other.yaml").write_text(other.to_yaml())
    short = ["--iterations", "2", "--device", "cpu", "-q"]
    assert main(["train", "mine.yaml", *short]) == 0
    assert main(["train", "mine.yaml", "-o", "elsewhere/mine", *short]) == 0
    assert main(["train", "other.yaml", *short]) == 0
    for folder, near in (
        ("runs/mien", "runs/mine"),
        ("elsewhere/mien", "elsewhere/mine, runs/mine"),
        ("mine", "runs/mine"),
    ):
        capsys.readouterr()
        assert main(["train", "mine.yaml", "-o", folder, "--resume", *short]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {folder} holds no run to resume: ")
        assert f"runs of this design are in {near};" in err
        assert err.count("\n") == 1
        assert not Path(folder).exists()
    Path("runs/mine/last.safetensors").rename("last.safetensors")
    Path("elsewhere/mine/last.safetensors").unlink()
    assert main(["train", "mine.yaml", "-o", "runs/mien", "--resume", *short]) == 2
    assert "are in" not in capsys.readouterr().err
    # Ended before its first checkpoint.
    assert main(["train", "mine.yaml", "--resume", *short]) == 0
    (again, weights), (first, before) = (
        read_checkpoint(folder / "last.safetensors") for folder in (Path("runs/mine"), Path())
    )
    assert again.iteration == first.iteration == 2
    assert all(torch.equal(weights[name], before[name]) for name in before)
