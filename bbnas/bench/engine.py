"""``bbnas bench engine``: latency against full-precision runtimes and OpenVINO's 1-bit layer.

All contestants of a case (:mod:`bbnas.bench.contestants`) take turns, on one thread and on all. A
ratio is the median of the ratios of the rounds. Processor time on one thread hardly depends on
other processes. Wall time on several threads does: where the others fill the cores, two threads
get no more of them than one. Rules of wall time are therefore judged on an idle machine alone.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bbnas.bench.contestants import (
    Assignment,
    Case,
    Contestant,
    ContestantProcess,
    counts,
    moved,
    programs,
)
from bbnas.errors import UserError, unknown
from bbnas.figures.theme import Spec, axes_layout
from bbnas.native import choose_isa
from bbnas.reporting.plain import write_figures
from bbnas.runs.turns import cpus
from bbnas.text import plural

LQ = (320, 180)  # (width, height) of the LQ image in pixels to which the rules apply
# The load average (processes that run or wait) from which on a machine counts as busy.
BUSY = 0.5
PEERS = ("openvino", "onnx", "onnxruntime")  # packages that the benchmark needs

CASES = {
    "unit": Case("one 64→64 unit; fp32: a bare convolution"),
    "bbcu-l": Case("BBCU-L ×4; fp32: SRResNet ×4", "sr4", "bbcu-l", "srresnet"),
    "bbcu-m": Case("BBCU-M ×4; fp32: SRResNet ×4", "sr4", "bbcu-m", "srresnet"),
    "dncnn": Case("DnCNN-BBCU; fp32: DnCNN", "denoise25", "bbcu", "dncnn"),
}

ENGINE = Contestant("bbnas", "engine", "1-bit")
PYTORCH = Contestant("PyTorch fp32", "torch")
OPENVINO = Contestant("OpenVINO fp32", "openvino")
ONNXRUNTIME = Contestant("onnxruntime fp32", "onnxruntime")
BF16 = Contestant("OpenVINO bf16", "openvino", "bf16")
INT8 = Contestant("OpenVINO int8", "openvino-onnx", "int8")
ONE_BIT = Contestant("OpenVINO 1-bit", "openvino", "1-bit")
FP32 = (PYTORCH, OPENVINO, ONNXRUNTIME)
ALL = (ENGINE, *FP32, BF16, INT8, ONE_BIT)
# Contestants on machines with AVX-512; onnxruntime cannot be restricted to AVX2.
AVX2 = tuple(
    Contestant(f"{c.name} AVX2", c.runtime, c.precision, avx2=True)
    for c in (ENGINE, PYTORCH, OPENVINO)
)
# Lower bounds of a unit's time: its instructions alone, and its memory traffic alone.
COUNTING, COPYING = Contestant("counting", "counting"), Contestant("copying", "copying")
BOUNDS = (COUNTING.name, COPYING.name)


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a contestant's turns; ``kernels`` are those that its runtime reports.

    ``rounds_ms`` is processor time on one thread and wall time on several; ``wall_ms`` is always
    wall time.
    """

    case: str
    contestant: str
    threads: int
    kernels: str
    rounds_ms: tuple[float, ...]
    wall_ms: tuple[float, ...]
    median_ms: float


@dataclass(frozen=True)
class Missing:
    """A contestant that cannot run here, and the reason."""

    case: str
    contestant: str
    threads: int
    reason: str


@dataclass(frozen=True)
class SpeedRule:
    """The engine must be ``at_least`` times faster than ``peer``, if it runs on ``isa``."""

    case: str
    peer: str
    at_least: float
    isa: str = ""


# Columns of the table of outcomes.
COLUMNS = ("case", "", "threads", "against", "× faster", "at least", "")
FASTEST, ITSELF = "fastest fp32 peer", "itself on one thread"
RULES = (
    SpeedRule("unit", FASTEST, 7, "avx512"),
    SpeedRule("unit", ONE_BIT.name, 5, "avx512"),
    SpeedRule("bbcu-m", FASTEST, 8, "avx512"),
    SpeedRule("bbcu-m", BF16.name, 4, "avx512"),
    SpeedRule("bbcu-m", PYTORCH.name, 15, "avx512"),
    SpeedRule("dncnn", FASTEST, 6, "avx512"),
    # BBCU-L has no such rule: its upsampling, more than half of all operations, stays fp32.
    *(SpeedRule(case, FASTEST, 3, "avx2") for case in ("unit", "bbcu-m", "dncnn")),
    *(SpeedRule(case, ITSELF, 1.7) for case in CASES),
)


