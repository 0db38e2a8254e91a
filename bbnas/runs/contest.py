"""Models that take turns on one machine: those of a runtime in one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from bbnas.engine.model import Model
from bbnas.engine.peers import Peer, Runtime, held_to, load
from bbnas.engine.program import Program
from bbnas.runs.turns import TurnProcess, cpus


@dataclass(frozen=True)
class Runnable:
    """A model and what runs it: ``model`` is a Program for bbnas, else an ONNX file's bytes, on
    images of so many ``channels``.
    """

    runtime: Literal["bbnas"] | Runtime
    model: Program | bytes
    channels: int
    bf16: bool = False

    @classmethod
    def of(cls, peer: Peer, channels: int) -> Runnable:
        return cls(peer.runtime, peer.model, channels, peer.precision == "bf16")


@dataclass(frozen=True)
class TurnSetting:
    """How models are timed: (width, height) of the LQ image in pixels, threads, and the
    instruction set that the engine has, and OpenVINO is held to.
    """

    lq: tuple[int, int]
    threads: int
    isa: str


def take_turns(
    models: Sequence[Runnable],
    where: TurnSetting,
    rounds: int,
    on_round: Callable[[int], None] = lambda _: None,
) -> list[tuple[float, ...]]:
    """The seconds of each model in each round, in which every model has one turn.

    Raises:
        UserError: a model cannot be loaded, or a process died.
    """
    by_runtime: dict[str, list[int]] = {}
    for i, model in enumerate(models):
        by_runtime.setdefault(model.runtime, []).append(i)
    processes = {
        runtime: _process([models[i] for i in held], where) for runtime, held in by_runtime.items()
    }
    places = [
        (processes[model.runtime], by_runtime[model.runtime].index(i))
        for i, model in enumerate(models)
    ]
    try:
        for process in processes.values():
            process.ready()
        times: list[list[float]] = [[] for _ in models]
        for done in range(rounds):
            for held, (process, place) in zip(times, places, strict=True):
                held.append(process.turn(place)[0])
            on_round(done + 1)
    finally:
        for process in processes.values():
            process.end()
    return [tuple(held) for held in times]


def memory_of(model: Runnable, where: TurnSetting) -> int:
    """The bytes by which a process grows that loads ``model`` and runs it once.

    Raises:
        UserError: it cannot be loaded, or the process died.
    """
    process = _process([model], where)
    try:
        return int(process.ready())
    finally:
        process.end()


def _process(models: Sequence[Runnable], where: TurnSetting) -> TurnProcess:
    """The process of models of one runtime."""
    pinned = cpus()[-where.threads :]
    prepare = partial(_prepare, list(models), where)
    return TurnProcess(models[0].runtime, pinned, prepare, held_to(where.isa))


def _prepare(
    models: Sequence[Runnable], where: TurnSetting
) -> tuple[int, list[Callable[[], object]]]:
    """What the process grew by once all models ran (bytes), and the models."""
    if models[0].runtime != "bbnas":
        __import__(models[0].runtime.lower())
    before = _resident()
    runs = [_loaded(model, where) for model in models]
    for run in runs:
        run()
    return max(0, _resident() - before), runs


def _resident() -> int:
    """The most bytes that this process held so far; 0 where the system does not tell."""
    # ru_maxrss would be that of the parent, which a child inherits.
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), "0")
    return int(peak) * 1024


def _loaded(given: Runnable, where: TurnSetting) -> Callable[[], object]:
    width, height = where.lq
    image = np.random.default_rng(0).random((1, given.channels, height, width), np.float32)
    if isinstance(given.model, bytes):
        assert given.runtime != "bbnas"
        run = load(given.model, given.runtime, given.bf16, where.threads)
        return lambda: run(image)
    model = Model(given.model, where.isa, where.threads)
    pixels = np.rint(image[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    return lambda: model(pixels)
