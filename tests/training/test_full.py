from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bbnas.data import load_dataset
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.inference import load_checkpoint
from bbnas.inference.checkpoint import read_checkpoint
from bbnas.recipe import Recipe
from bbnas.training import Progress, train

# A process that has loaded everything and forks one child a training, which it may kill.
# argv: recipe, output folder, then per training "wait:limit": the seconds after the first event
# at which the child is killed (empty: never), and the size of file at which writing fails from
# iteration 20 on (empty: none). Prints the status of each.
PROGRAM = """
import os, resource, signal, sys, time
from pathlib import Path
import torch
from bbnas.errors import UserError
from bbnas.training import train

torch.set_num_threads(1)
recipe, folder, *trainings = sys.argv[1:]

def child(begun, limit):
    def on_event(event):
        os.write(begun, b".")
        if limit and event.iteration >= 20:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    try:
        again = (Path(folder) / "recipe.yaml").exists()
        train(recipe, folder, resume=again, device="cpu", on_event=on_event, checkpoint_seconds=0)
    except UserError as error:
        os.write(2, f"{error}\\n".encode())
        os._exit(2)
    except BaseException as error:
        os.write(2, repr(error).encode())
        os._exit(1)
    os._exit(0)

for training in trainings:
    wait, limit = training.split(":")
    begun, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(end, limit)
    os.close(end)
    if wait:
        os.read(begun, 1)
        time.sleep(float(wait))
        os.kill(pid, signal.SIGKILL)
    else:
        while os.read(begun, 4096):
            pass
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os.close(begun)
"""


def trainings(recipe: Path, folder: Path, *which: str) -> tuple[list[int], str]:
    """The statuses of trainings in processes of their own, and what they wrote to stderr."""
    command = [sys.executable, "-c", PROGRAM, str(recipe), str(folder), *which]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [int(status) for status in done.stdout.split()], done.stderr


@pytest.fixture
def recipe_file(recipe: Recipe, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml())
    return path


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    log = EventAccumulator(str(folder / "log"))
    log.Reload()
    return [(event.step, event.value) for event in log.Scalars(tag)]


def contents(folder: Path) -> list[object]:
    """What the files of a run say, but for the time that it took."""
    found: list[object] = [(folder / "recipe.yaml").read_bytes()]
    for name in ("last.safetensors", "best.safetensors"):
        info, tensors = read_checkpoint(folder / name)
        bits = {key: tensor.numpy().tobytes() for key, tensor in tensors.items()}
        found.append((info.model_copy(update={"seconds": 0.0}), bits))
    return found


def test_a_training_in_full(recipe: Recipe, tmp_path: Path) -> None:
    events: list[Progress] = []
    info = train(recipe, tmp_path / "run", device="cpu", on_event=events.append)
    assert info.iteration == 60
    assert [e.iteration for e in events] == sorted({*range(3, 61, 3), 20, 40})
    validated = [e for e in events if e.psnr is not None]
    assert [e.iteration for e in validated] == [20, 40, 60]
    assert events[-1].best_psnr == max(e.psnr for e in validated if e.psnr)
    assert events[-1].seconds_left == 0
    assert events[5].seconds_left > 0
    assert events[0].learning_rate == pytest.approx(1e-3)
    assert events[-1].learning_rate == pytest.approx(5e-4)  # halved at 40
    assert events[-1].loss < events[0].loss
    assert Recipe.from_yaml(tmp_path / "run" / "recipe.yaml") == recipe
    _, last = load_checkpoint(tmp_path / "run" / "last.safetensors")
    _, best = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert last == info
    assert best.psnr == last.best_psnr == events[-1].best_psnr
    assert scalars(tmp_path / "run", "loss") == [
        (e.iteration, pytest.approx(e.loss)) for e in events
    ]
    assert scalars(tmp_path / "run", "validation/psnr") == [
        (e.iteration, pytest.approx(e.psnr)) for e in validated
    ]


def test_killed_at_any_moment_a_run_resumes_to_the_bit(
    recipe: Recipe, recipe_file: Path, tmp_path: Path
) -> None:
    train(recipe, tmp_path / "whole", device="cpu", checkpoint_seconds=0)
    waits = (0.0, 0.011, 0.037, 0.003, 0.05, 0.02, 0.0, 0.001, 0.029, 0.007, 0.043)
    killed = tmp_path / "killed"
    statuses, _ = trainings(recipe_file, killed, *(f"{wait}:" for wait in waits), ":")
    assert statuses.count(-signal.SIGKILL) >= 3
    assert set(statuses) <= {-signal.SIGKILL, 0}
    assert statuses[-1] == 0
    assert contents(killed) == contents(tmp_path / "whole")
    assert not [p for p in killed.iterdir() if p.name.startswith(".")]
    for tag in ("loss", "learning rate", "validation/psnr", "validation/ssim"):
        assert scalars(killed, tag) == scalars(tmp_path / "whole", tag)


def test_a_full_disk_keeps_the_last_checkpoint(recipe_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    # At 4096 bytes no checkpoint can be written any more.
    statuses, message = trainings(recipe_file, folder, ":4096")
    assert statuses == [2]
    assert message.count("\n") == 1
    assert "File too large" in message
    _, info = load_checkpoint(folder / "last.safetensors")
    assert info.iteration >= 18
    assert f"checkpoint of iteration {info.iteration} is kept" in message
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]
    assert train(recipe_file, folder, resume=True, device="cpu").iteration == 60


