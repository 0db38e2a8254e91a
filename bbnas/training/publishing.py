"""A checkpoint becomes a model that comes with bbnas: its packed file and its card."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bbnas.data import ImageSet, find_benchmark, load_dataset
from bbnas.engine import compile_network, write_program
from bbnas.errors import UserError
from bbnas.files import write_output
from bbnas.inference.checkpoint import load_checkpoint
from bbnas.inference.evaluating import evaluate_checkpoint
from bbnas.inference.scoring import Score, score_baseline
from bbnas.models import FOLDER, Card, Figures
from bbnas.tasks import Task, get_task
from bbnas.training.full import LOG, VALIDATION


def publish(
    name: str,
    checkpoint: str | Path,
    data_root: str | Path | None = None,
    folder: str | Path = FOLDER,
) -> Card:
    """Write ``NAME.bbn`` and ``NAME.yaml`` into ``folder``, and return the card.

    The scores are those of the packed model on the task's benchmark sets below ``data_root`` or
    $BBNAS_DATA, of a blind task at the level of each task that it covers.

    Raises:
        UserError: the checkpoint cannot be read, its training images are not there, there is no
            benchmark set, or a file cannot be written.
    """
    network, info = load_checkpoint(checkpoint)
    recipe = info.recipe
    dataset = load_dataset(recipe.data)
    if dataset.fingerprint != info.data:
        raise UserError(f"{recipe.data}: not the images that {checkpoint} was trained on")
    task = get_task(recipe.task)
    file = Path(folder) / f"{name}.bbn"
    file.parent.mkdir(parents=True, exist_ok=True)
    size = write_program(compile_network(network, task), file)
    scores = {
        each.name: evaluate_checkpoint(file, "all", each, data_root=data_root)
        for each in task.covered
    }
    card = Card(
        task=recipe.task,
        design=recipe.protocol.trained(recipe.design),
        protocol=recipe.protocol,
        iterations=info.iteration,
        hours=round(info.seconds / 3600, 2),
        data=dataset.description,
        fingerprint=info.data,
        environment=info.environment,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        curve=_curve(Path(checkpoint).parent / LOG, info.iteration),
        scores={
            level: {
                images: _figures(rows, get_task(level), find_benchmark(images, data_root))
                for images, rows in sets.items()
            }
            for level, sets in scores.items()
        },
        bytes=size,
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    content = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_output(file.with_suffix(".yaml"), content)
    return card


def _curve(log: Path, last: int) -> tuple[tuple[int, float], ...]:
    """(iteration, PSNR in dB) of the validations up to iteration ``last`` in a TensorBoard log."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(log))
    events.Reload()
    if VALIDATION not in events.Tags()["scalars"]:
        return ()
    found = events.Scalars(VALIDATION)
    return tuple((e.step, round(e.value, 2)) for e in found if e.step <= last)


def _figures(rows: list[Score], task: Task, images: ImageSet) -> Figures:
    baseline = score_baseline(task.baseline, task, images)[-1]
    return Figures(
        psnr=round(rows[-1].psnr, 3),
        ssim=round(rows[-1].ssim, 4),
        baseline=round(baseline.psnr, 3),
        images=len(images),
    )
