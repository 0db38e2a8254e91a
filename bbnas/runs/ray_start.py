"""Ray's processes on this machine, started and ended, or a running cluster, joined and left.

Only this and its users import Ray.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import ray
from ray._private import services, worker
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bbnas.environment import environment_variables
from bbnas.errors import UserError, why
from bbnas.files import SHORT, temporary_folder
from bbnas.runs.broom import VARIABLE, swept
from bbnas.runs.builds import build
from bbnas.runs.executors import reason
from bbnas.runs.placement import Placement
from bbnas.signals import handlers_kept, received


def variables(local: bool = True) -> dict[str, str]:
    """Environment variables for Ray: quiet; ``local`` workers import what can be imported here."""
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} if local else {}
    return path | {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@contextmanager
def ray_started(workers: int, gpus: Sequence[int] = (), cpus: float = 1.0) -> Iterator[Path]:
    """Ray with ``cpus`` cores for each of ``workers`` and the GPUs of these numbers; yields a
    folder for its files.

    A Ray that runs already is used, and left.

    Raises:
        UserError: it cannot be started.
    """
    # Ray puts sockets here, whose paths may have 107 characters: not under a long TMPDIR.
    with (
        temporary_folder(SHORT if os.name == "posix" else None) as folder,
        swept(folder),
        _hushed(),
    ):
        if ray.is_initialized():
            yield folder
            return
        try:
            try:
                with (
                    handlers_kept(),
                    environment_variables(_visible(gpus) | {VARIABLE: str(folder)}),
                ):
                    ray.init(
                        address="local",  # whatever RAY_ADDRESS says
                        num_cpus=math.ceil(workers * cpus),
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


def address_here() -> str:
    """The address of the cluster whose node runs on this machine.

    Raises:
        UserError: there is none.
    """
    try:
        return str(services.canonicalize_bootstrap_address_or_die("auto"))
    except ConnectionError as error:
        raise UserError(
            "Ray cluster auto: no node of one runs on this machine; ray start --head starts one, "
            "ray start --address HOST:PORT joins one"
        ) from error


@contextmanager
def ray_joined(placement: Placement) -> Iterator[Path]:
    """The running cluster at ``placement.address``; yields a folder for files of this process.

    Raises:
        UserError: it cannot be joined, asks for no token although other machines belong to it, or
            no node of it has room for a worker.
    """
    address = placement.address
    placement.check_reached()
    with temporary_folder() as folder, swept(folder), _hushed():
        try:
            with handlers_kept():
                ray.init(
                    address=address,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    runtime_env={"env_vars": {"RAY_CHDIR_TO_TRIAL_DIR": "0"}},
                )
        except Exception as error:  # Ray raises classes of many libraries
            raise UserError(
                f"Ray cluster {address}: cannot be joined ({why(error)}); this machine must be a "
                "node of it: ray start --head, or ray start --address HOST:PORT"
            ) from error
        try:
            _check_token(placement)
            _check_room(placement)
            yield folder
        finally:
            if not received():
                ray.shutdown()


@contextmanager
def _hushed() -> Iterator[None]:
    """Ray prints C++ logs of its processes to stdout; what becomes of them is told by bbnas."""
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    printed = worker._worker_logs_enabled
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        worker._worker_logs_enabled = printed


def raylet() -> psutil.Process | None:
    """Ray's agent on this machine. Without it the C++ code of Ray soon ends this process."""
    here = ray.get_runtime_context().get_node_id()
    sockets = [node["RayletSocketName"] for node in _alive() if node["NodeID"] == here]
    for process in psutil.process_iter(["cmdline"]):
        if any(f"--raylet_socket_name={s}" in (process.info["cmdline"] or ()) for s in sockets):
            return process
    return None


def gone(process: psutil.Process | None) -> bool:
    return process is not None and (
        not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    )


def _alive() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _check_token(placement: Placement) -> None:
    """Anyone who reaches a cluster without a token runs code on all of its machines."""
    own = {a.address for addresses in psutil.net_if_addrs().values() for a in addresses}
    others = sorted({node["NodeManagerAddress"] for node in _alive()} - own)
    if others and not placement.insecure and not _asks_for_token():
        raise UserError(
            f"Ray cluster {placement.address}: has nodes on other machines ({', '.join(others)}) "
            "and asks for no token, so that anyone who reaches it can run code there; start every "
            "node with RAY_AUTH_MODE=token, or say --insecure-ray"
        )


def _asks_for_token() -> bool:
    """Whether the cluster refuses a call without one."""
    with grpc.insecure_channel(ray.get_runtime_context().gcs_address) as channel:
        call = channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")
        try:
            call(b"", timeout=10)
        except grpc.RpcError as error:
            return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False


def room(placement: Placement) -> int:
    """The number of workers that the nodes of the cluster have room for, other work aside."""
    wanted = {"CPU": placement.cpus, "GPU": placement.gpus or 0.0}
    return sum(
        min(int(node["Resources"].get(name, 0.0) / part) for name, part in wanted.items() if part)
        for node in _alive()
    )


def _check_room(placement: Placement) -> None:
    if not room(placement):
        raise UserError(
            f"Ray cluster {placement.address}: no node has room for a worker of "
            f"{placement.cpus:g} CPUs and {placement.gpus or 0.0:g} GPUs; ask for less by "
            "--cpus-per-worker or --gpus-per-worker"
        )


def nodes_with(kernels: str, device: str) -> list[str]:
    """The ids of the nodes that train with these kernels on ``device``, of those there are now."""
    asked = {
        node["NodeID"]: _kernels.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(device)
        for node in _alive()
    }
    return [node for node, answer in asked.items() if ray.get(answer) == kernels]


@ray.remote(num_cpus=0)
def _kernels(device: str) -> str:
    return build(device).kernels


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