@dataclass(frozen=True)
class SpeedOutcome:
    """A rule and the measured ratio; ``passed`` is None if the rule does not apply here."""

    case: str
    ours: str
    threads: int
    peer: str
    at_least: float
    ratio: float | None
    passed: bool | None
    reason: str = ""

    @property
    def word(self) -> str:
        return self.reason or ("pass" if self.passed else "falls short")


@dataclass(frozen=True)
class Roofline:
    """Lower bounds of a unit's time on one thread; a fraction is bound / measured time.

    ``instructions`` counts the vector instructions that count bits (XOR, majority, popcount and
    their sums), without loads and without the operations after the convolution. Their rate is
    measured with all operands in registers. ``bytes`` is the traffic of a unit on its own, float32
    and bits read and written once, at the rate of numpy's copy; in a chain the features can stay
    in the caches.
    """

    isa: str
    vector_bits: int
    instructions: int
    instructions_per_second: float
    instructions_ms: float
    instructions_fraction: float
    bytes: int
    bytes_per_second: float
    bytes_ms: float
    bytes_fraction: float

    @property
    def words(self) -> str:
        return (
            f"A unit counts its bits by {self.instructions / 1e6:.1f} M instructions of "
            f"{self.vector_bits} bits ({self.isa}): alone, with operands in registers, they take "
            f"{self.instructions_ms:.2f} ms ({self.instructions_per_second / 1e9:.1f} G/s), "
            f"{self.instructions_fraction:.0%} of the unit's time. A unit on its own moves "
            f"{self.bytes / 1e6:.1f} MB: a copy of as many takes {self.bytes_ms:.2f} ms "
            f"({self.bytes_per_second / 1e9:.1f} GB/s), {self.bytes_fraction:.0%} of the unit's "
            "time; in a network features stay in the caches"
        )


# For each instruction set the bits of a vector, and the instructions for 16 outputs and three
# words of 32 channels each, as in count() of src/kernels_*.cpp.
INSTRUCTIONS = {"avx512": (512, 8), "avx2": (256, 42), "neon": (128, 44)}


@dataclass(frozen=True)
class EngineBench:
    """The result of the benchmark; ``passed`` is False if the engine falls short of a rule."""

    machine: Mapping[str, Any]
    lq: tuple[int, int]
    rounds: int
    times: tuple[Timing, ...]
    missing: tuple[Missing, ...]
    verdicts: tuple[SpeedOutcome, ...]
    roofline: Roofline | None
    passed: bool

    @property
    def words(self) -> str:
        versions = ", ".join(f"{name} {text}" for name, text in self.machine["versions"].items())
        words = (
            f"{self.machine['cpu']}, {self.machine['cores']} cores, {self.machine['date']}, "
            f"the engine on {self.machine['isa']}, LQ {self.lq[0]}×{self.lq[1]}, medians of "
            f"{plural(self.rounds, 'round')}, load of other processes "
            f"{self.machine['load']:.1f}; {versions}"
        )
        sentences = [words, *([self.roofline.words] if self.roofline else [])]
        return ". ".join(
            [*sentences, *dict.fromkeys(f"No {m.contestant}: {m.reason}" for m in self.missing)]
        )


def bench_engine(
    cases: Sequence[str] = tuple(CASES),
    rounds: int = 5,
    lq: tuple[int, int] = LQ,
    on_case: Callable[[str], None] = lambda case: None,
) -> EngineBench:
    """Measure ``cases`` on images of ``lq`` (width, height in pixels) and check the rules.

    Raises:
        UserError: an unknown case, no compiled engine, no peers, or a contestant that died.
    """
    for name in cases:
        if name not in CASES:
            raise unknown("case", name, CASES)
    isa, load = choose_isa(), os.getloadavg()[0]
    if not isa:
        raise UserError("there is no compiled engine to measure here: see bbnas doctor")
    for package in PEERS:
        if find_spec(package) is None:
            raise UserError(f"{package} is not installed and needed: pip install 'bbnas[bench]'")
    times: list[Timing] = []
    missing: list[Missing] = []
    for name in dict.fromkeys(cases):
        on_case(name)
        able, unable = _measure(name, rounds, lq)
        times += able
        missing += unable
    verdicts = tuple(check_rules(times, isa, lq, load))
    passed = all(outcome.passed is not False for outcome in verdicts)
    return EngineBench(
        _machine(isa) | {"load": load}, lq, rounds, tuple(times), tuple(missing), verdicts,
        roofline(times, isa, lq), passed,
    )  # fmt: skip


