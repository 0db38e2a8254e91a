"""Effects of choices with their intervals, on one scale; a page draws them as HTML."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bbnas.analysis.findings import Finding, StudyFindings

Tone = Literal["good", "bad", "open"]


@dataclass(frozen=True)
class EffectBar:
    """An effect and where it lies on a common scale of 0 to 1; ``open`` is not settled yet."""

    finding: Finding
    low: float
    mark: float
    high: float
    tone: Tone


@dataclass(frozen=True)
class EffectsFigure:
    """Effects by axis, as (axis, reference, bars); ``zero`` is where 0 dB lies."""

    groups: tuple[tuple[str, str, tuple[EffectBar, ...]], ...]
    zero: float
    ticks: tuple[tuple[float, str], ...]


def effects_figure(found: StudyFindings) -> EffectsFigure | None:
    """The effects of a study, or None where it has none."""
    effects = found.effects
    if not effects:
        return None
    # The scale holds every mark and nine tenths of the ends: one wide interval must not
    # squeeze the rest.
    ends = sorted([abs(e.low) for e in effects] + [abs(e.high) for e in effects])
    reach = 1.05 * max(ends[int(0.9 * (len(ends) - 1))], *(abs(e.effect) for e in effects), 0.01)
    low = -reach if any(e.low < 0 for e in effects) else -0.1 * reach
    high = min(reach, max(0.1 * reach, 1.05 * max(e.high for e in effects)))

    def place(value: float) -> float:
        return min(1.0, max(0.0, (value - low) / (high - low)))

    groups: dict[tuple[str, str], list[EffectBar]] = {}
    for e in effects:
        tone: Tone = "open" if not e.settled else "good" if e.effect > 0 else "bad"
        bar = EffectBar(e, place(e.low), place(e.effect), place(e.high), tone)
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
