"""Trainings beside a study's candidates, such as confirmations: shared by its searches."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from contextlib import nullcontext
from typing import Generic, TypeVar

from bbnas.evaluation import Evaluation
from bbnas.runs.executors import Executor
from bbnas.runs.train_all import Request
from bbnas.store.database import AwayError
from bbnas.store.ledger import Job, Ledger
from bbnas.text import plural

K = TypeVar("K", bound=Hashable)

# Seconds before another search is asked again whether it has made a training.
_POLL = 0.5


def train_references(
    requests: Mapping[K, Request],
    ledger: Ledger,
    workers_used: Executor,
    max_retries: int,
    title: str,
    say: Callable[[str], None],
) -> dict[K, Evaluation]:
    """The evaluation of each request by its key, as a reference of the study of ``ledger``.

    Each is made once, by one of the searches of the study; the call ends when all are made. One
    whose worker is gone is made again, ``max_retries`` times. One that fails is left out and told
    to ``say``, as each result is, after ``title``; the same search again tries it again.
    """
    work = _Shared(requests, ledger, max_retries, title, say)
    workers_used.run(work)
    while work.waiting:
        time.sleep(_POLL)
        workers_used.run(work)
    ledger.settle()
    return {key: work.found[key] for key in requests if key in work.found}


class _Shared(Generic[K]):
    """The Work of ``train_references``."""

    def __init__(
        self,
        requests: Mapping[K, Request],
        ledger: Ledger,
        max_retries: int,
        title: str,
        say: Callable[[str], None],
    ) -> None:
        self._requests = list(requests.items())
        self._ledger, self._max_retries = ledger, max_retries
        self._title, self._say = title, say
        self.found: dict[K, Evaluation] = {}
        # Their positions: of those that are not begun here, and of those in training here.
        self.waiting = list(range(len(requests)))
        self._running: set[int] = set()
        self._deaths: Counter[int] = Counter()
        self._due = 0.0

    def next(self) -> Job | None:
        if self._running and time.monotonic() < self._due:
            return None
        store = self._ledger.store
        try:
            with store.at_once() if self._running else nullcontext():
                self._ledger.settle()
                return self._claimed()
        except AwayError:
            return None

    def _claimed(self) -> Job | None:
        for number in list(self.waiting):
            key, (design, protocol, label) = self._requests[number]
            claim = self._ledger.claim_reference(design, protocol)
            if claim is False:
                continue
            self.waiting.remove(number)
            if claim is True:
                self._running.add(number)
                return Job(number, design, baseline=label, protocol=protocol)
            self.found[key] = claim
        self._due = time.monotonic() + _POLL
        return None

    def finish(self, job: Job, found: Evaluation) -> None:
        self._running.discard(job.number)
        self.found[self._requests[job.number][0]] = found
        self._ledger.refer(found)
        done = f"{len(self.found)} of {len(self._requests)}"
        self._say(f"{self._title}, {done}: {found.result}, {job.baseline}")

    def failed(self, job: Job, reason: str) -> None:
        self._running.discard(job.number)
        self._say(f"{self._title}: {job.baseline} could not be trained ({reason})")

    def died(self, job: Job, reason: str) -> None:
        self._deaths[job.number] += 1
        deaths = self._deaths[job.number]
        if deaths > self._max_retries:
            self.failed(job, f"{plural(deaths, 'worker')} died training it, the last: {reason}")
            return
        self._running.discard(job.number)
        self.waiting.insert(0, job.number)
