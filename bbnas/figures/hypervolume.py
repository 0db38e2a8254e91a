"""Hypervolume of the front over a search: over its designs, or over its training."""

from __future__ import annotations

from typing import Literal

from bbnas.analysis.hypervolume import HypervolumeCurve
from bbnas.figures.theme import COLOURS, SHADE, Spec, axes_layout, scatter

Over = Literal["designs", "seconds"]
# Seconds of the units that an axis of time may have.
UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))


def draw_hypervolume(curve: HypervolumeCurve, over: Over = "designs") -> Spec:
    """Hypervolume, as a share of its box, over evaluations, or over the time of training that all
    workers together took.
    """
    size, unit = next((s, u) for s, u in UNITS if curve.trained[-1] >= 2 * s or s == 1)
    trained = [seconds / size for seconds in curve.trained]
    x = list(curve.evaluations) if over == "designs" else trained
    times = [
        "" if seconds is None else f", {seconds / 60:.1f} min after the first result"
        for seconds in curve.seconds
    ]
    texts = [
        f"after {number} evaluations, {time:.3g} {unit} of training{wall}"
        for number, time, wall in zip(curve.evaluations, trained, times, strict=True)
    ]
    return {
        "data": [
            scatter(
                "hypervolume",
                x,
                list(curve.volume),
                "lines",
                text=texts,
                hovertemplate="%{text}: %{y:.3f}<extra></extra>",
                line={"shape": "hv", "color": COLOURS[0], "width": 2},
                fill="tozeroy",
                fillcolor=SHADE,
            )
        ],
        "layout": axes_layout(
            "designs evaluated" if over == "designs" else f"training of all workers ({unit})",
            "hypervolume (share of its box)",
            320,
            yaxis={"rangemode": "tozero"},
            showlegend=False,
        ),
    }
