"""Workers by Ray Tune: live, reused, one-thread processes on this machine.

Tune is given nothing to keep: the study database is the only state. The workers never open it;
the Searcher below, in the driver, is the one writer. Importing this module imports Ray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from bbnas.environment import environment_variables
from bbnas.errors import UserError
from bbnas.evaluation import Evaluator
from bbnas.runs.executors import Work, evaluated, reason
from bbnas.runs.ray_start import ray_started, share, variables
from bbnas.signals import delayed, end_processes, received
from bbnas.store.database import now
from bbnas.store.ledger import Job

# Asked this many candidates ahead, so that a worker need not wait for the sampler.
AHEAD = 1

_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Its own handler waits for the workers; Stop lets go of them at once.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "1e9",
}


class RayTune:
    """``workers`` Ray actors, started at the first Job and kept until ``close``.

    They share the GPUs of the numbers ``gpus`` evenly; each sees one of them, as ``cuda:0``.
    """

    def __init__(self, workers: int, evaluate: Evaluator, gpus: Sequence[int] = ()) -> None:
        self._workers, self._gpus = workers, gpus
        self._evaluate = evaluate
        self._folder: Path | None = None
        self._open = ExitStack()

    def run(self, work: Work) -> None:
        first = work.next()
        if first is None:
            return
        with environment_variables(variables() | _ENVIRONMENT), delayed(second=True) as asked:
            folder = self._started()
            try:
                self._tune(OverWork(work, first, self._workers + AHEAD), Stop(asked), folder)
            except _Abort as abort:
                raise abort.error from None

    def close(self) -> None:
        if received():
            end_processes()  # Ray takes seconds to end them
        self._open.close()
        self._folder = None

    def _started(self) -> Path:
        """The folder of the workers, which are started if they are not."""
        if self._folder is None:
            self._folder = self._open.enter_context(ray_started(self._workers, self._gpus))
        return self._folder

    def _tune(self, searcher: OverWork, stop: Stop, folder: Path) -> None:
        worker = tune.with_parameters(Worker, evaluate=self._evaluate)
        tune.Tuner(
            tune.with_resources(worker, {"CPU": 1, "GPU": share(self._workers, self._gpus)}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(folder / "tune"),
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=0),
                callbacks=[stop],
            ),
        ).fit()


class Worker(tune.Trainable):
    """Evaluates one design a step; the process stays and takes the next design."""

    def setup(self, config: dict[str, Any], evaluate: Evaluator | None = None) -> None:
        self._evaluate = evaluate
        self._job = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job = new_config
        return True

    def step(self) -> dict[str, Any]:
        assert self._evaluate is not None
        outcome: dict[str, Any]
        try:
            job: Job = self._job["job"]
            outcome = {"found": evaluated(self._evaluate, job)}
        except UserError as error:
            outcome = {"refused": str(error)}
        except Exception as error:  # noqa: BLE001 - told to the driver, which decides
            outcome = {"failed": reason(error)}
        return outcome | {"done": True}


class OverWork(Searcher):
    """Hands Tune's trials the Jobs of a Work, at most ``ahead`` at once, and it their outcomes."""

    def __init__(self, work: Work, first: Job, ahead: int) -> None:
        super().__init__()
        self._work = work
        self._next: Job | None = first
        self._ahead = ahead
        self._jobs: dict[str, Job] = {}
        self._workers: list[int] = []  # their process ids, in the order of their first outcomes

    def suggest(self, trial_id: str) -> Any:
        if len(self._jobs) >= self._ahead:
            return None
        job, self._next = self._next, None
        with _aborting():
            job = job or self._work.next()
        if job is None:
            # A job in flight may come back, if its worker dies: finished is for good.
            return None if self._jobs else Searcher.FINISHED
        self._jobs[trial_id] = job
        return {"job": job}

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        job = self._jobs.pop(trial_id)
        if result is not None:
            job = self._signed(job, result)
        with _aborting():
            if error or result is None:
                self._work.died(job, "its process is gone, perhaps for want of memory")
            elif "found" in result:
                self._work.finish(job, result["found"])
            elif "refused" in result:
                raise UserError(result["refused"])
            else:
                self._work.failed(job, result["failed"])

    def _signed(self, job: Job, result: Mapping[str, Any]) -> Job:
        """``job`` with the worker that evaluated it, and when: Tune adds both to a result."""
        if result["pid"] not in self._workers:
            self._workers.append(result["pid"])
        began = now() - timedelta(seconds=result["time_this_iter_s"])
        return replace(job, worker=self._workers.index(result["pid"]), began=began)

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Nothing is reported before the end."""

    def save(self, checkpoint_path: str) -> None:
        """The study database is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """The study database is the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it for its own resume, which is not ours


class Stop(tune.Callback):
    """Ends Tune between two of its steps, at most 0.1 s after a signal that ``asked`` tells of.

    Raised wherever it strikes, in Ray's callbacks say, a KeyboardInterrupt may well be ignored.
    """

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self._asked():
            raise _Abort(KeyboardInterrupt())


class _Abort(BaseException):
    """Carries an error past Tune, which would wrap it, or log it and go on."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def _aborting() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise _Abort(error) from error
