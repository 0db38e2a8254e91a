"""Training a recipe in full: checkpoints, exact resume, validations, a TensorBoard log."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch.utils.tensorboard import SummaryWriter

from bbnas.data import embedded_name, load_dataset
from bbnas.errors import UserError
from bbnas.files import disk_message, write_atomically
from bbnas.inference.checkpoint import CheckpointInfo, load_checkpoint, read_checkpoint
from bbnas.inference.device import resolve_device
from bbnas.inference.scoring import score
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.training.loop import Diverged, Training
from bbnas.training.state import resume_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from bbnas.data import Dataset
    from bbnas.networks import RestorationNetwork
    from bbnas.tasks import Task

LAST, BEST, LOG, RECIPE = "last.safetensors", "best.safetensors", "log", "recipe.yaml"
VALIDATION = "validation/psnr"  # the scalar of the log
LOG_EVERY = 10  # iterations between two events; a training of fewer than 200 has 20 events


@dataclass(frozen=True)
class Progress:
    """The progress of a training.

    ``loss`` is the mean L1 loss since the last event. ``seconds_left`` is an estimate. ``psnr``
    (dB) and ``ssim`` are those of a validation just done, else None.
    """

    iteration: int
    iterations: int
    loss: float
    learning_rate: float
    seconds_left: float
    psnr: float | None
    ssim: float | None
    best_psnr: float | None


def train(
    recipe: Recipe | str | Path,
    output: str | Path,
    data: str | Path | None = None,
    iterations: int | None = None,
    resume: bool = False,
    device: str = "auto",
    on_event: Callable[[Progress], None] | None = None,
    checkpoint_seconds: float = 60.0,
) -> CheckpointInfo:
    """Train a recipe into the folder ``output``; the header of its last checkpoint.

    The folder holds ``recipe.yaml`` as trained, ``last.safetensors`` (the state of the
    training), ``best.safetensors`` (the weights of the best validation PSNR) and ``log`` for
    TensorBoard. ``data`` replaces the recipe's images. ``iterations`` shortens the
    schedule in proportion. A checkpoint is written at each validation and every
    ``checkpoint_seconds`` seconds. ``device`` is as for
    :func:`bbnas.inference.device.resolve_device`: ``auto`` is CUDA where there is a GPU.

    ``resume`` continues from the last checkpoint, however the run ended; a run that ended before
    its first one starts again. On a CPU, with the same number of threads, the result equals that
    of a run never interrupted, to the bit.

    Raises:
        UserError: the folder holds a run and ``resume`` is False, or none and it is True; that run
            is of another recipe or other images; the protocol distills and the recipe has no
            fitting teacher; training diverges; the disk is full. The last checkpoint is kept in
            each case.
    """
    place = resolve_device(device)
    folder = Path(output)
    recipe, dataset, before = planned(recipe, folder, data, iterations, resume)
    task = get_task(recipe.task)
    teacher = _teacher(recipe, task)
    training = Training.of(recipe.design, task, recipe.protocol, dataset, place, teacher)
    info = CheckpointInfo(
        recipe=recipe, iteration=0, data=dataset.fingerprint, environment=training.environment
    )
    if before is not None:
        info = resume_checkpoint(folder / LAST, training)
    run = _Run(folder, training, dataset, info, checkpoint_seconds, on_event)
    try:
        if training.crew.rank > 0:
            run.follow()
            return info
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob(".*.safetensors.*"):  # left by a process that was killed
            draft.unlink()
        write_atomically(folder / RECIPE, recipe.to_yaml().encode())
        run.run()
    except Diverged as error:
        raise UserError(
            f"training {error}; {kept(folder)}; lower protocol.learning_rate in the recipe and "
            "train it into another folder"
        ) from error
    except OSError as error:
        raise UserError(
            f"{disk_message(error, folder)}, then resume with --resume ({kept(folder)})"
        ) from error
    return run.info


def _teacher(recipe: Recipe, task: Task) -> RestorationNetwork | None:
    """The network to distill from."""
    protocol = recipe.protocol
    if not protocol.teaches:
        if recipe.teacher is not None:
            raise UserError(
                f"teacher {recipe.teacher}: nothing is distilled; set protocol.distill, such as "
                "to 1, or leave out the teacher"
            )
        return None
    if recipe.teacher is None:
        design = recipe.design
        raise UserError(
            f"protocol.distill = {protocol.distill:g}, distill_features = "
            f"{protocol.distill_features:g}: the recipe has no teacher; train design: "
            f"{{width: {design.width}, depth: {design.depth}}} of {task.name} with both 0, and "
            "name its best.safetensors by the recipe's key teacher"
        )
    network, info = load_checkpoint(recipe.teacher)
    if info.recipe.task != task.name:
        raise UserError(
            f"teacher {recipe.teacher}: is of {info.recipe.task}, not of {task.name}; name a "
            "checkpoint of the recipe's task"
        )
    return network


def planned(
    recipe: Recipe | str | Path,
    folder: Path,
    data: str | Path | None,
    iterations: int | None,
    resume: bool,
) -> tuple[Recipe, Dataset, CheckpointInfo | None]:
    """The recipe to train, its images, and the header of the last checkpoint if it has one.

    Raises:
        UserError: as :func:`train` before it trains.
    """
    if not isinstance(recipe, Recipe):
        recipe = Recipe.from_yaml(recipe)
    if data is not None:
        recipe = recipe.model_copy(update={"data": str(data)})
    before = _earlier(folder, recipe, resume)
    if before is not None and iterations is None:
        iterations = before.recipe.protocol.iterations
    if iterations is not None:
        recipe = recipe.shortened(iterations)
    dataset = load_dataset(recipe.data)
    if before is not None:
        _check_same(folder, before, recipe, dataset)
    return recipe, dataset, before


def kept(folder: Path) -> str:
    """What ``folder`` holds of a training, in words."""
    last = folder / LAST
    if not last.exists():
        return "no checkpoint was written yet"
    return f"the checkpoint of iteration {read_checkpoint(last)[0].iteration} is kept in {last}"


def _earlier(folder: Path, recipe: Recipe, resume: bool) -> CheckpointInfo | None:
    """The header of the last checkpoint in ``folder``; None if there is none."""
    last = folder / LAST
    if not last.exists():
        if resume and not (folder / RECIPE).exists():
            near = ", ".join(map(str, _runs_of(recipe, {folder.parent, Path("runs")})))
            raise UserError(
                f"{folder} holds no run to resume: "
                + (f"runs of this design are in {near}; " if near else "")
                + "name the folder of the run, or leave out --resume to start one"
            )
        return None
    if not resume:
        raise UserError(
            f"{folder} already holds a run: resume it with --resume, or name another folder"
        )
    return read_checkpoint(last)[0]


def _runs_of(recipe: Recipe, places: set[Path]) -> list[Path]:
    """The folders in ``places`` that hold a checkpoint of the recipe's design."""
    found = []
    for file in sorted({file for place in places for file in place.glob(f"*/{LAST}")}):
        with contextlib.suppress(UserError):
            other = read_checkpoint(file)[0].recipe
            if (other.task, other.design) == (recipe.task, recipe.design):
                found.append(file.parent)
    return found


