"""Training given designs, unless the store has their evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, Evaluator
from bbnas.protocol import Protocol
from bbnas.runs.executors import Executor, TrainingEvaluator, executor, usual_workers
from bbnas.store import Store
from bbnas.store.ledger import MAX_DEATHS, Job
from bbnas.study import StudyConfig
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from bbnas.data import Dataset

K = TypeVar("K", bound=Hashable)


class Request(NamedTuple):
    """A design to be trained by a protocol; ``label`` names it in messages."""

    design: Design
    protocol: Protocol
    label: str


@dataclass(frozen=True)
class Trained:
    """A training has ended, the ``done``-th of ``total``; the rest takes ``remaining`` seconds."""

    label: str
    evaluation: Evaluation
    done: int
    total: int
    remaining: float


def train_all(
    requests: Mapping[K, Request],
    evaluator: Evaluator,
    store: Store | None,
    *,
    study: str = "",
    workers: int | None = None,
    workers_used: Executor | None = None,
    on_done: Callable[[Trained], None] | None = None,
) -> dict[K, Evaluation]:
    """The evaluation of each request, by its key.

    An evaluation that ``store`` has under the evaluator's task and data is taken from there; the
    others are made now, and each is written to ``store`` as it ends. The same call again
    therefore resumes after an interruption. With ``study``, the name of a study in ``store``,
    every evaluation is also linked to it (:meth:`bbnas.store.Store.refer`).

    ``workers`` is the number of processes that are started for this call, by default one per
    core, at most four a GPU; 1 is this process. ``workers_used`` are open workers of the same
    evaluator instead. ``on_done`` is called after each new training.

    Raises:
        UserError: a design could not be trained at all.
    """
    work = _Requests(requests, evaluator, store, study, on_done)
    if not work.waiting:
        return work.results()
    if workers_used is not None:
        workers_used.run(work)
        return work.results()
    opened = executor(min(workers or usual_workers(evaluator), len(work.waiting)), evaluator)
    try:
        opened.run(work)
    finally:
        opened.close()
    return work.results()


def study_evaluator(
    config: StudyConfig, dataset: Dataset, device: str = "auto"
) -> TrainingEvaluator:
    """The evaluator of a study's candidates, for more trainings under the same circumstances.

    Raises:
        UserError: ``dataset`` is not the study's.
    """
    if dataset.fingerprint != config.data:
        raise UserError(
            f"study {config.name!r} is of {config.data_description}, not of "
            f"{dataset.description}: name the study's images by --data"
        )
    return TrainingEvaluator(get_task(config.task), config.protocol, dataset, device)


class _Requests(Generic[K]):
    """The Work of ``train_all``: jobs for the requests that the store cannot answer."""

    def __init__(
        self,
        requests: Mapping[K, Request],
        evaluator: Evaluator,
        store: Store | None,
        study: str,
        on_done: Callable[[Trained], None] | None,
    ) -> None:
        self._requests = requests
        self._keys = list(requests)
        self._store = store
        self._study = study
        self._on_done = on_done
        self._evaluations: dict[K, Evaluation] = {}
        self._deaths = 0
        self._started = time.monotonic()
        if store is not None:
            for key, (design, protocol, _) in requests.items():
                stored = store.find_evaluation(design, evaluator.task, protocol, evaluator.data)
                if stored is not None:
                    self._keep(key, stored)
        self._stored = len(self._evaluations)
        # Positions in ``_keys`` of the requests that no worker has yet.
        self.waiting = [i for i, key in enumerate(self._keys) if key not in self._evaluations]

    def results(self) -> dict[K, Evaluation]:
        return {key: self._evaluations[key] for key in self._keys}

    def next(self) -> Job | None:
        if not self.waiting:
            return None
        number = self.waiting.pop(0)
        request = self._requests[self._keys[number]]
        return Job(number, request.design, baseline=request.label, protocol=request.protocol)

    def finish(self, job: Job, found: Evaluation) -> None:
        key = self._keys[job.number]
        self._keep(key, found)
        if self._on_done is not None:
            done, total = len(self._evaluations), len(self._requests)
            seconds = (time.monotonic() - self._started) / (done - self._stored)
            label = self._requests[key].label
            self._on_done(Trained(label, found, done, total, seconds * (total - done)))

    def failed(self, job: Job, reason: str) -> None:
        raise UserError(f"{job.baseline} could not be evaluated: {reason}")

    def died(self, job: Job, reason: str) -> None:
        self._deaths += 1
        if self._deaths >= MAX_DEATHS:
            self.failed(job, f"{self._deaths} workers died, the last: {reason}")
        self.waiting.insert(0, job.number)

    def _keep(self, key: K, evaluation: Evaluation) -> None:
        self._evaluations[key] = evaluation
        if self._store is not None and self._study:
            self._store.refer(self._study, evaluation)
        elif self._store is not None:
            self._store.add_evaluation(evaluation)