def _measure(name: str, rounds: int, lq: tuple[int, int]) -> tuple[list[Timing], list[Missing]]:
    case, pinned = CASES[name], cpus()
    models = {binary: programs(case, binary) for binary in (True, False)}
    processes: list[ContestantProcess] = []
    try:
        for contestant, threads in _contestants(name, len(pinned)):
            given = () if contestant.runtime == "torch" else models[contestant.binary]
            processes.append(
                ContestantProcess(
                    Assignment(case, contestant, tuple(pinned[-threads:]), lq, given)
                )
            )
        for process in processes:
            process.wait()
        for process in processes:
            if process.missing and process.assignment.contestant not in (BF16, *AVX2):
                raise UserError(f"{_who(process)[0]} cannot run {case.title}: {process.missing}")
        able = [process for process in processes if not process.missing]
        turns = [[process.turn() for process in able] for _ in range(rounds)]
    finally:
        for process in processes:
            process.end()
    times = []
    for process, seconds_of in zip(able, zip(*turns, strict=True), strict=True):
        ms, wall = zip(*((1e3 * seconds, 1e3 * wall) for seconds, wall in seconds_of), strict=True)
        times.append(
            Timing(name, *_who(process), process.kernels, ms, wall, statistics.median(ms))
        )
    return times, [Missing(name, *_who(p), p.missing) for p in processes if p.missing]


def _who(process: ContestantProcess) -> tuple[str, int]:
    return process.assignment.contestant.name, len(process.assignment.cpus)


def _contestants(case: str, cores: int) -> Iterator[tuple[Contestant, int]]:
    for threads in sorted({1, cores}):
        yield from ((contestant, threads) for contestant in ALL)
    if cores > 2:
        yield ENGINE, 2
    if _has_avx512():
        yield from ((contestant, 1) for contestant in AVX2)
    if case == "unit":
        yield from ((COUNTING, 1), (COPYING, 1))


def _has_avx512() -> bool:
    """Whether peers may use AVX-512; the engine needs VPOPCNTDQ as well."""
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def _machine(isa: str) -> dict[str, Any]:
    from bbnas.environment import cpu, today

    packages = ("bbnas", "torch", *PEERS)
    return {
        "cpu": cpu(),
        "cores": len(cpus()),
        "date": today(),
        "isa": isa,
        "versions": {name: version(name) for name in packages},
    }


# ---- rules, bounds, tables --------------------------------------------------------------------


def check_rules(
    times: Sequence[Timing], isa: str, lq: tuple[int, int] = LQ, load: float = 0.0
) -> Iterator[SpeedOutcome]:
    """The outcome of each rule on the cases in ``times``, for an engine that runs on ``isa``.

    ``load`` is the machine's load average before the benchmark.
    """
    cases = {timing.case for timing in times}
    return (_outcome(rule, times, isa, lq, load) for rule in RULES if rule.case in cases)


def _outcome(
    rule: SpeedRule, times: Sequence[Timing], isa: str, lq: tuple[int, int], load: float
) -> SpeedOutcome:
    by_contestant = {(t.contestant, t.threads): t for t in times if t.case == rule.case}
    kept = " AVX2" if rule.isa == "avx2" and (AVX2[0].name, 1) in by_contestant else ""
    ours, peer, threads = ENGINE.name + kept, rule.peer, 1
    if peer == ITSELF:
        threads, other = 2, by_contestant.get((ours, 1))
    elif peer == FASTEST:
        fp32 = [by_contestant.get((c.name, 1)) for c in (AVX2[1:] if kept else FP32)]
        # All peers must have run: otherwise a slow one may be the fastest of the rest.
        other = min((t for t in fp32 if t), key=lambda t: t.median_ms) if all(fp32) else None
        peer = f"{peer}, {other.contestant}" if other else peer
    else:
        other = by_contestant.get((peer, 1))
    mine = by_contestant.get((ours, threads))
    ratio = None if mine is None or other is None else ratio_of(other, mine, peer == ITSELF)
    reason = ""
    if ratio is None:
        reason = "not measured"
    elif lq != LQ:
        reason = f"{LQ[0]}×{LQ[1]} only"
    elif rule.isa not in ("", isa) and not kept:
        reason = f"{rule.isa} only"
    elif rule.peer == ITSELF and load >= BUSY:
        reason = f"idle only, load {load:.1f}"
    passed = None if reason or ratio is None else ratio >= rule.at_least
    return SpeedOutcome(rule.case, ours, threads, peer, rule.at_least, ratio, passed, reason)


