"""The figures of an ablation, drawn with Plotly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bbnas.figures.theme import (
    COLOURS,
    INK,
    MUTED,
    PALE,
    RECOMMENDED,
    Spec,
    axes_layout,
    scatter,
)

# Pixels of a row in a figure of differences: room for its label and its interval.
ROW_HEIGHT = 30


@dataclass(frozen=True)
class Point:
    """A row in a figure: PSNR or a difference (dB), half its interval, and the paper's difference.

    NaN where there is none; ``x`` is that of the row in its series.
    """

    row: str
    value: float
    half: float
    paper: float = math.nan
    x: float = math.nan


def draw_differences(points: Sequence[Point], reference: str) -> Spec:
    """Each row's difference to ``reference`` with its 95 % interval, and the paper's."""
    shown = [p for p in reversed(points) if math.isfinite(p.value)]
    ours = scatter(
        "here, 95 % interval",
        [p.value for p in shown],
        [escape(p.row) for p in shown],
        "markers",
        error_x={"type": "data", "array": [p.half for p in shown], "color": COLOURS[0]},
        marker={"color": COLOURS[0], "size": 10},
        hovertemplate="%{y}: %{x:+.3f} dB<extra></extra>",
    )
    printed = [p for p in reversed(points) if math.isfinite(p.paper)]
    theirs = scatter(
        "the paper’s",
        [p.paper for p in printed],
        [escape(p.row) for p in printed],
        "markers",
        marker={
            "color": RECOMMENDED,
            "size": 11,
            "symbol": "diamond-open",
            "line": {"width": 2},
        },
        hovertemplate="%{y}: %{x:+.2f} dB in the paper<extra></extra>",
    )
    order = [escape(p.row) for p in reversed(points)]
    return {
        "data": [trace for trace in (ours, theirs) if trace["x"]],
        "layout": axes_layout(
            f"PSNR against {escape(reference)} (dB)",
            "",
            130 + ROW_HEIGHT * len(points),
            xaxis={"zeroline": True, "zerolinecolor": MUTED},
            yaxis={
                "type": "category",
                "categoryorder": "array",
                "categoryarray": order,
                "range": [-0.6, len(order) - 0.4],
            },
        ),
    }


def draw_series(
    series: dict[str, list[Point]], x: str, floor: float, marks: Sequence[float] = ()
) -> Spec:
    """PSNR over x (log axis) by series; bars show one standard deviation between seeds.

    ``floor`` (dB) is the PSNR of the global skip, drawn where a point comes near it; ``marks`` are
    the x at which the paper finds the best PSNR.
    """
    traces: list[Spec] = []
    for number, (name, points) in enumerate(series.items()):
        kept = [p for p in points if math.isfinite(p.value)]
        colour = COLOURS[number % len(COLOURS)]
        traces.append(
            scatter(
                escape(name),
                [p.x for p in kept],
                [p.value for p in kept],
                "lines+markers",
                error_y={
                    "type": "data",
                    "array": [p.half if math.isfinite(p.half) else 0.0 for p in kept],
                    "color": colour,
                    "thickness": 1.2,
                },
                text=[escape(p.row) for p in kept],
                hovertemplate="%{text}: %{y:.3f} dB<extra></extra>",
                line={"color": colour, "width": 2},
                marker={"size": 8},
            )
        )
    every = [p for points in series.values() for p in points]
    known = [p.value for p in every if math.isfinite(p.value)]
    ticks = sorted({p.x for p in every})
    if known and min(known) - floor < 0.5 * (max(known) - min(known)):
        traces.append(
            scatter(
                "global skip alone",
                [ticks[0], ticks[-1]],
                [floor, floor],
                "lines",
                line={"color": PALE, "width": 1.5, "dash": "dash"},
                hovertemplate="global skip alone: %{y:.3f} dB<extra></extra>",
            )
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
