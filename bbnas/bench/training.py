"""``bbnas bench train``: the speed of training.

Of a BBCU unit and a step of the proxy on a CPU, and of a step of the paper's protocol on a GPU.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from bbnas.bench.transcription import TranscribedUnit
from bbnas.binary.kernels import native
from bbnas.binary.unit import BBCU
from bbnas.data import Patches, load_dataset
from bbnas.design import Design
from bbnas.environment import environment_variables, taken_on
from bbnas.native import kernels
from bbnas.networks.parts import BinaryBlock
from bbnas.presets import PRESETS
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.tasks import get_task
from bbnas.threads import torch_threads
from bbnas.training.loop import Training, initialise

UNITS = 8  # units in a chain, so that activations leave the cache as they do in a network
STEPS = 5  # training steps in a turn


@dataclass(frozen=True)
class UnitSpeed:
    """Milliseconds of forward and backward of one unit: medians of interleaved rounds.

    ``ratio`` is the median over rounds of the transcription's time divided by that of bbnas.
    ``share`` is the same for a bare convolution: the part of the unit's time that any 3×3
    convolution takes.
    """

    width: int
    batch: int
    side: int
    ours_ms: float
    transcription_ms: float
    convolution_ms: float
    ratio: float
    share: float


@dataclass(frozen=True)
class StepSpeed:
    """Milliseconds of processor time of a training step by each path: medians of turns.

    ``width`` and ``depth`` are those trained. ``ratio`` is the median over turns of torch's time
    divided by that of bbnas; it is 1 without a compiled library.
    """

    preset: str
    width: int
    depth: int
    kernels: str
    ours_ms: float
    torch_ms: float
    ratio: float


@dataclass(frozen=True)
class GpuSpeed:
    """Milliseconds of wall time of a training step on a GPU, batches included: medians of turns.

    ``plain`` makes a batch and launches a step, one after the other. ``bbnas`` makes batches ahead
    and replays a CUDA graph, ``bf16`` also convolves in bfloat16. ``authors`` is plain with the
    units of the body as the paper's code has them (:class:`TranscribedUnit`).
    """

    gpu: str
    preset: str
    batch: int
    patch: int
    bbnas_ms: float
    bf16_ms: float
    plain_ms: float
    authors_ms: float


@dataclass(frozen=True)
class TrainingBench:
    """The measurements of ``bbnas bench train``; ``machine`` says on what and when.

    ``gpu`` is None where torch finds none.
    """

    machine: str
    units: tuple[UnitSpeed, ...]
    steps: tuple[StepSpeed, ...]
    gpu: GpuSpeed | None


def bench_training(rounds: int = 20) -> TrainingBench:
    """All measurements, those on a CPU on one thread."""
    return TrainingBench(
        taken_on(1),
        tuple(bench_units(rounds=rounds)),
        tuple(bench_steps(rounds=rounds)),
        bench_gpu(rounds=rounds) if torch.cuda.is_available() else None,
    )


# ---- a unit -----------------------------------------------------------------------------------


def bench_units(
    widths: tuple[int, ...] = (16, 64),
    sides: tuple[int, ...] = (12, 24, 32),
    batch: int = 8,
    rounds: int = 20,
    threads: int = 1,
) -> Iterator[UnitSpeed]:
    """A row for each width and side: ``batch`` LQ patches of ``side``², on CPU ``threads``.

    A BBCU unit, its transcription in plain PyTorch and a bare convolution take turns in each
    round, so a noisy neighbour affects all three. The bare convolution is torch's on channels-last
    tensors, its fastest; the transcription runs as a plain network does.
    """
    with torch_threads(threads):
        for width in widths:
            for side in sides:
                yield _unit_speed(width, batch, side, rounds)


def _unit_speed(width: int, batch: int, side: int, rounds: int) -> UnitSpeed:
    torch.manual_seed(0)
    x = torch.randn(batch, width, side, side) * 5
    channels_last = x.contiguous(memory_format=torch.channels_last)
    contestants: list[tuple[Callable[[int], nn.Module], Tensor]] = [
        (_BbcuUnit, x if native(x) else channels_last),
        (TranscribedUnit, x),
        (_convolution, channels_last),
    ]
    steps = [_chain_step(make, value) for make, value in contestants]
    for step in steps:
        step()  # warm up: allocate memory, choose kernels
    times = [[step() for step in steps] for _ in range(rounds)]
    ours_ms, transcription, convolution = (statistics.median(t) for t in zip(*times, strict=True))
    return UnitSpeed(
        width=width,
        batch=batch,
        side=side,
        ours_ms=ours_ms,
        transcription_ms=transcription,
        convolution_ms=convolution,
        ratio=statistics.median(t[1] / t[0] for t in times),
        share=statistics.median(t[2] / t[0] for t in times),
    )


class _BbcuUnit(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.unit = BBCU(width, width, PRESETS["bbcu-v4"])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.unit(x, x)
        return out


def _convolution(width: int) -> nn.Module:
    return nn.Conv2d(width, width, 3, padding=1, bias=False)


def _chain_step(make: Callable[[int], nn.Module], x: Tensor) -> Callable[[], float]:
    """A function that runs a chain of units once and returns the milliseconds of one unit."""
    chain = nn.Sequential(*(make(x.shape[1]) for _ in range(UNITS)))
    given = x.detach().requires_grad_()

    def step() -> float:
        started = time.perf_counter()
        chain(given).sum().backward()
        return (time.perf_counter() - started) / UNITS * 1e3

    return step


# ---- a step of the proxy ----------------------------------------------------------------------


def bench_steps(
    depths: tuple[int, ...] = (8, 16, 32), width: int = 16, rounds: int = 20, threads: int = 1
) -> Iterator[StepSpeed]:
    """A row for each preset and depth: whole steps of the proxy for ×4, on CPU ``threads``.

    The batch consists of random images: a step is measured without reading photographs.
    """
    # The sizes given are those trained: the protocol reduces neither.
    protocol = PROTOCOLS["proxy"].replace(width_scale=1.0, depth_scale=1.0, iterations=1_000_000)
    with torch_threads(threads):
        for preset in ("bbcu-l", "bbcu-m", "bbcu-v1"):  # bbcu-v1 has BatchNorm
            for depth in depths:
                design = PRESETS[preset].replace(width=width, depth=depth)
                yield _step_speed(preset, design, protocol, rounds)


def _step_speed(preset: str, design: Design, protocol: Protocol, rounds: int) -> StepSpeed:
    compiled = kernels()
    paths: tuple[dict[str, str], ...] = ({}, {"BBNAS_ISA": "torch"})
    trainings = []
    for path in paths:
        with environment_variables(path):
            trainings.append(_training(design, protocol))
    times = [
        [_turn(path, training) for path, training in zip(paths, trainings, strict=True)]
        for _ in range(rounds)
    ]
    ours_ms, torch_ms = (statistics.median(t) for t in zip(*times, strict=True))
    ratio = statistics.median(t[1] / t[0] for t in times)
    return StepSpeed(preset, design.width, design.depth, compiled, ours_ms, torch_ms, ratio)


def _training(design: Design, protocol: Protocol) -> Training:
    """A training on one random batch, warmed up by a turn."""
    task = get_task("sr4")
    generator = torch.Generator().manual_seed(0)
    lq, hq = (
        torch.rand(protocol.batch, 3, side, side, generator=generator)
        for side in (protocol.patch // task.scale, protocol.patch)
    )
    training = Training(initialise(design, task, protocol), lambda _: (lq, hq), protocol, "cpu")
    training.advance(STEPS)
    return training


def _turn(path: dict[str, str], training: Training) -> float:
    with environment_variables(path):
        started = time.process_time()
        training.advance(STEPS)
        return (time.process_time() - started) / STEPS * 1e3


# ---- a step of the paper's protocol on a GPU --------------------------------------------------


def bench_gpu(
    preset: str = "bbcu-l",
    protocol: Protocol = PROTOCOLS["paper"],
    device: str = "cuda",
    rounds: int = 20,
) -> GpuSpeed:
    """The row of a preset ×4 whose body alone is 1-bit, on the photographs that bbnas has."""
    task = get_task("sr4")
    patches = Patches(load_dataset().train, task, protocol.patch, protocol.batch, protocol.seed)
    design = protocol.trained(PRESETS[preset])

    def training(by: Protocol, plain: bool, authors: bool = False) -> Training:
        network = initialise(design, task, by.replace(width_scale=1.0, depth_scale=1.0))
        if authors:
            for block in cast("list[BinaryBlock]", list(network.body.children())):
                block.units = nn.ModuleList(_AuthorsUnit(design.width) for _ in block.units)
        return Training(network, patches.batch_at, by, device, plain=plain)

    trainings = (
        training(protocol, plain=False),
        training(protocol.replace(precision="bf16"), plain=False),
        training(protocol, plain=True),
        training(protocol, plain=True, authors=True),
    )
    for each in trainings:
        each.advance(STEPS)  # which records the graph
    times = [[_wall_turn(each) for each in trainings] for _ in range(rounds)]
    name = trainings[0].environment.get("gpu", device)
    medians = [statistics.median(t) for t in zip(*times, strict=True)]
    return GpuSpeed(name, preset, protocol.batch, protocol.patch, *medians)


class _AuthorsUnit(TranscribedUnit):
    """A unit of the body: its residual is its input."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return super().forward(x)


def _wall_turn(training: Training) -> float:
    started = time.perf_counter()
    training.advance(STEPS)  # which waits for the last loss
    return (time.perf_counter() - started) / STEPS * 1e3
