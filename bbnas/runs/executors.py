"""Who evaluates: this process, or Ray's workers. Both take Jobs from a Work and report to it."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bbnas.design import Design
from bbnas.errors import UserError, class_of
from bbnas.evaluation import Costs, Evaluation, Evaluator, paused_name
from bbnas.files import temporary_folder
from bbnas.protocol import Protocol as TrainingProtocol
from bbnas.runs.placement import Placement
from bbnas.signals import handlers_kept, raise_if_received
from bbnas.store.ledger import Job
from bbnas.tasks import Task
from bbnas.threads import available_cores, torch_threads

if TYPE_CHECKING:
    from bbnas.data import Dataset
    from bbnas.data.sending import SentDataset

# Workers that share a GPU by default. A worker leaves it idle while it builds a network, scores
# images and cuts patches; more workers take more of its memory, some hundred MB each.
PER_GPU = 4


class Work(Protocol):
    """A source of Jobs: a search's Loop, or the references of a benefit measurement."""

    def next(self) -> Job | None:
        """A Job, or None if, for now, there is none."""

    def finish(self, job: Job, found: Evaluation) -> None:
        """``job`` was evaluated."""

    def failed(self, job: Job, reason: str) -> None:
        """Evaluating ``job`` raised an error."""

    def died(self, job: Job, reason: str) -> None:
        """The process that evaluated ``job`` is gone."""


class Executor(Protocol):
    def run(self, work: Work) -> None:
        """Evaluate until ``work`` has no Job and none is in flight."""

    def close(self) -> None:
        """Let go of every process and file."""


@dataclass(frozen=True)
class TrainingEvaluator:
    """Evaluates a design by training it, on one thread: the same figures on any executor.

    ``device``: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for CUDA if there is any; workers share
    all GPUs unless one is named. ``paused`` is the folder, or a URL, that keeps the state of
    stopped trainings; None keeps nothing.
    """

    task: Task
    protocol: TrainingProtocol
    dataset: Dataset
    device: str = "auto"
    paused: str | None = None

    @property
    def gpus(self) -> tuple[int, ...]:
        """The numbers of the GPUs that its workers share."""
        from bbnas.inference.device import gpus_of

        return tuple(gpus_of(self.device))

    @property
    def data(self) -> str:
        return self.dataset.fingerprint

    @property
    def data_description(self) -> str:
        return self.dataset.description

    @property
    def largest_patch(self) -> int:
        return self.dataset.largest_patch

    @cached_property
    def skip_psnr(self) -> float:
        from bbnas.inference.scoring import skip_psnr

        validation = self.dataset.validation
        return float(skip_psnr(self.task, validation, self.protocol.validation_side))

    @cached_property
    def bicubic_psnr(self) -> float | None:
        from bbnas.inference.scoring import bicubic_psnr

        return bicubic_psnr(self.task, self.dataset.validation, self.protocol.validation_side)

    def cost(self, design: Design) -> Costs:
        from bbnas.cost import ops_and_params

        return ops_and_params(design, self.task)

    def pausing(self, folder: str) -> TrainingEvaluator:
        return replace(self, paused=folder)

    def __call__(
        self,
        design: Design,
        until: int | None = None,
        protocol: TrainingProtocol | None = None,
    ) -> Evaluation:
        protocol = protocol or self.protocol
        if self.paused is None or "://" not in self.paused:
            folder = None if self.paused is None else Path(self.paused)
            return self._trained(design, until, protocol, folder)
        from bbnas.runs.artifacts import local_copy

        with local_copy(self.paused, paused_name(design, self.task, protocol, self.data)) as copy:
            return self._trained(design, until, protocol, copy)

    def _trained(
        self, design: Design, until: int | None, protocol: TrainingProtocol, paused: Path | None
    ) -> Evaluation:
        from bbnas.training import evaluate_design

        with torch_threads(1):
            evaluation: Evaluation = evaluate_design(
                design,
                self.task,
                protocol,
                self.dataset,
                self.device,
                until=until,
                paused=paused,
            )
        return evaluation


