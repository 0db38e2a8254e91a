"""The versions and hardware that a figure depends on."""

from __future__ import annotations

import platform
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
