"""Measured latency over counted operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bbnas.analysis.latency import timed
from bbnas.figures.hover import hover
from bbnas.figures.theme import PAPER, PARTS, RECOMMENDED, Spec, axes_layout, scatter
from bbnas.study import Study


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


def draw_times(times: Sequence[Time]) -> Spec:
    """Measured milliseconds over OPs, both on log axes, coloured by whether body and upsampling
    are 1-bit.
    """
    traces = []
    for name, colour in PARTS.items():
        wanted = {part for part in ("body", "upsampling") if part in name.split(" and ")}
        mine = [t for t in times if wanted == set(t.parts) & {"body", "upsampling"}]
        if mine:
            traces.append(_times(name, mine, color=colour, size=9, opacity=0.75))
    best = [t for t in times if t.recommended]
    if best:
        white = {"color": PAPER, "width": 1.5}
        traces.append(
            _times("recommended", best, color=RECOMMENDED, size=20, symbol="star", line=white)
        )
    return {
        "data": traces,
        "layout": axes_layout(
            "OPs on a 320×180 LQ image (log scale)",
            "measured time (ms, log scale)",
            460,
            xaxis={"type": "log", "tickformat": "~s", "dtick": 1},
            yaxis={"type": "log", "dtick": "D2"},
        ),
    }


def _times(name: str, times: Sequence[Time], **marker: Any) -> Spec:
    return scatter(
        name,
        [t.ops for t in times],
        [t.seconds * 1e3 for t in times],
        "markers",
        text=[t.hover for t in times],
        customdata=[t.number for t in times],
        hovertemplate="%{text}<extra></extra>",
        marker=marker,
    )
