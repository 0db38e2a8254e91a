"""One training by several processes, which Ray Train starts. Importing this module imports Ray.

Ray Train is given nothing to keep: the run's folder holds the state, written by the first worker.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from bbnas.environment import environment_variables
from bbnas.errors import UserError, why
from bbnas.runs.ray_start import ray_started, variables
from bbnas.text import from_json
from bbnas.training import Progress, train
from bbnas.training.full import kept

if TYPE_CHECKING:
    from bbnas.inference import CheckpointInfo

POLL = 0.1  # seconds between two looks at the workers' progress


def train_together(
    workers: int,
    gpus: Sequence[int],
    call: Mapping[str, Any],
    on_event: Callable[[Progress], None] | None,
) -> CheckpointInfo:
    """``train(**call)`` in ``workers`` processes, on these GPUs or on a core each.

    Raises:
        UserError: that of a worker; a worker died.
    """
    with (
        environment_variables(variables() | {"RAY_TRAIN_METRICS_ENABLED": "0"}),
        ray_started(workers, gpus) as place,
    ):
        events = place / "events"
        events.touch()
        trainer = TorchTrainer(
            _work,
            train_loop_config={"call": dict(call), "events": str(events)},
            torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=bool(gpus)),
            run_config=RunConfig(
                name="train",
                storage_path=str(place / "train"),
                failure_config=FailureConfig(max_failures=0),
            ),
        )
        running = _Running(trainer)
        with events.open() as lines:
            alive = True
            while alive:
                running.join(POLL)  # here Ctrl-C arrives
                alive = running.is_alive()  # before the look, so that the last events are seen
                for line in lines:
                    if on_event is not None:
                        on_event(Progress(**from_json(line)))
    if running.error is not None:
        raise _told(running.error, Path(call["output"])) from running.error
    assert running.info is not None
    return running.info


class _Running(threading.Thread):
    """Ray Train's own loop. In the main thread it would take Ctrl-C to itself."""

    def __init__(self, trainer: TorchTrainer) -> None:
        super().__init__(daemon=True)
        self._trainer = trainer
        self.info: CheckpointInfo | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            result: Any = self._trainer.fit()  # its type is that of an older Ray Train
            self.info = result.return_value
        except Exception as error:  # noqa: BLE001 - the main thread raises it
            self.error = error


def _told(error: Exception, folder: Path) -> UserError:
    """The error of a worker, as the user reads it."""
    failures: Mapping[int, Exception] = getattr(error, "worker_failures", {})
    for failure in failures.values():
        found: BaseException | None = failure
        while found is not None and not isinstance(found, UserError):
            found = found.__cause__ or getattr(found, "cause", None)
        if found is not None:
            return found
    cause = why(next(iter(failures.values()), error))
    return UserError(
        f"a worker ended, perhaps for want of memory ({cause}); {kept(folder)}; "
        "resume with --resume"
    )


def _work(config: Mapping[str, Any]) -> CheckpointInfo:
    """What each worker does: the whole training, with a share of each batch."""
    with Path(config["events"]).open("a", buffering=1) as events:
        return train(
            **config["call"],
            device=str(get_device()),
            on_event=lambda event: print(json.dumps(asdict(event)), file=events),
        )
