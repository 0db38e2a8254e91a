"""The figures of an experiment, as Plotly's JavaScript reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bbnas.reporting.draw import INK, LOST, MUTED, RECOMMENDED, Spec, axes_layout

COLOURS = ("#1c7ed6", "#d6336c", "#2f9e44", "#f08c00", "#7048e8", "#15aabf")
ROW_HEIGHT = 30


@dataclass(frozen=True)
class Point:
    """A row on a figure: PSNR or a difference (dB), half its interval, and the paper's figure.

    NaN where there is none; ``x`` is that of a series.
    """

    row: str
    value: float
    half: float
    paper: float = math.nan
    x: float = math.nan


def draw_differences(points: Sequence[Point], reference: str) -> Spec:
    """Each row's difference to ``reference`` with its 95 % interval, the paper's beside it."""
    shown = [p for p in reversed(points) if math.isfinite(p.value)]
    ours = {
        "type": "scatter",
        "mode": "markers",
        "name": "here, 95 % interval",
        "x": [p.value for p in shown],
        "y": [escape(p.row) for p in shown],
        "error_x": {"type": "data", "array": [p.half for p in shown], "color": COLOURS[0]},
        "marker": {"color": COLOURS[0], "size": 10},
        "hovertemplate": "%{y}: %{x:+.3f} dB<extra></extra>",
    }
    printed = [p for p in reversed(points) if math.isfinite(p.paper)]
    theirs = {
        "type": "scatter",
        "mode": "markers",
        "name": "the paper’s",
        "x": [p.paper for p in printed],
        "y": [escape(p.row) for p in printed],
        "marker": {
            "color": RECOMMENDED,
            "size": 11,
            "symbol": "diamond-open",
            "line": {"width": 2},
        },
        "hovertemplate": "%{y}: %{x:+.2f} dB in the paper<extra></extra>",
    }
    order = [escape(p.row) for p in reversed(points)]
    return {
        "data": [trace for trace in (ours, theirs) if trace["x"]],
        "layout": axes_layout(
            f"PSNR against {escape(reference)} (dB)",
            "",
            130 + ROW_HEIGHT * len(points),
            xaxis={"zeroline": True, "zerolinecolor": MUTED},
            yaxis={"type": "category", "categoryorder": "array", "categoryarray": order},
        ),
    }


def draw_series(
    series: dict[str, list[Point]], x: str, floor: float, marks: Sequence[float] = ()
) -> Spec:
    """PSNR over x (log) by series, bars one standard deviation between seeds to each side.

    ``floor`` (dB) is the global skip's, drawn where a point comes near it; ``marks`` are where the
    paper has the best x.
    """
    traces: list[Spec] = []
    for number, (name, points) in enumerate(series.items()):
        kept = [p for p in points if math.isfinite(p.value)]
        colour = COLOURS[number % len(COLOURS)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escape(name),
                "x": [p.x for p in kept],
                "y": [p.value for p in kept],
                "error_y": {
                    "type": "data",
                    "array": [p.half if math.isfinite(p.half) else 0.0 for p in kept],
                    "color": colour,
                    "thickness": 1.2,
                },
                "text": [escape(p.row) for p in kept],
                "hovertemplate": "%{text}: %{y:.3f} dB<extra></extra>",
                "line": {"color": colour, "width": 2},
                "marker": {"size": 8},
            }
        )
    every = [p for points in series.values() for p in points]
    known = [p.value for p in every if math.isfinite(p.value)]
    ticks = sorted({p.x for p in every})
    if known and min(known) - floor < 0.5 * (max(known) - min(known)):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "global skip alone",
                "x": [ticks[0], ticks[-1]],
                "y": [floor, floor],
                "line": {"color": LOST, "width": 1.5, "dash": "dash"},
                "hovertemplate": "global skip alone: %{y:.3f} dB<extra></extra>",
            }
        )
    lines = [
        {
            "type": "line",
            "x0": mark,
            "x1": mark,
            "y0": 0,
            "y1": 1,
            "yref": "paper",
            "line": {"color": INK, "width": 1, "dash": "dot"},
        }
        for mark in marks
    ]
    return {
        "data": traces,
        "layout": axes_layout(
            f"{escape(x)} (log scale)",
            "PSNR on the validation images (dB)",
            460,
            xaxis={"type": "log", "tickvals": ticks, "ticktext": [f"{t:g}" for t in ticks]},
            shapes=lines,
        ),
    }
