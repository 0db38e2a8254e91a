"""A device measured: networks of a space timed in the engine, and 1 bit beside more bits."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from bbnas import __version__
from bbnas.design import Design
from bbnas.device import Device, DeviceTiming, ForecastCheck, Precision, TimedNetwork
from bbnas.engine.file import to_bytes
from bbnas.engine.forecast import Forecast, shape, work
from bbnas.engine.latency import Stopwatch, program_of
from bbnas.engine.peers import Runtime, in_each_precision, runtimes
from bbnas.engine.profile import profile
from bbnas.engine.program import Program
from bbnas.engine.units import UNITS, WIDTH, chain
from bbnas.environment import today
from bbnas.errors import UserError, why
from bbnas.evaluation import LatencySetting
from bbnas.files import write_output
from bbnas.runs.contest import Runnable, TurnSetting, take_turns
from bbnas.runtime import VERSION
from bbnas.space import Space
from bbnas.tasks import Task

# Designs drawn from a space, of which those are timed that cover the most.
DRAWN = 100
ROUNDS = 5  # of the units in each precision

Units = Mapping[Precision, tuple[Runnable, Runnable]]


def covering_designs(space: Space, task: Task, number: int, seed: int = 0) -> list[Design]:
    """``number`` designs of ``space`` whose operations, taken together, differ most.

    Each is the one of those drawn that adds the most kinds of work and shapes of an operation,
    and among equals the one with the fewest operations.
    """
    rng = Random(seed)
    drawn = {design.key: design for design in (space.sample(rng) for _ in range(DRAWN))}
    left = [(design, _kinds(program_of(design, task))) for design in drawn.values()]
    chosen: list[Design] = []
    seen: set[object] = set()
    while left and len(chosen) < number:
        best = max(left, key=lambda pair: (len(pair[1] - seen), -pair[0].width * pair[0].depth))
        left.remove(best)
        chosen.append(best[0])
        seen |= best[1]
    return chosen


def other_designs(
    space: Space, than: Sequence[Design], number: int, seed: int = 1
) -> list[Design]:
    """``number`` designs drawn from ``space`` that are not among ``than``.

    Raises:
        UserError: the space holds fewer, or 1 is asked for, which has no rank.
    """
    rng, known = Random(seed), {design.key for design in than}
    drawn = {design.key: design for design in (space.sample(rng) for _ in range(10 * number))}
    found = [design for key, design in drawn.items() if key not in known][:number]
    if len(found) < number or number == 1:
        raise UserError(
            f"{number} further designs: must be 0, or 2 or more that the space holds beside the "
            f"first {len(than)}"
        )
    return found


def _kinds(program: Program) -> set[object]:
    found: set[object] = set()
    for op in program.ops:
        found |= {*work(program, op, 1), shape(program, op)}
    return found


def measure_device(
    designs: Sequence[Design],
    task: Task,
    where: LatencySetting,
    title: str,
    held_out: Sequence[Design] = (),
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Device:
    """Time ``designs`` in the engine, and 64→64 convolutions in each precision that runs here.

    The designs ``held_out``, two or more, are timed to compare their times with forecasts.

    Raises:
        UserError: the engine has no compiled library here.
    """
    if where.isa == "torch":
        raise UserError("there is no compiled engine to measure here: see bbnas doctor")
    watch, total = Stopwatch(where), len(designs) + len(held_out)
    networks = []
    for done, design in enumerate(designs):
        on_step(done, total)
        program = program_of(design, task)
        whole = watch.measure(program).seconds
        own = [layer.seconds for layer in profile(program, where)]
        share = whole / sum(own)  # what slows both the stopwatch's reference takes out
        operations = tuple(seconds * share for seconds in own)
        networks.append(
            TimedNetwork(task=task.name, design=design, seconds=whole, operations=operations)
        )
    device = _device(title, "bbnas measure", where, networks)
    device = device.model_copy(update={"ratios": _ratios(where)})
    if not held_out:
        on_step(total, total)
        return device
    forecast = Forecast(device)
    pairs = []
    for done, design in enumerate(held_out, len(designs)):
        on_step(done, total)
        program = program_of(design, task)
        pairs.append((forecast(program), watch.measure(program).seconds))
    on_step(total, total)
    return device.model_copy(update={"check": _checked(np.array(pairs))})


class RuntimeTimes(BaseModel):
    """What ``bbnas-run --time --json`` prints of one model, as far as it is needed here."""

    model_config = ConfigDict(frozen=True)

    class Operation(BaseModel):
        seconds: float = Field(ge=0, allow_inf_nan=False)

    model: str
    version: str
    processor: str
    isa: str
    size: tuple[int, int]
    threads: int
    seconds: tuple[float, ...] = Field(min_length=1)
    processor_seconds: tuple[float, ...] = Field(min_length=1)
    operations: tuple[Operation, ...]

    @property
    def where(self) -> tuple[object, ...]:
        """What all models of a device share."""
        return self.version, self.processor, self.isa, self.size, self.threads


def pack_designs(designs: Sequence[Design], task: Task, folder: Path) -> list[Path]:
    """Untrained networks of ``designs`` as packed models KEY.bbn, to be timed elsewhere.

    Raises:
        UserError: a file cannot be written.
    """
    files = [folder / f"{design.key}.bbn" for design in designs]
    for design, file in zip(designs, files, strict=True):
        write_output(file, to_bytes(program_of(design, task)))
    return files


def timed_elsewhere(path: Path, designs: Sequence[Design], task: Task, title: str = "") -> Device:
    """The device on which ``bbnas-run --time --json`` printed the lines of ``path``, one for each
    model of :func:`pack_designs`. It is called ``title``, or as its processor.

    Raises:
        UserError: the file cannot be read; a line is none of these; a model is missing, is of
            other designs or was timed otherwise; another version of bbnas.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        every = [RuntimeTimes.model_validate_json(line) for line in lines if line.strip()]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise UserError(
            f"{path}: not what bbnas-run --time --json prints ({why(error)}); run it again"
        ) from error
    by_model = {times.model.removesuffix(".bbn"): times for times in every}
    missing = [design for design in designs if design.key not in by_model]
    if missing:
        raise UserError(
            f"{path}: no times of {missing[0].key}.bbn ({missing[0].label()}); time all models "
            "that the same command with --pack wrote"
        )
    used = [by_model[design.key] for design in designs]
    first = used[0]
    if len({times.where for times in used}) > 1:
        raise UserError(f"{path}: the models were timed in different ways; time them in one run")
    if first.version != __version__:
        raise UserError(
            f"{path}: timed with bbnas-runtime {first.version}, and this is bbnas {__version__}; "
            "install the same version there"
        )
    networks = tuple(
        TimedNetwork(
            task=task.name,
            design=design,
            # Processor time, as the operations' is, where that is the time.
            seconds=min(times.processor_seconds if times.threads == 1 else times.seconds),
            operations=tuple(one.seconds for one in times.operations),
        )
        for design, times in zip(designs, used, strict=True)
    )
    where = LatencySetting(first.size, first.threads, first.isa, first.processor, "bbnas-runtime")
    return _device(title or first.processor, "bbnas-run", where, networks)