def ratio_of(other: Timing, mine: Timing, wall: bool = False) -> float:
    """The factor by which ``mine`` is faster than ``other``; in wall time with ``wall``."""
    first, second = ((t.wall_ms if wall else t.rounds_ms) for t in (other, mine))
    pairs = zip(first, second, strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


def roofline(times: Sequence[Timing], isa: str, lq: tuple[int, int] = LQ) -> Roofline | None:
    """The bounds of the unit, if it was measured and the instructions of ``isa`` are known."""
    by_name = {t.contestant: t for t in times if t.case == "unit" and t.threads == 1}
    if isa not in INSTRUCTIONS or not {ENGINE.name, *BOUNDS} <= set(by_name):
        return None
    ours, counting, copying = (by_name[c.name] for c in (ENGINE, COUNTING, COPYING))
    bits, each = INSTRUCTIONS[isa]
    instructions = each * counts(lq)
    return Roofline(
        isa=isa,
        vector_bits=bits,
        instructions=instructions,
        instructions_per_second=instructions / counting.median_ms * 1e3,
        instructions_ms=counting.median_ms,
        instructions_fraction=ratio_of(counting, ours),
        bytes=moved(lq),
        bytes_per_second=moved(lq) / copying.median_ms * 1e3,
        bytes_ms=copying.median_ms,
        bytes_fraction=ratio_of(copying, ours),
    )


def tables(bench: EngineBench) -> Iterator[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    """(title, columns, rows): the times of each case, then the outcome of the rules."""
    for case in dict.fromkeys(timing.case for timing in bench.times):
        times = [t for t in bench.times if t.case == case and t.contestant not in BOUNDS]
        ours = {t.threads: t for t in times if t.contestant == ENGINE.name}
        rows: list[tuple[Any, ...]] = [
            (t.contestant, t.threads, t.median_ms, ratio_of(t, ours[t.threads]), t.kernels)
            for t in times
        ]
        yield CASES[case].title, ("", "threads", "ms", "× bbnas", "kernels"), rows
    outcomes: list[tuple[Any, ...]] = [
        (v.case, v.ours, v.threads, v.peer, v.ratio, float(v.at_least), v.word)
        for v in bench.verdicts
    ]
    yield "bounds that the engine must keep", COLUMNS, outcomes


def write_page(bench: EngineBench, path: str | Path, *, inline: bool = False) -> None:
    """Write the figures of :func:`draw` as an HTML page.

    Raises:
        UserError: the file cannot be written.
    """
    title = "Latency of the engine and its peers"
    write_figures(path, title, bench.words, draw(bench), inline=inline)


def draw(bench: EngineBench) -> list[Spec]:
    """Plotly figures: for each case a bar for each contestant, and a table of the rules."""
    times = [timing for timing in bench.times if timing.contestant not in BOUNDS]
    figures = []
    for case in dict.fromkeys(timing.case for timing in times):
        of_case = [t for t in times if t.case == case]
        layout = axes_layout(
            f"{CASES[case].title}: time (ms)",
            "",
            180 + 36 * len({t.contestant for t in of_case}),
            barmode="group",
            xaxis={"rangemode": "tozero"},
            yaxis={"autorange": "reversed"},
        )
        bars = [
            _bars([t for t in of_case if t.threads == threads], threads)
            for threads in sorted({t.threads for t in of_case})
        ]
        figures.append({"data": bars, "layout": layout})
    rows = [
        (v.case, v.ours, v.threads, v.peer, _times(v.ratio), v.at_least, v.word)
        for v in bench.verdicts
    ]
    table = {
        "type": "table",
        "header": {"values": COLUMNS, "align": "left"},
        "cells": {
            "values": list(zip(*rows, strict=True)),
            "align": "left",
        },
    }
    return [*figures, {"data": [table], "layout": {"height": 250 + 40 * len(rows)}}]


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def _bars(times: Sequence[Timing], threads: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": f"{threads} thread{'s' if threads > 1 else ''}",
        "x": [timing.median_ms for timing in times],
        "y": [timing.contestant for timing in times],
        "texttemplate": "%{x:,.3~r}",
        "textposition": "outside",
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{x:.3g} ms",
    }
