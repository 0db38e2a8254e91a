"""The time of a packed model on this machine, and of each of its operations."""

from __future__ import annotations

import platform
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .binding import LIBRARY
from .model import BbnModel


def measure(
    model: BbnModel, width: int, height: int, runs: int = 5, threads: int = 1
) -> dict[str, Any]:
    """Times of ``model`` on an image of ``width`` × ``height`` pixels, as plain values for JSON.

    ``seconds`` are those of each whole run by the clock, ``processor_seconds`` those of all
    threads of the process in it. An operation's ``seconds`` are processor seconds, summed over the
    threads: the shortest of ``runs`` further runs. One run before warms up.

    Raises:
        ModelError: there is not enough memory.
    """
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, model.channels), np.uint8)
    out = np.empty((height * model.scale, width * model.scale, model.channels), np.uint8)
    model.run(image, out, threads)
    seconds, processor_seconds = [], []
    for _ in range(runs):
        started, worked = time.perf_counter(), time.process_time()
        model.run(image, out, threads)
        seconds.append(time.perf_counter() - started)
        processor_seconds.append(time.process_time() - worked)
    profiles = [model.profile(image, out, threads) for _ in range(runs)]
    return {
        "processor": processor(),
        "machine": platform.machine(),
        "system": platform.system(),
        "isa": model.isa,
        "engine": engine(),
        "version": _version(),
        "size": [width, height],
        "threads": threads,
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "peak_bytes": model.peak_bytes,
        "operations": [
            operation._asdict() | {"seconds": min(times)}
            for operation, times in zip(model.operations, zip(*profiles, strict=True), strict=True)
        ],
    }


@cache
def processor() -> str:
    """The processor's name, as far as the system tells it; on a board without one, the board's."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    try:
        return Path("/proc/device-tree/model").read_text(encoding="utf-8").strip("\0\n ")
    except OSError:
        return platform.processor() or platform.machine()


def engine() -> str:
    """The first digits of the digest of the library's sources, flags and target."""
    stamp = LIBRARY.with_suffix(".stamp")
    return stamp.read_text(encoding="utf-8")[:12] if stamp.exists() else "unknown"


def _version() -> str:
    """That of the wheel, which is bbnas's."""
    try:
        return version(__name__.partition(".")[0])
    except PackageNotFoundError:
        return "not installed"
