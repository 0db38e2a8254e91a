"""Models that take turns on one machine: each runtime in a process of its own.

A process is pinned to its CPUs before it loads its library. On one thread a time is processor
time, which other processes hardly affect; on several it is wall time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bbnas.engine.model import Model
from bbnas.engine.peers import Peer, Runtime, held_to, load
from bbnas.engine.program import Array, Program
from bbnas.errors import UserError
from bbnas.processes import SPAWN, end_with_parent, sheltered

TURN = 0.05  # seconds of a turn: long against the resolution of the clock
WARM = 0.25  # seconds of a run that are long against what a warm-up saves


def clocked(run: Callable[[], object]) -> tuple[float, float]:
    """The seconds of one run, in processor time and in wall time.

    A run that takes less than ``WARM`` seconds warms up, and is then the average of as many as
    take ``TURN`` seconds.
    """

    def clocks() -> Array:
        return np.array((time.process_time(), time.perf_counter()))

    def seconds(count: int) -> Array:
        started = clocks()
        for _ in range(count):
            run()
        return (clocks() - started) / count

    found = seconds(1)
    if found[1] <= WARM:
        found = seconds(max(1, round(TURN / found[1])))
    return float(found[0]), float(found[1])


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
    pinned = cpus()[-where.threads :]
    processes = {
        runtime: _Process(where, pinned, [m for m in models if m.runtime == runtime])
        for runtime in dict.fromkeys(model.runtime for model in models)
    }
    try:
        for process in processes.values():
            process.answer()
        times: list[list[float]] = [[] for _ in models]
        for done in range(rounds):
            for held, model in zip(times, models, strict=True):
                processor, wall = processes[model.runtime].run(model)
                held.append(processor if where.threads == 1 else wall)
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
    process = _Process(where, cpus()[-where.threads :], [model])
    try:
        return int(process.answer())
    finally:
        process.end()


class _Process:
    """A process that has loaded models and runs one of them on request."""

    def __init__(
        self, where: TurnSetting, cpus: Sequence[int], models: Sequence[Runnable]
    ) -> None:
        self._models = list(models)
        self._pipe, theirs = SPAWN.Pipe()
        arguments = (theirs, where, list(cpus), self._models)
        self._process = SPAWN.Process(target=_serve, args=arguments, daemon=True)
        with sheltered():
            self._process.start()
        theirs.close()

    def run(self, model: Runnable) -> tuple[float, float]:
        place = next(i for i, own in enumerate(self._models) if own is model)
        self._pipe.send(place)
        processor, wall = self.answer()
        return processor, wall

    def answer(self) -> Any:
        try:
            good, answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise UserError(
                f"{self._models[0].runtime} died, perhaps for want of memory: close other "
                "programs, or give a smaller --lq"
            ) from error
        if not good:
            raise UserError(f"{self._models[0].runtime}: {answer}")
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Any, where: TurnSetting, cpus: list[int], models: list[Runnable]) -> None:
    """The process's main: what it grew by once all models ran, then the time of each turn."""
    end_with_parent()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cpus)
    os.environ |= {"OMP_NUM_THREADS": str(len(cpus))} | held_to(where.isa)
    try:
        if models[0].runtime != "bbnas":
            __import__(models[0].runtime.lower())
        before = _resident()
        runs = [_loaded(model, where) for model in models]
        for run in runs:
            run()
        pipe.send((True, max(0, _resident() - before)))
        while True:
            pipe.send((True, clocked(runs[pipe.recv()])))
    except (EOFError, ConnectionError):
        return
    except Exception as error:  # noqa: BLE001 - reported in one line
        pipe.send((False, " ".join(str(error).split()) or type(error).__name__))


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


def cpus() -> list[int]:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
