"""Forecasts of latency on devices whose times are made by a known rule."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from bbnas.design import Design
from bbnas.device import Device, DeviceTiming, TimedNetwork
from bbnas.engine.forecast import Forecast, forecast_setting, work
from bbnas.engine.latency import program_of
from bbnas.engine.program import Op, Program
from bbnas.errors import UserError
from bbnas.runs.measuring import covering_designs
from bbnas.runtime import VERSION
from bbnas.space import load_space
from bbnas.tasks import get_task

TASK = get_task("sr4")
SPACE = load_space("bbcu", TASK)
LQ = (40, 30)

Rule = Callable[[Program, Op], float]


def linear(program: Program, op: Op) -> float:
    """A device that takes 0.1 µs for all that it does, and 1 µs for a word."""
    does = work(program, op, LQ[0] * LQ[1])
    return sum(v * (1.0 if "words" in name else 0.1) for name, v in does.items())


def device(designs: list[Design], rule: Rule, overhead: float = 1.0) -> Device:
    networks = []
    for design in designs:
        program = program_of(design, TASK)
        seconds = tuple(rule(program, op) for op in program.ops)
        networks.append(
            TimedNetwork(
                task="sr4", design=design, seconds=overhead * sum(seconds), operations=seconds
            )
        )
    timing = DeviceTiming(
        engine=VERSION,
        processor="a rule",
        isa="avx2",
        threads=1,
        lq=LQ,
        measured="2026-11-28",
        networks=tuple(networks),
    )
    return Device(title="a rule", source="a test", timing=timing)


@pytest.fixture(scope="module")
def chosen() -> list[Design]:
    return covering_designs(SPACE, TASK, 10)


@pytest.fixture(scope="module")
def others() -> list[Design]:
    rng = Random(1)
    return [SPACE.sample(rng) for _ in range(12)]


def test_a_linear_device_is_forecast_exactly(chosen: list[Design], others: list[Design]) -> None:
    forecast = Forecast(device(chosen, linear))
    for design in others:
        program = program_of(design, TASK)
        truth = sum(linear(program, op) for op in program.ops)
        assert forecast(program) == pytest.approx(truth, rel=0.02)


def test_what_lies_between_operations_counts(chosen: list[Design], others: list[Design]) -> None:
    plain, slow = (Forecast(device(chosen, linear, by)) for by in (1.0, 1.5))
    for design in others:
        program = program_of(design, TASK)
        assert slow(program) == pytest.approx(1.5 * plain(program))


def test_a_shape_that_was_timed_is_forecast_as_it_was(chosen: list[Design]) -> None:
    def odd(program: Program, op: Op) -> float:
        wide = op.kind == "conv" and op.output >= 0 and program.tensors[op.output].channels == 64
        return linear(program, op) * (3 if wide else 1)

    forecast = Forecast(device(chosen, odd))
    for design in chosen:
        program = program_of(design, TASK)
        truth = sum(odd(program, op) for op in program.ops)
        assert forecast(program) == pytest.approx(truth, rel=0.1)


def test_covering_designs_do_all_that_the_space_does(others: list[Design]) -> None:
    def kinds(designs: list[Design]) -> set[str]:
        programs = [program_of(design, TASK) for design in designs]
        return {name for p in programs for op in p.ops for name in work(p, op, 1)}

    chosen = covering_designs(SPACE, TASK, 10)
    assert len({design.key for design in chosen}) == 10
    assert kinds(others) <= kinds(chosen)
    assert chosen == covering_designs(SPACE, TASK, 10)


def test_what_was_never_timed_is_not_forecast() -> None:
    forecast = Forecast(device([Design(width=16, depth=2).fitted(TASK)], linear))
    binary = Design(binarize=("body",), width=16, depth=2, k_ratio=1.0).fitted(TASK)
    with pytest.raises(UserError, match=r"a rule: no operation with .* was timed on it"):
        forecast(program_of(binary, TASK))


def test_times_of_another_network_are_refused(chosen: list[Design]) -> None:
    content = device(chosen[:2], linear).model_dump()
    content["timing"]["networks"][0]["operations"] = [0.1]
    with pytest.raises(UserError, match="1 times for the"):
        Forecast(Device.model_validate(content))


def test_the_setting_is_that_of_the_device(chosen: list[Design]) -> None:
    found = device(chosen[:2], linear)
    setting = forecast_setting(found)
    assert setting.forecast
    assert (setting.lq, setting.isa) == (LQ, "avx2")
    assert found.key in setting.engine
    with pytest.raises(UserError, match="no network was timed on it"):
        forecast_setting(Device(title="ratios", source="a test", ratios={"fp32": 64}))
