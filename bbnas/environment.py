"""The versions and hardware that a figure depends on, and the variables of the process."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bbnas.native import kernels


def environment(device: str = "cpu") -> dict[str, str]:
    """Versions, hardware and the kernels that trained (:func:`bbnas.native.kernels`)."""
    found = {"machine": platform.machine(), "cpu": cpu(), "device": device}
    return found | {"kernels": kernels(device)} | _versions()


@cache
def cpu() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


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
