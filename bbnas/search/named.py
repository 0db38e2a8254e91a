"""Evaluating given designs that are no candidates: references, repeats, designs to compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.search.executors import Executor
from bbnas.search.ledger import MAX_DEATHS, Job


def measure_named(
    designs: Mapping[str, Design],
    find: Callable[[Design], Evaluation | None],
    keep: Callable[[str, Evaluation], None],
    execute: Executor,
) -> dict[str, Evaluation]:
    """The evaluation of each design; ``find`` says what is known, ``keep`` takes what is new.

    Raises:
        UserError: one of them could not be evaluated.
    """
    work = _Named(designs, find, keep)
    execute.run(work)
    return {name: work.found[name] for name in designs}


class _Named:
    """A Work of named designs."""

    def __init__(
        self,
        designs: Mapping[str, Design],
        find: Callable[[Design], Evaluation | None],
        keep: Callable[[str, Evaluation], None],
    ) -> None:
        self.found: dict[str, Evaluation] = {}
        self._names = list(designs)
        self._designs = designs
        self._find = find
        self._keep = keep
        self._deaths = 0
        self._waiting = list(range(len(self._names)))

    def next(self) -> Job | None:
        while self._waiting:
            number = self._waiting.pop(0)
            name = self._names[number]
            found = self._find(self._designs[name])
            if found is None:
                return Job(number, self._designs[name], baseline=name)
            self.found[name] = found
        return None

    def finish(self, job: Job, found: Evaluation) -> None:
        self._keep(job.baseline, found)
        self.found[job.baseline] = found

    def failed(self, job: Job, reason: str) -> None:
        raise UserError(f"{job.baseline} could not be evaluated: {reason}")

    def died(self, job: Job, reason: str) -> None:
        self._deaths += 1
        if self._deaths >= MAX_DEATHS:
            self.failed(job, f"{self._deaths} workers died, the last: {reason}")
        self._waiting.insert(0, job.number)
