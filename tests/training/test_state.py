from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bbnas.data import Dataset
from bbnas.errors import UserError
from bbnas.inference import load_checkpoint
from bbnas.inference.checkpoint import CheckpointInfo
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.training import Training
from bbnas.training.state import (
    PausedEvaluation,
    pause,
    resume_checkpoint,
    resume_paused,
    save_checkpoint,
)

PAUSED = PausedEvaluation(curve=((2, 0.5), (4, 0.25)), rungs=((4, 21.5),), seconds=1.5)


def start(recipe: Recipe, dataset: Dataset) -> Training:
    return Training.of(recipe.design, get_task(recipe.task), recipe.protocol, dataset, "cpu")


def info_of(recipe: Recipe) -> CheckpointInfo:
    return CheckpointInfo(recipe=recipe, iteration=4, data="abc", environment={})


OPTIONS = {
    "plain": {},
    "average": {"ema": 0.8},
    "full precision": {"ema": 0.8, "progressive": 0.5},  # to iteration 15 of 60
    "1-bit weights": {"ema": 0.8, "progressive": 0.08},  # from 2.4 to 4.8
    "teacher": {"distill": 0.5},
    "1-bit": {"progressive": 0.05, "latent_rate": 0.5, "shift_rate": 0.1},  # from 3
}


@pytest.mark.parametrize("norm", ["none", "batchnorm"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", ["checkpoint", "paused"])
def test_a_training_resumes_to_the_bit(
    kind: str, options: str, norm: str, recipe: Recipe, dataset: Dataset, tmp_path: Path
) -> None:
    changes = {
        "design": recipe.design.replace(norm=norm),
        "protocol": recipe.protocol.replace(**OPTIONS[options]),
    }
    recipe = recipe.model_copy(update=changes)
    training, file = start(recipe, dataset), tmp_path / "last.safetensors"
    training.advance(4)
    other = start(recipe, dataset)
    if kind == "checkpoint":
        save_checkpoint(file, training, info_of(recipe))
        assert resume_checkpoint(file, other) == info_of(recipe)
    else:
        pause(file, training, PAUSED)
        assert resume_paused(file, other) == PAUSED
    assert other.iteration == 4
    assert training.advance(6) == other.advance(6)
    for name, value in training.state().items():
        assert torch.equal(other.state()[name], value), name


def test_equal_states_are_equal_bytes(recipe: Recipe, dataset: Dataset, tmp_path: Path) -> None:
    for number in range(2):
        training = start(recipe, dataset)
        training.advance(4)
        save_checkpoint(tmp_path / f"{number}.safetensors", training, info_of(recipe))
    first, second = (path.read_bytes() for path in sorted(tmp_path.iterdir()))
    assert first == second


def test_weights_alone_cannot_be_resumed(recipe: Recipe, dataset: Dataset, tmp_path: Path) -> None:
    training, path = start(recipe, dataset), tmp_path / "best.safetensors"
    save_checkpoint(path, training, info_of(recipe), moments=False)
    with pytest.raises(UserError, match=r"use last\.safetensors"):
        resume_checkpoint(path, training)
    assert load_checkpoint(path)[1] == info_of(recipe)


def test_a_checkpoint_with_an_average_is_the_averaged_network(
    recipe: Recipe, dataset: Dataset, tmp_path: Path
) -> None:
    protocol = recipe.protocol.replace(ema=0.8)
    recipe = recipe.model_copy(update={"protocol": protocol})
    training = start(recipe, dataset)
    training.advance(4)
    for moments in (True, False):
        save_checkpoint(tmp_path / "saved", training, info_of(recipe), moments)
        network, _ = load_checkpoint(tmp_path / "saved")
        for name, value in training.averaged.state_dict().items():
            assert torch.equal(network.state_dict()[name], value), name
    with pytest.raises(UserError, match=r"use last\.safetensors"):
        resume_checkpoint(tmp_path / "saved", training)


def test_the_state_of_another_network_changes_nothing(
    recipe: Recipe, dataset: Dataset, tmp_path: Path
) -> None:
    training = start(recipe, dataset)
    training.advance(4)
    deeper = recipe.model_copy(update={"design": recipe.design.replace(depth=4)})
    other = start(deeper, dataset)
    before = {name: value.clone() for name, value in other.state().items()}
    with pytest.raises(ValueError, match="another network"):
        other.load(training.state(), 4)
    pause(tmp_path / "paused", training, PAUSED)
    assert resume_paused(tmp_path / "paused", other) == PausedEvaluation()
    assert other.iteration == 0
    assert all(torch.equal(before[name], value) for name, value in other.state().items())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_damaged_paused_file_starts_anew(
    share: float,
    recipe: Recipe,
    dataset: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    training, path = start(recipe, dataset), tmp_path / "paused"
    assert resume_paused(path, training) == PausedEvaluation()
    assert not caplog.records
    pause(path, training, PAUSED)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert resume_paused(path, training) == PausedEvaluation()
    assert str(path) in caplog.text
