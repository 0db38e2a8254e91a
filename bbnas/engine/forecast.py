"""The latency of a design on another device, from the few networks that were timed there.

An operation's time is taken as linear in what it does: words that it counts, products, values
that pass each step behind a convolution, pixels. The coefficients of a device are the
non-negative least squares of the relative errors over all operations timed on it. An operation
on a shape that was timed is corrected by what the linear form misses there.
"""

from __future__ import annotations

import statistics
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbnas.device import Device, DeviceTiming, TimedNetwork
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
    scale = program.scale * program.step if made < 0 else tensors[made].scale // op.shuffle
    places = pixels / program.step**2 * scale**2 / 1e6
    values = places * op.shuffle**2 * _up(channels, LANES)
    does = {"pixels": places, "values": values}
    if op.kind == "binary":
        does["words"] = values * (_up(read, WORD) // WORD)
    elif op.kind == "conv":
        does["products"] = values * read * op.arrays["weight"].shape[-1] ** 2
        # Weights beyond the inner cache are fetched again and again: products by their megabytes.
        does["fetches"] = does["products"] * 4 * op.arrays["weight"].size / 1e6
    elif op.kind == "narrow":
        does["products"] = (
            places * channels * _up(read, LANES) * op.arrays["weight"].shape[-1] ** 2
        )
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
    """What the latencies share that are forecast from one device.json.

    Raises:
        UserError: no network was timed on the device.
    """
    timing = _timing(device)
    engine = f"{FORECAST} {device.key}"
    return LatencySetting(timing.lq, timing.threads, timing.isa, timing.processor, engine)


def shape(program: Program, op: Op) -> tuple[Hashable, ...]:
    """What ``op`` works on: its kind, the channels that it reads and makes, and their scale."""
    made = op.output if op.output >= 0 else op.bits
    tensors = [program.tensors[t] for t in (*op.inputs[:1], *([made] if made >= 0 else []))]
    side = op.arrays["weight"].shape[-1] if "weight" in op.arrays else 0
    return (op.kind, op.shuffle, side, *((t.channels, t.scale) for t in tensors))


class Forecast:
    """Latencies on a ``device``.

    Raises:
        UserError: no network was timed on the device, or one's times are not those of its design.
    """

    def __init__(self, device: Device) -> None:
        from scipy.optimize import nnls

        self.device = device
        timing = _timing(device)
        self._pixels = timing.lq[0] * timing.lq[1]
        programs = [_program(timed, device) for timed in timing.networks]
        names = {name for p in programs for op in p.ops for name in work(p, op, self._pixels)}
        self._names = {name: place for place, name in enumerate(sorted(names))}
        amounts = np.concatenate([self._amounts(program) for program in programs])
        seconds = np.array([s for timed in timing.networks for s in timed.operations])
        seconds = np.maximum(seconds, SHORTEST)
        self._seconds, _ = nnls(amounts / seconds[:, None], np.ones(len(seconds)))
        # What the sum misses of a shape that was timed.
        missed: dict[Hashable, list[float]] = {}
        ops = [shape(program, op) for program in programs for op in program.ops]
        for which, taken, linear in zip(ops, seconds, amounts @ self._seconds, strict=True):
            missed.setdefault(which, []).append(taken / max(linear, SHORTEST))
        self._factors = {which: statistics.median(held) for which, held in missed.items()}
        # A run takes longer than its operations at their best.
        self._whole = statistics.median(
            timed.seconds / self._sum(program)
            for program, timed in zip(programs, timing.networks, strict=True)
        )

    def __call__(self, program: Program) -> float:
        """Seconds of one image of the size that the device was timed on.

        Raises:
            UserError: the program does what none of the networks did that were timed.
        """
        return self._whole * self._sum(program)

    def latency(self, program: Program) -> Latency:
        """The same as a latency of no runs."""
        seconds = self(program)
        return Latency(seconds, 1.0, seconds, 0.0, 0, forecast_setting(self.device))

    def _sum(self, program: Program) -> float:
        factors = [self._factors.get(shape(program, op), 1.0) for op in program.ops]
        return float(self._amounts(program) @ self._seconds @ factors)

    def _amounts(self, program: Program) -> NDArray[Any]:
        """(operations, names)."""
        amounts = np.zeros((len(program.ops), len(self._names)))
        for row, op in zip(amounts, program.ops, strict=True):
            for name, amount in work(program, op, self._pixels).items():
                if name not in self._names:
                    raise UserError(
                        f"{self.device.title}: no operation with {name} was timed on it; measure "
                        "it with designs of the space that is searched"
                    )
                row[self._names[name]] = amount
        return amounts


def _timing(device: Device) -> DeviceTiming:
    if device.timing is None:
        raise UserError(
            f"{device.title}: no network was timed on it; measure it with bbnas measure"
        )
    return device.timing


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