def _device(
    title: str, by: str, where: LatencySetting, networks: Sequence[TimedNetwork]
) -> Device:
    timing = DeviceTiming(
        engine=VERSION,
        processor=where.cpu,
        isa=where.isa,
        threads=where.threads,
        lq=where.lq,
        measured=today(),
        networks=tuple(networks),
    )
    source = f"measured by {by} on {where.cpu}, {where.isa}, {timing.measured}"
    return Device(title=title, source=source, timing=timing)


def _checked(pairs: NDArray[Any]) -> ForecastCheck:
    """``pairs``: (designs, 2), forecast and measured seconds."""
    from scipy.stats import spearmanr

    forecast, measured = pairs.T
    rank = float(spearmanr(forecast, measured).statistic)
    error = float(np.median(abs(forecast / measured - 1)))
    return ForecastCheck(
        designs=len(pairs), error=error, spearman=rank if math.isfinite(rank) else 0.0
    )


def _ratios(where: LatencySetting) -> dict[Precision, float]:
    try:
        found = runtimes(where.isa)
    except UserError:
        return {}
    units = dict(units_in_each_precision(found, where.isa))
    models = [model for pair in units.values() for model in pair]
    turns = TurnSetting(where.lq, where.threads, where.isa)
    seconds = unit_seconds(units, take_turns(models, turns, ROUNDS))
    return {p: s / seconds["1-bit"] for p, s in seconds.items() if p != "1-bit"}


def units_in_each_precision(
    found: Sequence[Runtime], isa: str
) -> Iterator[tuple[Precision, tuple[Runnable, Runnable]]]:
    """The long and the short chain of 64→64 units in each precision, by the first runtime."""
    both = [Runnable("bbnas", chain(units, True), WIDTH) for units in (1 + UNITS, 1)]
    yield "1-bit", (both[0], both[1])
    rng = np.random.default_rng(0)
    images = [rng.random((1, WIDTH, 32, 32), np.float32)]
    pairs = [
        {model.precision: model for model in in_each_precision(program, images, found[:1], isa)}
        for program in (chain(1 + UNITS, False), chain(1, False))
    ]
    for precision in pairs[0]:
        pair = [Runnable.of(each[precision], WIDTH) for each in pairs]
        yield precision, (pair[0], pair[1])


def unit_seconds(units: Units, times: Sequence[Sequence[float]]) -> dict[Precision, float]:
    """The seconds of one more unit by precision, of the ``times`` of the chains in turn; those
    that noise makes negative are left out.
    """
    middle = [statistics.median(one) for one in times]
    found = {
        precision: (middle[2 * i] - middle[2 * i + 1]) / UNITS for i, precision in enumerate(units)
    }
    return {precision: seconds for precision, seconds in found.items() if seconds > 0}
