"""Trainings for VC and VP (paper Eq. 10–11): full precision, and each part binarized alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bbnas.analysis.benefit import benefit_rows, ranking
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.presets import load_design
from bbnas.protocol import Protocol
from bbnas.runs.executors import Executor
from bbnas.runs.references import train_references
from bbnas.runs.train_all import Request
from bbnas.space import Space
from bbnas.store.ledger import Ledger
from bbnas.tasks import Part, Task, get_task

REFERENCE = "none"  # the key of the full-precision design


def benefit_designs(task: Task, space: Space | None = None) -> dict[str, Design]:
    """The designs to compare: full precision under ``none``, the others under their part's name.

    The unit is BBCU (V4, aligned at k*). Width and depth are the largest of ``space``, and the
    parts are built as in the paper, or as the space has it where it has one way alone; without a
    space all is that of the paper for the task's backbone.
    """
    unit = load_design("bbcu-v4", task)
    if space is not None:
        unit = unit.replace(
            width=max(space.axes.width), depth=max(space.axes.depth), **space.fixed
        )
    designs = {REFERENCE: unit.in_full_precision()}
    singles = {str(part): unit.replace(binarize=(part,)).fitted(task) for part in task.parts}
    return designs | {name: design for name, design in singles.items() if design.binarize}


def benefit_requests(
    task: Task, protocol: Protocol, space: Space | None = None
) -> dict[str, Request]:
    """The trainings of ``benefit_designs`` by ``protocol``, for ``train_all``."""
    titles = {REFERENCE: "full precision"} | {str(p): f"{p} binarized" for p in task.parts}
    designs = benefit_designs(task, space)
    return {name: Request(design, protocol, titles[name]) for name, design in designs.items()}


def measure_benefit(
    ledger: Ledger, workers_used: Executor, max_retries: int, say: Callable[[str], None]
) -> dict[str, Evaluation]:
    """Train ``benefit_designs`` for a study as its references, as far as it lacks them; see
    :func:`bbnas.runs.references.train_references`. One that fails is left out.
    """
    config = ledger.config
    requests = benefit_requests(get_task(config.task), config.protocol, config.space)
    return train_references(requests, ledger, workers_used, max_retries, "VC and VP", say)


def binarization_order(evaluations: Mapping[str, Evaluation]) -> list[Part]:
    """The parts in ascending order of VC, then VP: the PSNR that each costs for what it saves.

    ``evaluations`` are those of :func:`benefit_requests`.

    Raises:
        UserError: the full-precision reference diverged.
    """
    reference = evaluations[REFERENCE]
    if not reference.feasible:
        raise UserError(
            f"the full-precision reference {reference.status} ({reference.error}), so parts "
            "cannot be ranked: search with --guide none"
        )
    singles = {Part(name): e for name, e in evaluations.items() if name != REFERENCE}
    return ranking(benefit_rows(reference, singles))
