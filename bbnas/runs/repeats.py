"""The same design under other seeds: how much of a difference is chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.runs.executors import TrainingEvaluator
from bbnas.store import Store
from bbnas.study import Study
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from bbnas.data import Dataset


def measure_repeats(
    store: Store,
    study: Study,
    design: Design,
    dataset: Dataset,
    repeats: int,
    *,
    device: str = "cpu",
    on_message: Callable[[str], None] | None = None,
) -> list[Evaluation]:
    """``design`` under the study's protocol with the ``repeats`` seeds after its own.

    Each is kept in ``store``, and taken from there the next time.

    Raises:
        UserError: ``dataset`` is not the study's.
    """
    config = study.config
    if dataset.fingerprint != config.data:
        raise UserError(
            f"study {config.name!r} is of {config.data_description}, not of "
            f"{dataset.description}: name the study's images by --data"
        )
    found = []
    for seed in range(config.seed + 1, config.seed + 1 + repeats):
        protocol = config.protocol.model_copy(update={"seed": seed})
        known = store.find_evaluation(design, config.task, protocol, config.data)
        if known is None:
            known = TrainingEvaluator(get_task(config.task), protocol, dataset, device)(design)
            store.add_evaluation(known)
            if on_message is not None:
                on_message(f"recommended design with seed {seed}: {known.psnr:.2f} dB")
        found.append(known)
    return found
