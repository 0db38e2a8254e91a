"""The latency of a design on this machine: the engine's time relative to a reference workload's.

Other load on the machine slows the design and the reference alike, so their ratio stays the same.
On one thread both are measured in CPU time of that thread, which stops while other threads run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bbnas.design import Design
from bbnas.engine.model import Model
from bbnas.engine.program import Program
from bbnas.engine.units import UNITS, WIDTH, chain
from bbnas.environment import cpu
from bbnas.evaluation import Latency, LatencySetting
from bbnas.native import choose_isa
from bbnas.presets import load_design
from bbnas.tasks import LQ_SIZE, Task, get_task

# The time, in seconds of the design's own runs including the warm-up, and the number of runs after
# which a measurement ends. There is at least one run.
SECONDS, MOST_RUNS = 1.5, 50
# Runs of the reference alone; the fastest quarter estimates its time on a quiet machine.
REFERENCE_RUNS = 20


def setting(
    lq: tuple[int, int] = LQ_SIZE, threads: int = 1, isa: str | None = None
) -> LatencySetting:
    """The setting of a measurement in this process on this machine.

    ``lq`` is the width and height of the LQ image in pixels.

    Raises:
        UserError: the instruction set cannot run here.
    """
    from bbnas.engine.doctor import engine

    name = choose_isa(isa) or "torch"
    return LatencySetting(lq, threads, name, cpu(), engine(name))


def shape_of(program: Program) -> str:
    """A key that is equal for programs which differ only in the values of their arrays.

    Such programs take the same time.
    """

    def plain(value: Any) -> Any:
        return [str(value.dtype), list(value.shape)]

    ops = []
    for op in program.ops:
        fields = {f.name: getattr(op, f.name) for f in dataclasses.fields(op)}
        fields |= {"factor": None, "arrays": {n: plain(a) for n, a in sorted(op.arrays.items())}}
        ops.append(fields)
    tensors = [dataclasses.astuple(tensor) for tensor in program.tensors]
    content = json.dumps([program.scale, program.channels, tensors, ops], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def program_of(design: Design, task: Task) -> Program:
    """The program of an untrained network of ``design``; weights do not change its time."""
    from bbnas.engine.compile import compile_network  # imports torch, as networks do
    from bbnas.networks import build

    return compile_network(build(design, task).eval(), task)


class Stopwatch:
    """Measures programs in one setting.

    ``reference`` is the time of the reference workload on the quiet machine, in seconds, from an
    earlier measurement; None measures it. Processes that share it measure comparable latencies.
    """

    def __init__(self, where: LatencySetting, reference: float | None = None) -> None:
        self.setting = where
        # The reference workload has binary and full-precision layers, thresholds and PixelShuffle,
        # and takes a few milliseconds.
        task = get_task("sr2")
        design = load_design("bbcu-m", task).replace(depth=4)
        self._reference = self._runner(program_of(design, task), (160, 90))
        self._reference()
        self.reference = reference or self._quiet()

    def measure(self, program: Program) -> Latency:
        """The latency of ``program`` on an image of the setting's size."""
        run = self._runner(program, self.setting.lq)
        spent, before = run(), self._reference()
        ratios: list[float] = []
        while not ratios or (spent < SECONDS and len(ratios) < MOST_RUNS):
            own, after = run(), self._reference()
            ratios.append(own / ((before + after) / 2))
            spent, before = spent + own, after
        ratio = statistics.median(ratios)
        low, high = np.quantile(ratios, (0.25, 0.75))
        return Latency(
            seconds=ratio * self.reference,
            ratio=ratio,
            reference=self.reference,
            spread=float(high - low) / 2 / ratio,
            runs=len(ratios),
            setting=self.setting,
        )

    def full_precision_mac(self) -> float:
        """Seconds of a multiply-accumulate of one more 64→64 convolution in full precision."""
        long, short = (self.measure(chain(units, False)).seconds for units in (1 + UNITS, 1))
        width, height = self.setting.lq
        return (long - short) / (UNITS * width * height * 9 * WIDTH**2)

    def _runner(self, program: Program, lq: tuple[int, int]) -> Callable[[], float]:
        """A function that runs the program once and returns its time in seconds."""
        model = Model(program, self.setting.isa, self.setting.threads)
        image = np.random.default_rng(0).integers(0, 256, (lq[1], lq[0], model.channels), np.uint8)
        alone = self.setting.threads == 1 and self.setting.isa != "torch"
        clock = time.thread_time if alone else time.perf_counter

        def run() -> float:
            started = clock()
            model(image)
            return clock() - started

        return run

    def _quiet(self) -> float:
        times = sorted(self._reference() for _ in range(REFERENCE_RUNS))
        return statistics.median(times[: REFERENCE_RUNS // 4])
