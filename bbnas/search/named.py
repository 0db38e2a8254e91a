"""Evaluating given designs that are no candidates: references, repeats, designs to compare."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Generic, NamedTuple, TypeVar

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.protocol import Protocol
from bbnas.search.executors import Executor
from bbnas.search.ledger import MAX_DEATHS, Job

K = TypeVar("K", bound=Hashable)


class Wanted(NamedTuple):
    """A design to be trained by a protocol."""

    design: Design
    protocol: Protocol


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
            design, protocol = self._wanted[name]
            found = self._find(design, protocol)
            if found is None:
                return Job(number, design, baseline=str(name), protocol=protocol)
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
