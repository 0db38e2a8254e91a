"""Hypervolume of the front over a search."""

from __future__ import annotations

from bbnas.analysis.hypervolume import HypervolumeCurve
from bbnas.figures.theme import COLOURS, SHADE, Spec, axes_layout, scatter


def draw_hypervolume(curve: HypervolumeCurve) -> Spec:
    """Hypervolume, as a share of its box, over evaluations."""
    times = [
        "" if seconds is None else f", {seconds / 60:.1f} min after the first result"
        for seconds in curve.seconds
    ]
    return {
        "data": [
            scatter(
                "hypervolume",
                list(curve.evaluations),
                list(curve.volume),
                "lines",
                text=times,
                hovertemplate="after %{x} evaluations%{text}: %{y:.3f}<extra></extra>",
                line={"shape": "hv", "color": COLOURS[0], "width": 2},
                fill="tozeroy",
                fillcolor=SHADE,
            )
        ],
        "layout": axes_layout(
            "designs evaluated",
            "hypervolume (share of its box)",
            320,
            yaxis={"rangemode": "tozero"},
            showlegend=False,
        ),
    }
