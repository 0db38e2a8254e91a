"""One training by several processes: real ones, one of which is killed."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil
import pytest
import torch

from bbnas.errors import UserError
from bbnas.inference.checkpoint import read_checkpoint
from bbnas.recipe import Recipe
from bbnas.runs.train import train
from bbnas.training import Progress


def test_two_workers_go_on_as_one_process_does(recipe: Recipe, tmp_path: Path) -> None:
    """From a checkpoint of one process. Sums of gradients have another order, so bits differ."""
    whole: list[Progress] = []
    train(recipe, tmp_path / "whole", device="cpu", on_event=whole.append)

    def stop(event: Progress) -> None:
        if event.iteration == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "shared", device="cpu", on_event=stop)
    events: list[Progress] = []
    info = train(
        recipe,
        tmp_path / "shared",
        resume=True,
        device="cpu",
        on_event=events.append,
        workers=2,
    )
    expected = [event for event in whole if event.iteration > 20]
    assert [event.iteration for event in events] == [event.iteration for event in expected]
    for found, single in zip(events, expected, strict=True):
        assert found.loss == pytest.approx(single.loss, rel=1e-4)
        assert found.learning_rate == single.learning_rate
        assert (found.psnr is None) == (single.psnr is None)
    assert info.iteration == 60
    (last, tensors), (alone, singles) = (
        read_checkpoint(tmp_path / name / "last.safetensors") for name in ("shared", "whole")
    )
    assert last == info
    assert last.psnr == pytest.approx(alone.psnr, abs=0.01)
    assert last.environment == alone.environment
    for name, value in singles.items():
        torch.testing.assert_close(tensors[name], value, rtol=1e-3, atol=1e-4)
    assert sorted(p.name for p in (tmp_path / "shared").iterdir()) == sorted(
        p.name for p in (tmp_path / "whole").iterdir()
    )


def workers_of_ray() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if (
                process.cmdline()[0].startswith("ray::")
                and "RayTrainWorker" in process.cmdline()[0]
            ):
                found.append(process)
    return found


def test_a_worker_killed_leaves_the_last_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    protocol = recipe.protocol.replace(iterations=100_000, halve_every=100_000)
    long = recipe.model_copy(update={"protocol": protocol})
    killed: list[int] = []

    def kill(event: Progress) -> None:
        if event.iteration >= 40 and not killed:
            workers = workers_of_ray()
            assert len(workers) == 2
            killed.append(workers[-1].pid)
            os.kill(killed[0], signal.SIGKILL)

    folder = tmp_path / "run"
    with pytest.raises(UserError, match=r"the checkpoint of iteration \d+ is kept in .*--resume"):
        train(long, folder, device="cpu", on_event=kill, checkpoint_seconds=0, workers=2)
    assert killed
    assert workers_of_ray() == []
    before = read_checkpoint(folder / "last.safetensors")[0].iteration
    assert before >= 40

    def stop(event: Progress) -> None:
        assert event.iteration > before
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(long, folder, resume=True, device="cpu", on_event=stop)


def test_what_cannot_be_shared_is_refused_at_once(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(UserError, match="3 workers cannot share a batch of 2"):
        train(recipe, folder, device="cpu", workers=3)
    with pytest.raises(UserError, match="workers 0"):
        train(recipe, folder, device="cpu", workers=0)
    normalised = recipe.model_copy(update={"design": recipe.design.replace(norm="batchnorm")})
    with pytest.raises(UserError, match=r"BatchNorm.*--workers 1"):
        train(normalised, folder, device="cpu", workers=2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match=r"2 workers for 1 GPU of device auto.*--workers 1"):
        train(recipe, folder, workers=2)
    assert not folder.exists()


def test_what_a_worker_finds_wrong_is_told_as_it_is(recipe: Recipe, tmp_path: Path) -> None:
    steep = recipe.protocol.replace(learning_rate=1e39)
    wild = recipe.model_copy(update={"protocol": steep})
    with pytest.raises(UserError, match=r"^training diverged at iteration \d+: .* no checkpoint"):
        train(wild, tmp_path / "run", device="cpu", workers=2)
