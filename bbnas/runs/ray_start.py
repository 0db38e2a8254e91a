"""Ray's processes on this machine, started and ended. Only this and its two users import Ray."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ray

from bbnas.environment import environment_variables
from bbnas.errors import UserError
from bbnas.files import SHORT, temporary_folder
from bbnas.runs.executors import reason
from bbnas.signals import handlers_kept, received


def variables() -> dict[str, str]:
    """Environment variables for Ray: quiet; workers import what can be imported here."""
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@contextmanager
def ray_started(workers: int, gpus: Sequence[int] = ()) -> Iterator[Path]:
    """Ray with ``workers`` cores and the GPUs of these numbers; yields a folder for its files.

    A Ray that runs already is used, and left.

    Raises:
        UserError: it cannot be started.
    """
    # Ray puts sockets here, whose paths may have 107 characters: not under a long TMPDIR.
    with temporary_folder(SHORT if os.name == "posix" else None) as folder:
        for name in ("ray", "ray.tune", "ray.train"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if ray.is_initialized():
            yield folder
            return
        try:
            try:
                with handlers_kept(), environment_variables(_visible(gpus)):
                    ray.init(
                        address="local",  # whatever RAY_ADDRESS says
                        num_cpus=workers,
                        num_gpus=len(gpus),
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level=logging.CRITICAL,
                        object_store_memory=256 * 2**20,
                        _temp_dir=str(folder),
                    )
            except Exception as error:  # a start that takes too long raises no class of its own
                raise UserError(
                    f"{workers} workers cannot be started by Ray ({reason(error)}); "
                    "use --workers 1"
                ) from error
            yield folder
        finally:
            if not received():  # Ray takes seconds to end its processes: the signal's end does
                ray.shutdown()


def share(workers: int, gpus: Sequence[int]) -> float:
    """The part of a GPU that each worker asks for, so that all of them find room.

    Ray gives a worker one GPU or a part of one, and counts in 1/10,000.
    """
    return 10_000 // -(-workers // len(gpus)) / 10_000 if gpus else 0.0


def _visible(gpus: Sequence[int]) -> dict[str, str]:
    """The variable that shows these of the GPUs that this process sees."""
    if not gpus:
        return {}
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    shown = [names[gpu] if names else str(gpu) for gpu in gpus]
    return {"CUDA_VISIBLE_DEVICES": ",".join(shown)}
