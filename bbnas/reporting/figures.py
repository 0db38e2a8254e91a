"""The values that a report's figures show; draw.py draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, TypeVar

import numpy as np

from bbnas.analysis.benefit import BenefitRow
from bbnas.analysis.effects import Fit
from bbnas.analysis.latency import timed
from bbnas.analysis.pareto import front
from bbnas.design import TITLES
from bbnas.paper import Published, published
from bbnas.study import Candidate, Study
from bbnas.text import count, decibel, interval, milliseconds, signed

T = TypeVar("T")
Kind = Literal["beaten", "front", "recommended", "baseline", "stopped", "infeasible"]
Colour = Literal["params", "parts", "methods"]
CurveKind = Literal["recommended", "front", "other", "diverged"]

# Most training curves of each kind, and points of a curve: more would slow down the page.
FAINT_CURVES = 60
BOLD_CURVES = 12
DIVERGED_CURVES = 8
CURVE_POINTS = 64


@dataclass(frozen=True)
class Dot:
    """A candidate in the figure of the front; ``psnr`` (dB) is NaN unless trained to the end.

    ``method`` is a title, empty for full precision and for an unpublished unit.
    """

    number: int
    kind: Kind
    ops: float
    params: float
    psnr: float
    parts: tuple[str, ...]
    method: str
    hover: str


@dataclass(frozen=True)
class FrontFigure:
    """PSNR over OPs. ``envelope`` is the best PSNR at no more than those OPs, as (ops, psnr).

    ``bottom`` and ``top`` (dB) are the ends of the PSNR axis, ``below`` the number of candidates
    under ``bottom``: poor ones would squeeze the front. ``overlay`` holds the published designs
    and ``bicubic`` the PSNR (dB) of bicubic interpolation on the study's images, without which
    there is no overlay. ``colours`` lists what can colour the dots, the default first: ``params``,
    ``parts`` and, in a space of several methods, ``methods``.
    """

    dots: tuple[Dot, ...]
    envelope: tuple[tuple[float, float], ...]
    bottom: float
    top: float
    below: int
    overlay: tuple[Published, ...]
    bicubic: float | None
    colours: tuple[Colour, ...] = ("params",)


def front_figure(
    study: Study, recommended: int | None, bicubic: float | None = None
) -> FrontFigure | None:
    """The front's figure, or None without candidates; ``recommended`` is a trial number."""
    if not study.candidates:
        return None
    members = {c.number for c in front(study)}
    dots = tuple(
        Dot(
            number=c.number,
            kind=_kind(c, members, recommended),
            ops=c.evaluation.ops,
            params=c.evaluation.params,
            psnr=c.evaluation.psnr if c.evaluation.feasible else math.nan,
            parts=tuple(map(str, c.evaluation.design.binarize)),
            method=TITLES.get(c.evaluation.design.published, ""),
            hover=hover(c),
        )
        for c in study.candidates
    )
    feasible = [dot for dot in dots if dot.kind not in ("stopped", "infeasible")]
    if not feasible:
        return FrontFigure(dots, (), 0.0, 1.0, 0, (), None)
    psnr = np.array([dot.psnr for dot in feasible])
    shown = [dot.psnr for dot in feasible if dot.kind != "beaten"]
    low = min([*shown, float(np.quantile(psnr, 0.05))])
    margin = 0.06 * max(float(psnr.max()) - low, 0.05)
    # A design below the global skip, which costs nothing, is the best at no cost.
    return FrontFigure(
        dots=dots,
        envelope=_envelope(
            [dot for dot in feasible if dot.kind != "baseline" and dot.psnr > study.config.floor]
        ),
        bottom=low - 2 * margin,
        top=float(psnr.max()) + margin,
        below=int(np.sum(psnr < low - 2 * margin)),
        overlay=tuple(published(study.config.task)) if bicubic is not None else (),
        bicubic=bicubic,
        colours=_colours(study, feasible),
    )


def _colours(study: Study, dots: Sequence[Dot]) -> tuple[Colour, ...]:
    own = [dot for dot in dots if dot.kind != "baseline"]
    parts: tuple[Colour, ...] = ("parts",) if len({dot.parts for dot in own}) > 1 else ()
    several = study.searches_methods and len({dot.method for dot in own}) > 1
    return ("methods", "params", *parts) if several else ("params", *parts)


def _kind(candidate: Candidate, members: set[int], recommended: int | None) -> Kind:
    if not candidate.evaluation.feasible:
        return "stopped" if candidate.evaluation.status == "stopped" else "infeasible"
    if candidate.number == recommended:
        return "recommended"
    if candidate.baseline:
        return "baseline"
    return "front" if candidate.number in members else "beaten"


def _envelope(dots: Sequence[Dot]) -> tuple[tuple[float, float], ...]:
    steps: list[tuple[float, float]] = []
    for dot in sorted(dots, key=lambda dot: (dot.ops, -dot.psnr)):
        if not steps or dot.psnr > steps[-1][1]:
            steps.append((dot.ops, dot.psnr))
    return tuple(steps)


def hover(candidate: Candidate) -> str:
    """A candidate in the lines of HTML that Plotly shows on hover; a user's text is escaped."""
    e = candidate.evaluation
    name = f"trial {candidate.number}"
    if candidate.baseline:
        name += f", baseline {candidate.baseline}"
    result = f"{decibel(e.psnr)}, SSIM {e.ssim:.4f}" if e.feasible else e.result
    if e.error:
        result += f": {e.error}"
    words = e.design.label().split(", ")
    lines = [", ".join(words[i : i + 3]) for i in range(0, len(words), 3)]
    costs = f"{count(e.ops)} OPs, {count(e.params)} Params"
    if math.isfinite(e.latency):
        costs += f", {milliseconds(e.latency)}"
    return "<br>".join([f"<b>{escape(name)}</b>", *map(escape, (result, costs, *lines))])