def test_a_run_is_not_overwritten(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(recipe, folder, iterations=4, device="cpu")
    before = contents(folder)
    with pytest.raises(UserError, match=r"already holds a run: .*--resume"):
        train(recipe, folder, iterations=4, device="cpu")
    # Complete: resuming does nothing, with the iterations of the run.
    assert train(recipe, folder, resume=True, device="cpu").iteration == 4
    assert contents(folder) == before


def test_a_run_is_resumed_with_its_own_recipe_and_images(
    recipe: Recipe, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path / "run"
    train(recipe, folder, iterations=4, device="cpu")
    other = recipe.model_copy(update={"design": recipe.design.replace(depth=2)})
    with pytest.raises(UserError, match=r"design\.depth is 3, not 2"):
        train(other, folder, resume=True, device="cpu")
    with pytest.raises(UserError, match=r"protocol\.iterations is 4, not 8"):
        train(recipe, folder, iterations=8, resume=True, device="cpu")
    with pytest.raises(UserError, match="trained on other images"):
        train(recipe.model_copy(update={"data": None}), folder, resume=True, device="cpu")


def test_a_run_on_the_earlier_photographs_is_resumed_by_their_name(
    recipe: Recipe, tmp_path: Path
) -> None:
    earlier = recipe.model_copy(update={"data": "skimage"})
    train(earlier, tmp_path / "run", iterations=2, device="cpu")
    with pytest.raises(UserError, match="name --data skimage, or"):
        train(recipe.model_copy(update={"data": None}), tmp_path / "run", resume=True)
    assert train(recipe, tmp_path / "run", "skimage", resume=True, device="cpu").iteration == 2


def test_a_run_on_pairs(recipe: Recipe, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        for folder, side in (("lq", 50), ("hq", 100)):
            (tmp_path / folder).mkdir(exist_ok=True)
            pixels = rng.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    pair = f"{tmp_path / 'lq'}:{tmp_path / 'hq'}"
    info = train(recipe, tmp_path / "run", pair, iterations=4, device="cpu")
    assert info.recipe.data == pair
    assert info.data == load_dataset(pair).fingerprint
    assert Recipe.from_yaml(tmp_path / "run" / "recipe.yaml").data == pair
    # Trained on the LQ files, and not on LQ images made of HQ.
    plain = train(recipe, tmp_path / "plain", tmp_path / "hq", iterations=4, device="cpu")
    assert plain.psnr != info.psnr
    with pytest.raises(UserError, match="for sr4 HQ must be 4 times"):
        train(recipe.model_copy(update={"task": "sr4"}), tmp_path / "other", pair, iterations=4)


def test_divergence_is_told_and_keeps_the_last_checkpoint(recipe: Recipe, tmp_path: Path) -> None:
    protocol = recipe.protocol.model_copy(update={"learning_rate": 1e39})
    with pytest.raises(UserError, match=r"diverged at iteration 2: .* no checkpoint was written"):
        train(recipe.model_copy(update={"protocol": protocol}), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "last.safetensors").exists()


def test_a_truncated_checkpoint_is_not_resumed(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(recipe, folder, iterations=4, device="cpu")
    last = folder / "last.safetensors"
    os.truncate(last, last.stat().st_size // 2)
    with pytest.raises(UserError, match="truncated"):
        train(recipe, folder, resume=True, device="cpu")


def test_a_recipe_that_distills_names_its_teacher(recipe: Recipe, tmp_path: Path) -> None:
    twin = recipe.model_copy(update={"design": Design(width=6, depth=3)})
    train(twin, tmp_path / "twin", iterations=4, device="cpu")
    best = str(tmp_path / "twin" / "best.safetensors")
    protocol = recipe.protocol.replace(distill=1)
    with pytest.raises(UserError, match=r"distill = 1, .*\{width: 6, depth: 3\} of sr2 "):
        train(recipe.model_copy(update={"protocol": protocol}), tmp_path / "run", device="cpu")
    with pytest.raises(UserError, match=r"best\.safetensors: nothing is distilled"):
        train(recipe.model_copy(update={"teacher": best}), tmp_path / "run", device="cpu")
    student = recipe.model_copy(update={"protocol": protocol, "teacher": best})
    with pytest.raises(UserError, match="is of sr2, not of sr4"):
        train(student.model_copy(update={"task": "sr4"}), tmp_path / "run", device="cpu")
    with pytest.raises(UserError, match="no such checkpoint"):
        train(student.model_copy(update={"teacher": "x.safetensors"}), tmp_path / "run")
    train(student, tmp_path / "run", iterations=4, device="cpu")
    assert Recipe.from_yaml(tmp_path / "run" / "recipe.yaml").teacher == best
    train(recipe, tmp_path / "alone", iterations=4, device="cpu")
    assert contents(tmp_path / "run")[1][1] != contents(tmp_path / "alone")[1][1]
    other = student.model_copy(update={"teacher": best.replace("best", "last")})
    with pytest.raises(UserError, match=r"teacher is .*best\.safetensors, not .*last"):
        train(other, tmp_path / "run", resume=True, device="cpu")
