"""Workers by Ray Tune: live, reused, one-thread processes, on this machine or on a Ray cluster.

Tune is given nothing to keep: the study database is the only state. The workers never open it;
the Searcher of :mod:`bbnas.runs.ray_search`, in the driver, is the one writer. Importing this
module imports Ray.
"""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import tune

from bbnas.environment import environment_variables
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, Evaluator
from bbnas.runs.builds import Build, build
from bbnas.runs.executors import TrainingEvaluator, Work, evaluated, reason, sent
from bbnas.runs.placement import Placement
from bbnas.runs.ray_search import Abort, OverWork, Parcel, Patient, RayGoneError, TrialWatch
from bbnas.runs.ray_start import (
    gone,
    nodes_with,
    ray_joined,
    ray_started,
    raylet,
    room,
    share,
    variables,
)
from bbnas.signals import delayed, end_processes, received
from bbnas.store.ledger import Job

# Asked this many candidates ahead, so that a worker need not wait for the sampler.
AHEAD = 1

_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Its own handler waits for the workers; Stop lets go of them at once.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    # One by default: while candidates take less than a worker's start, no second would start.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "1e9",
}


class RayTune:
    """``workers`` Ray actors, started at the first Job and kept until ``close``.

    On this machine they share the GPUs of the numbers ``gpus`` evenly; each sees one of them, as
    ``cuda:0``. On a cluster ``workers`` may be None, for as many as there is room for at the time.
    """

    def __init__(
        self,
        workers: int | None,
        evaluate: Evaluator,
        placement: Placement,
        gpus: Sequence[int] = (),
    ) -> None:
        self._workers, self._placement, self._gpus = workers, placement, gpus
        self._evaluate = evaluate
        self._folder: Path | None = None
        self._open = ExitStack()

    def run(self, work: Work) -> None:
        while (first := work.next()) is not None:
            if self._finished(work, first):
                return

    def _finished(self, work: Work, first: Job) -> bool:
        """Whether all was done; not if Ray was killed on the way."""
        local = self._placement.address is None
        with environment_variables(variables(local) | _ENVIRONMENT), delayed(second=True) as asked:
            folder = self._started()
            searcher = OverWork(work, first, self._most)
            agent = raylet()
            watch = TrialWatch(searcher, asked, self._placement.timeout, lambda: gone(agent))
            try:
                self._tune(searcher, watch, folder)
            except Abort as abort:
                raise abort.error from None
            except RayGoneError:
                if not local:
                    raise UserError(
                        "Ray's process on this machine, the raylet, is gone: start this node "
                        "again by ray start, and run the same command again; nothing is lost"
                    ) from None
                self.close()
                searcher.lose_all("Ray's process on this machine, the raylet, was killed")
                return False
        return True

    def close(self) -> None:
        if received():
            end_processes()  # Ray takes seconds to end them
        self._open.close()
        self._folder = None

    def _most(self) -> int:
        """The number of candidates to be in hand at once."""
        if self._placement.address is None:
            assert self._workers is not None
            return self._workers + AHEAD
        space = room(self._placement)
        if self._workers is not None and self._workers < space:
            return self._workers  # one ahead would get a worker of its own
        return space + AHEAD

    def _started(self) -> Path:
        """The folder of the workers, which are started if they are not."""
        if self._folder is None:
            if self._placement.address is not None:
                opened = ray_joined(self._placement)
            else:
                assert self._workers is not None
                opened = ray_started(self._workers, self._gpus, self._placement.cpus)
            self._folder = self._open.enter_context(opened)
        return self._folder

    def _tune(self, searcher: OverWork, watch: TrialWatch, folder: Path) -> None:
        on_gpu = isinstance(self._evaluate, TrainingEvaluator) and self._evaluate.device == "cuda"
        device = "cuda" if on_gpu else "cpu"
        # The evaluator, images and all, goes into the object store: once for each node.
        worker = tune.with_parameters(
            Worker,
            evaluator=sent(self._evaluate, elsewhere=self._placement.address is not None),
            wanted=build(device),
            device=device,
            placement=self._placement,
        )
        gpus = self._placement.gpus
        if gpus is None:
            gpus = share(self._workers, self._gpus) if self._workers is not None else 0.0
        bundles = [{"CPU": self._placement.cpus, "GPU": gpus}]
        where: dict[str, Any] = {}
        if self._placement.address is not None and self._placement.same_kernels:
            nodes = ",".join(nodes_with(build(device).kernels, device))
            where = {"bundle_label_selector": [{"ray.io/node-id": f"in({nodes})"}]}
        tune.Tuner(
            tune.with_resources(worker, tune.PlacementGroupFactory(bundles, **where)),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=Patient(),
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
                callbacks=[watch],
            ),
        ).fit()


class Worker(tune.Trainable):
    """Says where it is, then evaluates one design; the process stays and takes the next design."""

    def setup(
        self,
        config: dict[str, Any],
        evaluator: Callable[[], Evaluator] | None = None,
        wanted: Build | None = None,
        device: str = "cpu",
        placement: Placement | None = None,
    ) -> None:
        assert evaluator is not None
        assert wanted is not None
        assert placement is not None
        self._evaluate, self._wanted, self._placement = evaluator(), wanted, placement
        self._build = build(device)
        self._node = ray.get_runtime_context().get_node_id()
        self._place = socket.gethostname()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._job: Job = replace(new_config["job"], state=new_config["state"].content)
        self._told = False
        return True

    def step(self) -> dict[str, Any]:
        if not self._told:
            self._told = True
            if unlike := self._wanted.unlike(self._build):
                return {
                    "unlike": f"node {self._place}: {unlike} of this command; install the same "
                    "on every node, and restart the cluster",
                    "done": True,
                }
            return {"node": self._node, "place": self._place, "done": False}
        outcome: dict[str, Any]
        try:
            with _memory_limited(self._placement.memory):
                job, found = evaluated(self._evaluate, self._job)
            outcome = {"found": self._marked(found), "state": Parcel(job.state)}
        except UserError as error:
            outcome = {"refused": str(error)}
        except Exception as error:  # noqa: BLE001 - told to the driver, which decides
            outcome = {"failed": reason(error)}
        return outcome | {"done": True}

    def _marked(self, found: Evaluation) -> Evaluation:
        """``found`` with the node, on a cluster, and with the search's kernels, if others."""
        if self._placement.address is None:
            return found
        marks = {"node": self._place}
        if self._build.kernels != self._wanted.kernels:
            marks["kernels of the search"] = self._wanted.kernels
        return replace(found, environment={**found.environment, **marks})


@contextmanager
def _memory_limited(most: float | None) -> Iterator[None]:
    """Within the block an allocation beyond ``most`` bytes more than now raises an error.

    Linux counts what is mapped to be written, used or not; other systems do not.
    """
    if most is None or sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    now = psutil.Process().memory_info().data
    resource.setrlimit(resource.RLIMIT_DATA, (int(now + most), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
