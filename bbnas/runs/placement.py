"""Where the workers of a search run, and what one candidate may take of a machine."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from bbnas.errors import UserError, why
from bbnas.signals import handlers_kept
from bbnas.store.ledger import MAX_DEATHS

# Seconds that the head of a cluster may take to accept a connection.
REACH = 10.0


@dataclass(frozen=True)
class Placement:
    """By default Ray starts on this machine, and a candidate may take what it wants.

    - ``address``: a running Ray cluster, ``HOST:PORT``, or ``auto`` for the one that RAY_ADDRESS
      names or that runs on this machine; None starts Ray here.
    - ``cpus``: cores that Ray reserves for each worker; a worker trains with one thread anyway.
    - ``gpus``: the part of a GPU for each worker. None: on this machine the workers share the
      GPUs of the device; on a cluster they run on CPUs, as with 0.
    - ``timeout``: seconds that a candidate may train without an outcome, a rung being one.
    - ``memory``: bytes that a candidate may allocate beside what its worker has (Linux alone).
    - ``max_retries``: how often a candidate whose worker is gone is evaluated again.
    - ``insecure``: join a cluster of other machines although it asks for no token.
    - ``same_kernels``: use only nodes of the start that train with the kernels of this process.

    Raises:
        UserError: a value that breaks its rule.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float | None = None
    timeout: float | None = None
    memory: float | None = None
    max_retries: int = MAX_DEATHS - 1
    insecure: bool = False
    same_kernels: bool = False

    def __post_init__(self) -> None:
        if self.address is not None and (not self.address or "://" in self.address):
            raise UserError(
                f"Ray address {self.address!r}: must be HOST:PORT of the cluster's head (6379 is "
                "the usual port), or auto; Ray Client's ray:// cannot be used"
            )
        if not self.cpus > 0:
            raise UserError(f"CPUs per worker {self.cpus:g}: must be above 0")
        if self.gpus is not None and not 0 <= self.gpus <= 1:
            raise UserError(
                f"GPUs per worker {self.gpus:g}: must be from 0 to 1, such as 0.25; a candidate "
                "trains on one GPU at most"
            )
        if self.max_retries < 0:
            raise UserError(f"max retries {self.max_retries}: must be 0 or more")
        for name, value in (("timeout", self.timeout), ("memory", self.memory)):
            if value is not None and not value > 0:
                raise UserError(f"candidate {name} {value:g}: must be above 0")

    def check_reached(self) -> None:
        """See that something listens at the address, which Ray itself tries for minutes.

        Raises:
            UserError: nothing does, or no cluster runs on this machine.
        """
        address = self.address
        if address == "auto":
            address = os.environ.get("RAY_ADDRESS") or _address_here()
        host, _, port = (address or "").rpartition(":")
        if not host or not port.isdecimal():
            return
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACH).close()
        except OSError as error:
            raise UserError(
                f"Ray cluster {address}: not reached ({error.strerror or why(error)}); check the "
                "address that ray start --head printed"
            ) from error

    @property
    def needs_ray(self) -> bool:
        """Whether one worker must be a process of its own, which can be ended."""
        return self.address is not None or self.timeout is not None or self.memory is not None


def _address_here() -> str:
    """That of the cluster whose node runs on this machine."""
    with handlers_kept():
        from bbnas.runs.ray_start import address_here

    return address_here()
