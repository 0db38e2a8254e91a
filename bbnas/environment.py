"""The versions and hardware that a figure depends on, and the variables of the process."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from bbnas.native import kernels
from bbnas.runtime.timing import processor
from bbnas.text import plural
from bbnas.threads import available_cores


def environment(device: str = "cpu", precision: str = "fp32") -> dict[str, str]:
    """Versions, hardware, the kernels that trained (:func:`bbnas.native.kernels`) and the
    precision that they convolved in (:func:`bbnas.binary.precision.precision_on`).
    """
    found = {"machine": platform.machine(), "cpu": cpu(), "device": device}
    if device != "cpu":
        found |= _gpu(device)
    path = kernels(device) if precision == "fp32" else "torch"
    return found | {"kernels": path, "precision": precision} | _versions()


def cpu() -> str:
    """The processor's name, as far as the system tells it."""
    return processor()


@cache
def _gpu(device: str) -> dict[str, str]:
    import torch

    return {"gpu": torch.cuda.get_device_name(device), "cuda": str(torch.version.cuda)}


def taken_on(threads: int | None = None, unit: str = "thread") -> str:
    """The circumstances of a time that is measured now: ``AMD EPYC, 2 threads, 2026-11-26``.

    Without ``threads`` it is the number of cores that this process may use.
    """
    cores = plural(available_cores(), "core")
    with_ = cores if threads is None else plural(threads, unit)
    return f"{cpu()}, {with_}, {today()}"


def today() -> str:
    """The date in UTC, as a measurement states it."""
    return datetime.now(UTC).date().isoformat()


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("bbnas", "torch", "optuna", "scikit-image"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@contextmanager
def environment_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within the block, and restore their former values after it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
