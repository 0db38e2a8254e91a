"""How fast a BBCU unit trains, against a plain transcription of it and a bare convolution."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bbnas.bench.transcription import TranscribedUnit
from bbnas.binary.kernels import native
from bbnas.binary.unit import BBCU
from bbnas.presets import PRESETS
from bbnas.threads import torch_threads

UNITS = 8  # in a chain, so that activations leave the cache as they do in a network


@dataclass(frozen=True)
class TrainingSpeed:
    """Milliseconds of forward and backward of one unit, medians of interleaved rounds.

    ``ratio`` is the median over rounds of the transcription's time by ours; ``share`` that of
    a bare convolution's by ours: the part of our time that any 3×3 convolution takes.
    """

    width: int
    batch: int
    side: int
    ours_ms: float
    transcription_ms: float
    convolution_ms: float
    ratio: float
    share: float


class _Ours(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.unit = BBCU(width, width, PRESETS["bbcu-v4"])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.unit(x, x)
        return out


def _convolution(width: int) -> nn.Module:
    return nn.Conv2d(width, width, 3, padding=1, bias=False)


def bench_train(
    widths: tuple[int, ...] = (16, 64),
    sides: tuple[int, ...] = (12, 24, 32),
    batch: int = 8,
    rounds: int = 20,
    threads: int = 1,
) -> Iterator[TrainingSpeed]:
    """A row a width and side: ``batch`` LQ patches of ``side``², on ``threads`` CPU threads.

    The three contestants take turns in each round, so a noisy neighbour meets all of them. The
    bare convolution is torch's on channels-last, its fastest; the transcription runs as a plain
    network does.
    """
    with torch_threads(threads):
        for width in widths:
            for side in sides:
                yield _measure(width, batch, side, rounds)


def _measure(width: int, batch: int, side: int, rounds: int) -> TrainingSpeed:
    torch.manual_seed(0)
    x = torch.randn(batch, width, side, side) * 5
    last = x.contiguous(memory_format=torch.channels_last)
    ours = x if native(x) else last
    contestants: list[tuple[Callable[[int], nn.Module], Tensor]] = [
        (_Ours, ours), (TranscribedUnit, x), (_convolution, last),
    ]  # fmt: skip
    steps = [_step(make, value) for make, value in contestants]
    for step in steps:
        step()  # warm up: allocate, choose kernels
    times = [[step() for step in steps] for _ in range(rounds)]
    ours_ms, transcription, convolution = (statistics.median(t) for t in zip(*times, strict=True))
    return TrainingSpeed(
        width=width,
        batch=batch,
        side=side,
        ours_ms=ours_ms,
        transcription_ms=transcription,
        convolution_ms=convolution,
        ratio=statistics.median(t[1] / t[0] for t in times),
        share=statistics.median(t[2] / t[0] for t in times),
    )


def _step(make: Callable[[int], nn.Module], x: Tensor) -> Callable[[], float]:
    chain = nn.Sequential(*(make(x.shape[1]) for _ in range(UNITS)))
    given = x.detach().requires_grad_()

    def step() -> float:
        started = time.perf_counter()
        chain(given).sum().backward()
        return (time.perf_counter() - started) / UNITS * 1e3

    return step
