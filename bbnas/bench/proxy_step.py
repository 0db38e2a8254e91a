"""How fast the proxy trains by the compiled kernels, and by torch's."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch

from bbnas.data import Patches
from bbnas.design import Design
from bbnas.native import kernels
from bbnas.presets import PRESETS
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.tasks import TASKS
from bbnas.threads import torch_threads
from bbnas.training.loop import Training, initialise

STEPS = 5  # a turn
TASK = TASKS["sr4"]


@dataclass(frozen=True)
class StepSpeed:
    """Milliseconds of processor time of a training step by each path, medians of turns.

    ``width`` and ``depth`` are those trained. ``ratio`` is the median over turns of torch's time
    by ours, 1 where there is no compiled library.
    """

    preset: str
    width: int
    depth: int
    kernels: str
    ours_ms: float
    torch_ms: float
    ratio: float


def bench_step(
    depths: tuple[int, ...] = (8, 16, 32), width: int = 16, rounds: int = 20, threads: int = 1
) -> Iterator[StepSpeed]:
    """A row a preset and depth: whole steps of the proxy for ×4, on ``threads`` CPU threads.

    The batch is one of random images: reading photographs is left out, all else of a step is in.
    """
    proxy = PROTOCOLS["proxy"]
    # As it is trained: the protocol reduces neither.
    protocol = proxy.replace(width_scale=1.0, depth_scale=1.0, iterations=1_000_000)
    with torch_threads(threads):
        for preset in ("bbcu-l", "bbcu-m", "bbcu-v1"):  # the last with BatchNorm
            for depth in depths:
                design = PRESETS[preset].replace(width=width, depth=depth)
                yield _measure(preset, design, protocol, rounds)


def _measure(preset: str, design: Design, protocol: Protocol, rounds: int) -> StepSpeed:
    ours = kernels()
    trainings = []
    for path in (None, "torch"):
        with _path(path):
            trainings.append((path, _training(design, protocol)))
    times = [[_turn(*training) for training in trainings] for _ in range(rounds)]
    ours_ms, torch_ms = (statistics.median(t) for t in zip(*times, strict=True))
    ratio = statistics.median(t[1] / t[0] for t in times)
    return StepSpeed(preset, design.width, design.depth, ours, ours_ms, torch_ms, ratio)


class _Batch:
    def __init__(self, protocol: Protocol) -> None:
        generator = torch.Generator().manual_seed(0)
        self.lq, self.hq = (
            torch.rand(protocol.batch, 3, side, side, generator=generator)
            for side in (protocol.patch // TASK.scale, protocol.patch)
        )

    def batch_at(self, iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.lq, self.hq


def _training(design: Design, protocol: Protocol) -> Training:
    network = initialise(design, TASK, protocol)
    training = Training(network, cast("Patches", _Batch(protocol)), protocol, torch.device("cpu"))
    training.advance(STEPS)  # warm up
    return training


def _turn(path: str | None, training: Training) -> float:
    with _path(path):
        started = time.process_time()
        training.advance(STEPS)
        return (time.process_time() - started) / STEPS * 1e3


@contextmanager
def _path(isa: str | None) -> Iterator[None]:
    """$BBNAS_ISA within the block, if one is named."""
    before = os.environ.get("BBNAS_ISA")
    if isa is not None:
        os.environ["BBNAS_ISA"] = isa
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("BBNAS_ISA", None)
        else:
            os.environ["BBNAS_ISA"] = before
