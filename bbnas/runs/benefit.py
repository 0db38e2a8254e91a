"""Measuring what VC and VP (paper Eq. 10–11) compare: each part binarized alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, Evaluator
from bbnas.presets import load_design
from bbnas.protocol import Protocol
from bbnas.runs.executors import TrainingEvaluator, executor
from bbnas.runs.train_all import Wanted, measure_named
from bbnas.space import Space
from bbnas.store import Store
from bbnas.study import Study
from bbnas.tasks import Part, Task, get_task

if TYPE_CHECKING:
    from bbnas.data import Dataset

REFERENCE = "none"


def benefit_designs(task: Task, space: Space | None = None) -> dict[str, Design]:
    """The designs to compare: ``none`` is full precision, the others bear their part's name.

    The unit is BBCU (V4, aligned at k*), at the largest width and depth of ``space``, or the
    paper's for the task's backbone without one.
    """
    unit = load_design("bbcu-v4", task)
    if space is not None:
        unit = unit.replace(width=max(space.axes.width), depth=max(space.axes.depth))
    designs = {REFERENCE: Design(width=unit.width, depth=unit.depth)}
    designs |= {str(part): unit.replace(binarize=(part,)) for part in task.parts}
    return {name: design.canonical() for name, design in designs.items()}


def measure_benefit(
    task: str | Task,
    protocol: Protocol,
    dataset: Dataset,
    *,
    space: Space | None = None,
    store: Store | None = None,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluator | None = None,
    on_message: Callable[[str], None] | None = None,
) -> dict[str, Evaluation]:
    """The evaluations of ``benefit_designs`` by name, from ``store`` where it has them.

    Raises:
        UserError: one of them could not be evaluated.
    """
    task = get_task(task) if isinstance(task, str) else task

    def find(design: Design, protocol: Protocol) -> Evaluation | None:
        if store is None:
            return None
        return store.find_evaluation(design, task.name, protocol, dataset.fingerprint)

    def keep(name: str, found: Evaluation) -> None:
        if store is not None:
            store.add_evaluation(found)
        if on_message is not None:
            psnr = f"{found.psnr:.2f} dB" if math.isfinite(found.psnr) else found.status
            on_message(f"{_title(name)}: {psnr}")

    train = evaluate or TrainingEvaluator(task, protocol, dataset, device)
    designs = benefit_designs(task, space)
    workers_used = executor(min(workers, len(designs)), train)
    try:
        wanted = {name: Wanted(design, protocol, name) for name, design in designs.items()}
        return measure_named(wanted, find, keep, workers_used)
    finally:
        workers_used.close()


def measure_study_benefit(
    store: Store,
    name: str,
    dataset: Dataset,
    *,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluator | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Study:
    """The study with its references measured, under its own protocol, and kept.

    Raises:
        UserError: no such study, or ``dataset`` is not the study's.
    """
    config = store.load_study(name).config
    if dataset.fingerprint != config.data:
        raise UserError(
            f"study {name!r} is of {config.data_description}, not of {dataset.description}: "
            "name the study's images by --data"
        )
    found = measure_benefit(
        config.task,
        config.protocol,
        dataset,
        space=config.space,
        store=store,
        workers=workers,
        device=device,
        evaluate=evaluate,
        on_message=on_message,
    )
    for each in found.values():
        store.refer(name, each)
    return store.load_study(name)


def binarization_order(found: Mapping[str, Evaluation]) -> list[Part]:
    """The parts, the one that costs least PSNR for what it saves first: by VC, then by VP.

    Raises:
        UserError: the full-precision reference diverged.
    """
    from bbnas.analysis.benefit import benefit_rows, ranking

    reference = found[REFERENCE]
    if not reference.feasible:
        raise UserError(
            f"the full-precision reference {reference.status} ({reference.error}), so parts "
            "cannot be ranked: search with --guide none"
        )
    singles = {Part(name): each for name, each in found.items() if name != REFERENCE}
    return ranking(benefit_rows(reference, singles))


def _title(name: str) -> str:
    return "full precision" if name == REFERENCE else f"{name} binarized"
