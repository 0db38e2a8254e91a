"""The latency of a design on another device, from the few networks that were timed there.

An operation's time is taken as linear in what it does: words that it counts, products, values
that pass each step behind a convolution, pixels. The coefficients of a device are the
non-negative least squares of the relative errors over all operations timed on it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbnas.device import Device, TimedNetwork
from bbnas.engine.latency import program_of
from bbnas.engine.program import Op, Program
from bbnas.errors import UserError
from bbnas.evaluation import FORECAST, Latency, LatencySetting
from bbnas.tasks import get_task

LANES, WORD = 16, 32  # channels of a vector of the engine, and bits of a word
# What a time is taken to be at least, in seconds: shorter ones are within the clock's error.
SHORTEST = 1e-5
# The steps behind a convolution that pass all its values, by the array that has their numbers.
_STEPS = ("bias", "norm_a", "gamma", "zeta", "threshold", "pack_b")


def work(program: Program, op: Op, pixels: int) -> dict[str, float]:
    """What ``op`` does on an LQ image of so many ``pixels``, by name, in millions."""
    tensors = program.tensors
    made = op.output if op.output >= 0 else op.bits
    channels = tensors[made].channels if made >= 0 else program.channels
    given = tensors[op.inputs[0]] if op.inputs else None
    read = program.channels if given is None else given.channels
    scale = program.scale if op.kind == "bilinear" else 1 if given is None else given.scale
    places = pixels * scale**2 / 1e6
    values = places * op.shuffle**2 * _up(channels, LANES)
    does = {"pixels": places, "values": values}
    if op.kind == "binary":
        does["words"] = values * (_up(read, WORD) // WORD)
    elif op.kind == "conv":
        does["products"] = values * read
    elif op.kind == "narrow":
        does["products"] = places * channels * _up(read, LANES)
    elif op.kind == "accumulate":
        does["values"] *= len(op.inputs)
    steps = [name for name in _STEPS if name in op.arrays]
    if op.residual >= 0:
        steps.append("residual")
    if op.output >= 0:
        steps.append("stored")
    if op.slope != 1:
        steps.append("slope")
    if op.activation != "none":
        steps.append("activation")
    # The steps behind a convolution are the same code for both kinds of it.
    behind = {f"then {name}": values for name in steps if op.kind in ("binary", "conv")}
    return {f"{op.kind} {name}": amount for name, amount in does.items()} | behind


def forecast_setting(device: Device) -> LatencySetting:
    """What the latencies share that are forecast from one device.json."""
    engine = f"{FORECAST} {device.key}"
    return LatencySetting(device.lq, device.threads, device.isa, device.processor, engine)


class Forecast:
    """Latencies on a ``device``.

    Raises:
        UserError: no network was timed on the device, or one's times are not those of its design.
    """

    def __init__(self, device: Device) -> None:
        if not device.networks:
            raise UserError(
                f"{device.title}: no network was timed on it; measure it with bbnas measure"
            )
        self.device = device
        self._fit([(_program(timed, device), timed) for timed in device.networks])

    def __call__(self, program: Program) -> float:
        """Seconds of one image of the device's ``lq`` pixels."""
        return float(self._amounts([program]).sum(0) @ self._seconds) * self._whole

    def latency(self, program: Program) -> Latency:
        """The same as a latency of no runs."""
        seconds = self(program)
        return Latency(seconds, 1.0, seconds, 0.0, 0, forecast_setting(self.device))

    def _fit(self, timed: Sequence[tuple[Program, TimedNetwork]]) -> None:
        from scipy.optimize import nnls

        programs = [program for program, _ in timed]
        pixels = self.device.lq[0] * self.device.lq[1]
        names = {n for p in programs for op in p.ops for n in work(p, op, pixels)}
        self._names = {name: place for place, name in enumerate(sorted(names))}
        amounts = self._amounts(programs)
        seconds = np.maximum([s for _, own in timed for s in own.operations], SHORTEST)
        self._seconds, _ = nnls(amounts / seconds[:, None], np.ones(len(seconds)))
        # Between operations there is time as well, and each was timed at its best.
        self._whole = 1.0
        self._whole = statistics.median(own.seconds / self(program) for program, own in timed)

    def _amounts(self, programs: Sequence[Program]) -> NDArray[Any]:
        """(operations, names)."""
        pixels = self.device.lq[0] * self.device.lq[1]
        rows = [work(p, op, pixels) for p in programs for op in p.ops]
        amounts = np.zeros((len(rows), len(self._names)))
        for row, does in zip(amounts, rows, strict=True):
            for name, amount in does.items():
                if name not in self._names:
                    raise UserError(
                        f"{self.device.title}: no operation with {name} was timed on it; measure "
                        "it with networks of the space that is searched"
                    )
                row[self._names[name]] = amount
        return amounts


def _program(timed: TimedNetwork, device: Device) -> Program:
    program = program_of(timed.design, get_task(timed.task))
    if len(program.ops) != len(timed.operations):
        raise UserError(
            f"{device.title}: {len(timed.operations)} times for the {len(program.ops)} operations "
            f"of {timed.design.label()}; measure it with bbnas measure of this version"
        )
    return program


def _up(channels: int, to: int) -> int:
    return -(-channels // to) * to
