"""Training a recipe in full, by this process or by several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bbnas.errors import UserError
from bbnas.runs.executors import guard_ray
from bbnas.signals import handlers_kept
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from bbnas.inference import CheckpointInfo
    from bbnas.recipe import Recipe
    from bbnas.training import Progress


def train(
    recipe: Recipe | str | Path,
    output: str | Path,
    data: str | Path | None = None,
    iterations: int | None = None,
    resume: bool = False,
    device: str = "auto",
    on_event: Callable[[Progress], None] | None = None,
    checkpoint_seconds: float = 60.0,
    *,
    workers: int = 1,
) -> CheckpointInfo:
    """:func:`bbnas.training.train` by ``workers`` processes, one on each GPU or on CPU cores.

    They share each batch of the protocol and average their gradients, so the result is that of
    one process but for rounding: sums have another order, and a sign may change with the last
    bit. The first one validates and writes. A run may be resumed with another number of workers.

    Raises:
        UserError: as :func:`bbnas.training.train`; the batch cannot be shared evenly; fewer GPUs
            than workers; BatchNorm on a CPU; a worker died (the last checkpoint is kept).
    """
    from bbnas import training

    if workers == 1:
        info: CheckpointInfo = training.train(
            recipe, output, data, iterations, resume, device, on_event, checkpoint_seconds
        )
        return info
    if workers < 1:
        raise UserError(f"workers {workers}: must be at least 1")

    from bbnas.inference.device import gpus_of, resolve_device
    from bbnas.training.crew import Crew
    from bbnas.training.full import planned
    from bbnas.training.loop import initialise

    gpus, folder = gpus_of(device), Path(output).absolute()
    if gpus and len(gpus) < workers:
        raise UserError(
            f"{workers} workers for {len(gpus)} GPU{'' if len(gpus) == 1 else 's'} of device "
            f"{device}: a full training takes one GPU for each; use --workers {len(gpus)}"
        )
    recipe, _, _ = planned(recipe, folder, data, iterations, resume)
    network = initialise(recipe.design, get_task(recipe.task), recipe.protocol)
    Crew(size=workers).prepare(network, recipe.protocol, resolve_device(device))
    guard_ray()
    with handlers_kept():
        from bbnas.runs.ray_train import train_together

    call = {
        "recipe": recipe,
        "output": folder,
        "resume": resume,
        "checkpoint_seconds": checkpoint_seconds,
    }
    return train_together(workers, gpus[:workers], call, on_event)