def sent(evaluator: Evaluator, elsewhere: bool) -> Callable[[], Evaluator]:
    """What makes the evaluator in a worker; ``elsewhere``, on other machines, it takes the images
    along.
    """
    if not elsewhere or not isinstance(evaluator, TrainingEvaluator):
        return partial(_same, evaluator)
    from bbnas.data.sending import SentDataset

    images = SentDataset(evaluator.dataset)
    where = evaluator.device, evaluator.paused
    return partial(_arrived, evaluator.task, evaluator.protocol, images, *where)


def _same(evaluator: Evaluator) -> Evaluator:
    return evaluator


def _arrived(
    task: Task, protocol: TrainingProtocol, images: SentDataset, device: str, paused: str | None
) -> Evaluator:
    return TrainingEvaluator(task, protocol, images.arrived(), device, paused)


def evaluated(evaluator: Evaluator, job: Job) -> tuple[Job, Evaluation]:
    """The evaluation of a Job, and the Job with the state that it was paused in.

    Raises:
        TypeError: the evaluator returned anything else.
    """
    if job.state or (job.state is not None and job.until is not None):
        protocol = job.protocol or evaluator.protocol
        name = paused_name(job.design, evaluator.task, protocol, evaluator.data)
        with temporary_folder() as folder:
            file = folder / name
            if job.state:
                file.write_bytes(job.state)
            _, found = evaluated(evaluator.pausing(str(folder)), replace(job, state=None))
            return replace(job, state=file.read_bytes() if file.exists() else b""), found
    found = evaluator(job.design, job.until, job.protocol)
    if not isinstance(found, Evaluation):
        raise TypeError(f"the evaluator returned {class_of(found)} instead of an Evaluation")
    if found.design.key != job.design.key:
        raise TypeError("the evaluator returned the Evaluation of another design")
    return job, found


@dataclass(frozen=True)
class InProcess:
    """One candidate after another, here."""

    evaluator: Evaluator

    def run(self, work: Work) -> None:
        found_any = False
        while (job := work.next()) is not None:
            try:
                job, found = evaluated(self.evaluator, job)
            except UserError as error:
                if not found_any:  # bad input, not a bad candidate
                    raise
                work.failed(job, str(error))
            except Exception as error:  # noqa: BLE001 - one design's trouble must not end a search
                raise_if_received()
                work.failed(job, reason(error))
            else:
                found_any = True
                work.finish(job, found)

    def close(self) -> None:
        """Nothing is held."""


def usual_workers(evaluator: Evaluator) -> int:
    """The number of workers where none is asked for: one a core, but at most four a GPU."""
    gpus = evaluator.gpus if isinstance(evaluator, TrainingEvaluator) else ()
    return min(available_cores(), PER_GPU * len(gpus)) if gpus else available_cores()


def executor(
    workers: int | None, evaluator: Evaluator, placement: Placement | None = None
) -> Executor:
    """``workers`` processes, placed as said. One without limits on a candidate means this process,
    and never imports Ray. None, on a cluster alone, means as many as it has room for.
    """
    placement = placement or Placement()
    if workers == 1 and not placement.needs_ray:
        return InProcess(evaluator)
    gpus: tuple[int, ...] = ()
    if placement.address is not None:
        if isinstance(evaluator, TrainingEvaluator):
            # Said outright: this machine may have GPUs where the nodes have none, or none at all.
            evaluator = replace(evaluator, device="cuda" if placement.gpus else "cpu")
    else:
        if isinstance(evaluator, TrainingEvaluator) and (gpus := evaluator.gpus):
            evaluator = replace(evaluator, device="cuda")  # the one that Ray shows the worker
        guard_ray()
    with handlers_kept():
        from bbnas.runs.ray_tune import RayTune

    return RayTune(workers, evaluator, placement, gpus)


def guard_ray() -> None:
    """Ray's servers listen on all interfaces, whatever they are told: a secret of this process
    keeps others from running code by them. Ray reads it as it is imported.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def reason(error: BaseException) -> str:
    """An unexpected error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
