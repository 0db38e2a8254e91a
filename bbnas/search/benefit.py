"""Measuring what VC and VP (paper Eq. 10–11) compare: each part binarized alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bbnas.design import Design, Part, load_design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, Study
from bbnas.protocol import Protocol
from bbnas.search.executors import Evaluate, Executor, Training, executor
from bbnas.search.ledger import MAX_DEATHS, Job
from bbnas.space import Space
from bbnas.store import Store
from bbnas.tasks import Task, get_task

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
    evaluate: Evaluate | None = None,
    on_message: Callable[[str], None] | None = None,
) -> dict[str, Evaluation]:
    """The evaluations of ``benefit_designs`` by name, from ``store`` where it has them.

    Raises:
        UserError: one of them could not be evaluated.
    """
    task = get_task(task) if isinstance(task, str) else task

    def find(design: Design) -> Evaluation | None:
        if store is None:
            return None
        return store.find_evaluation(design, task.name, protocol, dataset.fingerprint)

    def keep(found: Evaluation) -> None:
        if store is not None:
            store.add_evaluation(found)

    train = evaluate or Training(task.name, protocol, dataset, device)
    designs = benefit_designs(task, space)
    workers_used = executor(min(workers, len(designs)), train)
    try:
        return measure(designs, find, keep, workers_used, on_message)
    finally:
        workers_used.close()


def measure_study_benefit(
    store: Store,
    name: str,
    dataset: Dataset,
    *,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluate | None = None,
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
        space=Space.from_dict(config.space),
        store=store,
        workers=workers,
        device=device,
        evaluate=evaluate,
        on_message=on_message,
    )
    for each in found.values():
        store.refer(name, each)
    return store.load_study(name)


def measure(
    designs: Mapping[str, Design],
    find: Callable[[Design], Evaluation | None],
    keep: Callable[[Evaluation], None],
    execute: Executor,
    on_message: Callable[[str], None] | None = None,
) -> dict[str, Evaluation]:
    """The evaluation of each design; ``find`` says what is known, ``keep`` takes what is."""
    references = References(designs, find, keep, on_message)
    execute.run(references)
    return {name: references.found[name] for name in designs}


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


class References:
    """A Work of named designs that are kept as references, not as candidates."""

    def __init__(
        self,
        designs: Mapping[str, Design],
        find: Callable[[Design], Evaluation | None],
        keep: Callable[[Evaluation], None],
        on_message: Callable[[str], None] | None,
    ) -> None:
        self.found: dict[str, Evaluation] = {}
        self._names = list(designs)
        self._designs = designs
        self._find = find
        self._keep = keep
        self._deaths = 0
        self._say = on_message or (lambda _text: None)
        self._waiting = list(range(len(self._names)))

    def next(self) -> Job | None:
        while self._waiting:
            number = self._waiting.pop(0)
            name = self._names[number]
            found = self._find(self._designs[name])
            if found is None:
                return Job(number, self._designs[name], baseline=name)
            self._keep(found)
            self.found[name] = found
        return None

    def finish(self, job: Job, found: Evaluation) -> None:
        self._keep(found)
        self.found[job.baseline] = found
        psnr = f"{found.psnr:.2f} dB" if math.isfinite(found.psnr) else found.status
        self._say(f"{_title(job.baseline)}: {psnr}")

    def failed(self, job: Job, reason: str) -> None:
        raise UserError(f"the reference ({_title(job.baseline)}) failed: {reason}")

    def died(self, job: Job, reason: str) -> None:
        self._deaths += 1
        if self._deaths >= MAX_DEATHS:
            self.failed(job, f"{self._deaths} workers died, the last: {reason}")
        self._waiting.insert(0, job.number)
