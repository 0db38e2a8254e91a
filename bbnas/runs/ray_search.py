"""Ray Tune's view of a Work: its trials are Jobs, and what becomes of them is told to the Work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import ray
from ray import tune
from ray.exceptions import OutOfMemoryError, RayTaskError
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from bbnas.errors import UserError
from bbnas.runs.executors import Work, reason
from bbnas.store.ledger import Job
from bbnas.text import duration


class Parcel:
    """The state of a paused training on its way to a worker or from it.

    Tune keeps what it is given, and copies of it, to the end of the search; ``take`` empties the
    parcel, and its copies are itself.
    """

    def __init__(self, content: bytes | None) -> None:
        self.content = content

    def __deepcopy__(self, memo: object) -> Parcel:
        return self

    def take(self) -> bytes | None:
        """The content, which is gone from here then."""
        content, self.content = self.content, None
        return content


class OverWork(Searcher):
    """Hands Tune's trials the Jobs of a Work, ``most()`` at once, and tells it their outcomes."""

    def __init__(self, work: Work, first: Job, most: Callable[[], int]) -> None:
        super().__init__()
        self._work = work
        self._next: Job | None = first
        self._most = most
        self._jobs: dict[str, Job] = {}
        self._states: dict[str, Parcel] = {}  # of the trainings that they continue
        # Nodes and process ids of the workers, in the order in which they began.
        self._workers: list[tuple[str, int]] = []
        self._began: dict[str, float] = {}  # trial → monotonic time of its worker's start
        self._found_any = False

    def suggest(self, trial_id: str) -> Any:
        if len(self._jobs) >= self._most():
            return None
        job, self._next = self._next, None
        with _aborting():
            job = job or self._work.next()
        if job is None:
            # A job in flight may come back, if its worker dies: finished is for good.
            return None if self._jobs else Searcher.FINISHED
        self._jobs[trial_id] = replace(job, state=None)
        self._states[trial_id] = state = Parcel(job.state)
        return {"job": self._jobs[trial_id], "state": state}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """A worker begins with the job of ``trial_id``."""
        worker = result["node"], result["pid"]
        if worker not in self._workers:
            self._workers.append(worker)
        self._began[trial_id] = time.monotonic()
        self._jobs[trial_id] = replace(
            self._jobs[trial_id], worker=self._workers.index(worker), began=time.time()
        )

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        if error or result is None:
            return  # TrialWatch knows why, and calls ``lost``
        job = self._forget(trial_id)
        with _aborting():
            if "found" in result:
                self._found_any = True
                state = result["state"].take()
                self._work.finish(replace(job, state=state), result["found"])
            elif "unlike" in result:
                raise UserError(result["unlike"])
            elif "failed" in result:
                self._work.failed(job, result["failed"])
            elif self._found_any:
                self._work.failed(job, result["refused"])
            else:  # bad input, not a bad candidate
                raise UserError(result["refused"])

    def overdue(self, timeout: float) -> list[str]:
        """The trials that their workers began more than ``timeout`` seconds ago."""
        latest = time.monotonic() - timeout
        return [trial_id for trial_id, began in self._began.items() if began < latest]

    def lose_all(self, reason: str) -> None:
        """All workers are gone."""
        for trial_id in list(self._jobs):
            self.lost(trial_id, reason, again=True)

    def lost(self, trial_id: str, reason: str, again: bool) -> None:
        """The worker of ``trial_id`` is gone; ``again``: another one may do better."""
        job = self._forget(trial_id)
        with _aborting():
            (self._work.died if again else self._work.failed)(job, reason)

    def _forget(self, trial_id: str) -> Job:
        self._began.pop(trial_id, None)
        self._states.pop(trial_id).take()
        return self._jobs.pop(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """The study database is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """The study database is the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it for its own resume, which is not ours


class Patient(FIFOScheduler):
    """Gives a worker that is free to the oldest trial for which none starts just now.

    Tune gives it to the oldest of all, and ends the worker that starts for that one: where
    candidates take less time than the start of a worker, no second one would ever come.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._waiting: list[Any] = []  # trials, oldest first

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._waiting.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        self._waiting = [trial for trial in self._waiting if trial.status == "PENDING"]
        controller = tune_controller._tune_controller

        def starts(trial: Any) -> bool:
            actor = controller._trial_to_actor.get(trial)
            return actor is not None and controller._actor_manager.is_actor_started(actor)

        return next((trial for trial in self._waiting if not starts(trial)), None)


class TrialWatch(tune.Callback):
    """Looks between Tune's steps, 0.1 s apart, for a signal that ``asked`` tells of, for Ray's
    agent, of which ``gone`` tells, and for candidates that take longer than ``timeout`` seconds;
    tells ``searcher`` why a worker is gone.

    Raised wherever it strikes, in Ray's callbacks say, a KeyboardInterrupt may well be ignored.
    """

    def __init__(
        self,
        searcher: OverWork,
        asked: Callable[[], bool],
        timeout: float | None,
        gone: Callable[[], bool],
    ) -> None:
        self._searcher, self._asked, self._timeout = searcher, asked, timeout
        self._gone = gone
        self._ended: set[str] = set()  # trials over the time

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as of the searcher

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._asked():
            raise Abort(KeyboardInterrupt())
        if self._gone():
            raise RayGoneError
        if self._timeout is None:
            return
        late = set(self._searcher.overdue(self._timeout)) - self._ended
        for trial in trials if late else ():
            if trial.trial_id in late:
                self._ended.add(trial.trial_id)
                ray.kill(trial.temporary_state.ray_actor)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if trial.trial_id in self._ended:
            assert self._timeout is not None
            words = f"took longer than {duration(self._timeout)} (--candidate-timeout)"
            self._searcher.lost(trial.trial_id, words, again=False)
            return
        error = trial.get_pickled_error()
        if isinstance(error, RayTaskError):  # such as an evaluator that a node cannot import
            self._searcher.lost(trial.trial_id, reason(error.cause or error), again=False)
        elif "creation task" in str(error):  # of an actor, whose setup raised an error
            told = str(error).strip().splitlines()[-1]
            self._searcher.lost(trial.trial_id, told, again=False)
        else:
            self._searcher.lost(trial.trial_id, _death(error), again=True)


def _death(error: BaseException | None) -> str:
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "OOM" in text or "low on memory" in text:
        return "its node ran out of memory"
    return "its process or its node is gone, perhaps for want of memory"


class Abort(BaseException):
    """Carries an error past Tune, which would wrap it, or log it and go on."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class RayGoneError(BaseException):
    """Ray's agent on this machine was killed; passes Tune as Abort does."""


@contextmanager
def _aborting() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Abort(error) from error
