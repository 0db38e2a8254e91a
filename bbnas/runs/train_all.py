"""Evaluating given designs that are no candidates: references, repeats, designs to compare."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, Evaluator
from bbnas.protocol import Protocol
from bbnas.runs.executors import Executor, TrainingEvaluator, executor
from bbnas.store import Store
from bbnas.store.ledger import MAX_DEATHS, Job
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from bbnas.data import Dataset

K = TypeVar("K", bound=Hashable)


class Wanted(NamedTuple):
    """A design to be trained by a protocol; ``label`` is for people."""

    design: Design
    protocol: Protocol
    label: str


@dataclass(frozen=True)
class Trained:
    """One training more: ``done`` of ``total``, and the seconds that the rest may take."""

    label: str
    evaluation: Evaluation
    done: int
    total: int
    remaining: float


def train_named(
    wanted: Mapping[K, Wanted],
    task: str,
    dataset: Dataset,
    store: Store,
    *,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluator | None = None,
    on_trained: Callable[[Trained], None] | None = None,
) -> dict[K, Evaluation]:
    """The evaluation of each: trained, as far as ``store`` lacks it, and kept there as it ends.

    The same call again goes on where it was interrupted, or returns at once.

    Raises:
        UserError: one of them could not be trained at all.
    """
    known: dict[K, Evaluation] = {}
    for name, want in wanted.items():
        found = store.find_evaluation(want.design, task, want.protocol, dataset.fingerprint)
        if found is not None:
            known[name] = found
    missing = {name: want for name, want in wanted.items() if name not in known}
    if missing:
        before, started = len(known), time.monotonic()

        def keep(name: K, new: Evaluation) -> None:
            store.add_evaluation(new)
            known[name] = new
            if on_trained is not None:
                each = (time.monotonic() - started) / (len(known) - before)
                left = each * (len(wanted) - len(known))
                on_trained(Trained(wanted[name].label, new, len(known), len(wanted), left))

        first = next(iter(missing.values())).protocol
        train = evaluate or TrainingEvaluator(get_task(task), first, dataset, device)
        execute = executor(min(workers, len(missing)), train)
        try:
            measure_named(missing, lambda *_: None, keep, execute)
        finally:
            execute.close()
    return {name: known[name] for name in wanted}


def measure_named(
    wanted: Mapping[K, Wanted],
    find: Callable[[Design, Protocol], Evaluation | None],
    keep: Callable[[K, Evaluation], None],
    execute: Executor,
) -> dict[K, Evaluation]:
    """The evaluation of each; ``find`` says what is known, ``keep`` takes what is new.

    Raises:
        UserError: one of them could not be evaluated.
    """
    work = _Named(wanted, find, keep)
    execute.run(work)
    return {name: work.found[name] for name in wanted}


class _Named(Generic[K]):
    """A Work of named designs."""

    def __init__(
        self,
        wanted: Mapping[K, Wanted],
        find: Callable[[Design, Protocol], Evaluation | None],
        keep: Callable[[K, Evaluation], None],
    ) -> None:
        self.found: dict[K, Evaluation] = {}
        self._names = list(wanted)
        self._wanted = wanted
        self._find = find
        self._keep = keep
        self._deaths = 0
        self._waiting = list(range(len(self._names)))

    def next(self) -> Job | None:
        while self._waiting:
            number = self._waiting.pop(0)
            name = self._names[number]
            want = self._wanted[name]
            found = self._find(want.design, want.protocol)
            if found is None:
                return Job(number, want.design, baseline=want.label, protocol=want.protocol)
            self.found[name] = found
        return None

    def finish(self, job: Job, found: Evaluation) -> None:
        name = self._names[job.number]
        self._keep(name, found)
        self.found[name] = found

    def failed(self, job: Job, reason: str) -> None:
        raise UserError(f"{job.baseline} could not be evaluated: {reason}")

    def died(self, job: Job, reason: str) -> None:
        self._deaths += 1
        if self._deaths >= MAX_DEATHS:
            self.failed(job, f"{self._deaths} workers died, the last: {reason}")
        self._waiting.insert(0, job.number)