def _check_same(folder: Path, before: CheckpointInfo, recipe: Recipe, dataset: Dataset) -> None:
    old, new = _flat(before.recipe), _flat(recipe)
    changed = [key for key in new if old[key] != new[key]]
    if changed:
        key = changed[0]
        raise UserError(
            f"{folder} holds the run of another recipe ({key} is {old[key]}, not {new[key]}): "
            "resume with its own recipe.yaml, or name another folder"
        )
    if before.data != dataset.fingerprint:
        name = embedded_name(before.data)
        raise UserError(
            f"{folder} was trained on other images than {dataset.description}: "
            f"name {f'--data {name}' if name else 'the same --data'}, or another folder"
        )


def _flat(recipe: Recipe) -> dict[str, object]:
    """The values that decide the result of a training, by dotted key."""
    flat: dict[str, object] = {"task": recipe.task, "teacher": recipe.teacher}
    for part, value in (("design", recipe.design), ("protocol", recipe.protocol)):
        flat |= {f"{part}.{key}": item for key, item in value.model_dump().items()}
    return flat


class _Run:
    """One session of a training, from its last checkpoint to the end."""

    def __init__(
        self,
        folder: Path,
        training: Training,
        dataset: Dataset,
        info: CheckpointInfo,
        checkpoint_seconds: float,
        on_event: Callable[[Progress], None] | None,
    ) -> None:
        self.folder = folder
        self.training = training
        self.dataset = dataset
        self.info = info
        self.started = time.monotonic() - info.seconds
        self.checkpoint_seconds = checkpoint_seconds
        self.on_event = on_event
        self.validate_every = training.protocol.validate_every or training.protocol.iterations

    def run(self) -> None:
        training = self.training
        total = training.protocol.iterations
        first = training.iteration
        started = saved = time.monotonic()
        if first == total:
            return
        # Steps after the last checkpoint are done and logged again; purge_step hides the earlier
        # entries.
        with SummaryWriter(str(self.folder / LOG), purge_step=first + 1) as writer:
            while training.iteration < total:
                loss = training.advance(self._stride())
                here = training.iteration
                writer.add_scalar("loss", loss, here)
                writer.add_scalar("learning rate", training.learning_rate, here)
                validated = here % self.validate_every == 0 or here == total
                if validated:
                    self._validate(writer)
                now = time.monotonic()
                if validated or now - saved >= self.checkpoint_seconds:
                    # Flush the log first: steps before the checkpoint are never logged again.
                    writer.flush()
                    self._save(LAST)
                    saved = now
                if self.on_event is not None:
                    left = (time.monotonic() - started) / (here - first) * (total - here)
                    self.on_event(self._progress(loss, left, validated))

    def follow(self) -> None:
        """Take part in the steps of another process that runs the same."""
        while self.training.iteration < self.training.protocol.iterations:
            self.training.advance(self._stride())

    def _stride(self) -> int:
        """The number of steps to the next event."""
        here, total = self.training.iteration, self.training.protocol.iterations
        log_every = min(LOG_EVERY, max(1, total // 20))
        return min(log_every - here % log_every, self.validate_every - here % self.validate_every)

    def _progress(self, loss: float, seconds_left: float, validated: bool) -> Progress:
        return Progress(
            iteration=self.training.iteration,
            iterations=self.training.protocol.iterations,
            loss=loss,
            learning_rate=self.training.learning_rate,
            seconds_left=seconds_left,
            psnr=self.info.psnr if validated else None,
            ssim=self.info.ssim if validated else None,
            best_psnr=self.info.best_psnr,
        )

    def _validate(self, writer: SummaryWriter) -> None:
        training = self.training
        try:
            mean = score(
                training.averaged,
                get_task(self.info.recipe.task),
                self.dataset.validation,
                training.device,
                training.protocol.validation_side,
            )[-1]
        except FloatingPointError as error:
            raise Diverged(training.iteration, str(error)) from error
        writer.add_scalar(VALIDATION, mean.psnr, training.iteration)
        writer.add_scalar("validation/ssim", mean.ssim, training.iteration)
        best = self.info.best_psnr
        better = best is None or mean.psnr > best
        scores = {"psnr": mean.psnr, "ssim": mean.ssim}
        if better:
            scores["best_psnr"] = mean.psnr
        self.info = self.info.model_copy(update=scores)
        if better:
            # Best before last: a run killed in between repeats this validation when resumed.
            self._save(BEST)

    def _save(self, name: str) -> None:
        self.training.check_weights()
        done = {
            "iteration": self.training.iteration,
            "seconds": time.monotonic() - self.started,
        }
        self.info = self.info.model_copy(update=done)
        save_checkpoint(self.folder / name, self.training, self.info, moments=name == LAST)