@dataclass(frozen=True)
class Time:
    """A design in the figure of measured time (seconds) over counted operations."""

    number: int
    ops: float
    seconds: float
    parts: tuple[str, ...]
    recommended: bool
    hover: str


def times(study: Study, recommended: int | None) -> list[Time]:
    """The designs of a study that have a latency."""
    return [
        Time(
            number=c.number,
            ops=c.evaluation.ops,
            seconds=c.evaluation.latency,
            parts=tuple(map(str, c.evaluation.design.binarize)),
            recommended=c.number == recommended,
            hover=hover(c),
        )
        for c in timed(study)
    ]


@dataclass(frozen=True)
class TrainingCurve:
    """A training curve: mean L1 loss on 0..1 by iteration."""

    number: int
    name: str
    kind: CurveKind
    iterations: tuple[int, ...]
    loss: tuple[float, ...]


def curves(study: Study, recommended: int | None) -> list[TrainingCurve]:
    """Training curves: the recommended design, and even samples of the front (at most 12), of the
    designs that diverged (8) and of the others (60), each of at most 64 points.
    """
    members = [c for c in front(study) if c.number != recommended]
    bold = {c.number for c in _evenly(members, BOLD_CURVES)}
    rest = [c for c in study.candidates if c.number not in {m.number for m in members}]
    diverged = _evenly([c for c in rest if c.evaluation.status == "diverged"], DIVERGED_CURVES)
    others = [c for c in rest if c.evaluation.feasible and c.number != recommended]
    faint = {c.number for c in [*diverged, *_evenly(others, FAINT_CURVES)]}
    drawn = []
    for c in study.candidates:
        points = [p for p in c.evaluation.curve if math.isfinite(p[1])]
        if not points or (c.number != recommended and c.number not in bold | faint):
            continue
        kind: CurveKind = "other" if c.evaluation.feasible else "diverged"
        if c.number == recommended:
            kind = "recommended"
        elif c.number in bold:
            kind = "front"
        iterations, loss = zip(*_evenly(points, CURVE_POINTS), strict=True)
        drawn.append(TrainingCurve(c.number, _name(c), kind, iterations, loss))
    return drawn


def _name(candidate: Candidate) -> str:
    e = candidate.evaluation
    return f"trial {candidate.number}, {decibel(e.psnr) if e.feasible else e.result}"


def _evenly(items: Sequence[T], most: int) -> list[T]:
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


@dataclass(frozen=True)
class EffectBar:
    """An interval on a common scale of 0 to 1, and the numbers printed beside it."""

    label: str
    note: str
    low: float
    mark: float
    high: float
    texts: tuple[str, ...]
    tone: Literal["good", "bad", "open"] = "open"


@dataclass(frozen=True)
class EffectsFigure:
    """Intervals by axis, as (axis, reference, bars); ``zero`` is where 0 dB lies."""

    groups: tuple[tuple[str, str, tuple[EffectBar, ...]], ...]
    zero: float
    ticks: tuple[tuple[float, str], ...]


def effects_figure(fit: Fit) -> EffectsFigure | None:
    """The intervals of a fit's effects, or None where it has no effects."""
    if not fit.effects:
        return None
    # The scale holds every mark and nine tenths of the ends: one wide interval must not
    # squeeze the rest.
    ends = sorted([abs(e.low) for e in fit.effects] + [abs(e.high) for e in fit.effects])
    reach = 1.05 * max(ends[int(0.9 * (len(ends) - 1))], *(abs(e.effect) for e in fit.effects))
    low = -reach if any(e.low < 0 for e in fit.effects) else -0.1 * reach
    high = min(reach, max(0.1 * reach, 1.05 * max(e.high for e in fit.effects)))

    def place(value: float) -> float:
        return min(1.0, max(0.0, (value - low) / (high - low)))

    groups: dict[tuple[str, str], list[EffectBar]] = {}
    for e in fit.effects:
        tone: Literal["good", "bad", "open"] = "open"
        if e.low > 0 or e.high < 0:
            tone = "good" if e.low > 0 else "bad"
        bar = EffectBar(
            label=e.choice,
            note=f"{e.n} against {e.n_reference}",
            low=place(e.low),
            mark=place(e.effect),
            high=place(e.high),
            texts=(signed(e.effect), interval(e.low, e.high), str(e.n)),
            tone=tone,
        )
        groups.setdefault((e.axis, e.reference), []).append(bar)
    step = _step(high - low)
    first = math.ceil(low / step)
    ticks = [step * i for i in range(first, math.floor(high / step) + 1)]
    return EffectsFigure(
        groups=tuple((axis, ref, tuple(bars)) for (axis, ref), bars in groups.items()),
        zero=place(0.0),
        ticks=tuple((place(t), f"{t:+.3g}".replace("-", "−") if t else "0") for t in ticks),
    )


def _step(span: float) -> float:
    rough = span / 8
    power = 10.0 ** math.floor(math.log10(rough))
    return next(s * power for s in (1, 2, 5, 10) if s * power >= rough)


def benefit_lengths(rows: Sequence[BenefitRow], name: Literal["vc", "vp"]) -> list[float | None]:
    """Lengths in 0..1 of logarithmic bars that start at a tenth of the smallest positive value.

    None for a value that is not positive.
    """
    values = [float(getattr(row, name)) for row in rows]
    positive = [value for value in values if value > 0]
    if not positive:
        return [None] * len(values)
    start = math.log10(min(positive)) - 1
    span = math.log10(max(positive)) - start
    return [(math.log10(value) - start) / span if value > 0 else None for value in values]
