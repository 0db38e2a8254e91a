"""Where the time of a packed model goes."""

from __future__ import annotations

from bbnas.engine.profile import LayerTime, by_part_and_work
from bbnas.figures.theme import Spec, axes_layout


def draw_profile(layers: list[LayerTime]) -> Spec:
    """Processor time of a packed model: a bar for each part, stacked by kind of work."""
    sums = by_part_and_work(layers)
    parts = list(dict.fromkeys(layer.part for layer in layers))
    bars = [
        {
            "type": "bar",
            "name": work,
            "x": parts,
            "y": [sums.get((part, work), 0.0) * 1e3 for part in parts],
            "hovertemplate": "%{x}, " + work + ": %{y:.3f} ms<extra></extra>",
        }
        for work in dict.fromkeys(layer.work for layer in layers)
    ]
    layout = axes_layout("part of the network", "processor time (ms)", 460, barmode="stack")
    return {"data": bars, "layout": layout}
