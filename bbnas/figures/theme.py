"""How figures look: one palette and one layout for all pages.

A figure is a plain dictionary ``{"data": [traces], "layout": {…}}``, as Plotly's JavaScript reads
it.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

INK, MUTED, GRID, PALE = "#1b2230", "#667085", "#e8ebf1", "#98a2b3"
RECOMMENDED, BASELINE = "#d9480f", "#7a1fa2"
# Series that only need to differ, in the order of their use.
COLOURS = (
    "#1c7ed6",
    "#d6336c",
    "#2f9e44",
    "#f08c00",
    "#7048e8",
    "#15aabf",
    "#a0522d",
    "#868e96",
    "#74c0fc",
)
# From few to many.
SCALE = [[0, "#12b886"], [0.35, "#228be6"], [0.7, "#5f3dc4"], [1, "#3b0764"]]
# Parts of a network by whether body and upsampling are 1-bit.
PARTS = {
    "neither body nor upsampling": "#868e96",
    "body": "#1c7ed6",
    "upsampling": "#f08c00",
    "body and upsampling": "#0ca678",
}


def axes_layout(x: str, y: str, height: int, **changes: Any) -> Spec:
    """The layout of a figure with these axis titles; ``height`` in pixels.

    A dictionary in ``changes`` is merged into the layout's own, another value replaces it.
    """
    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": GRID,
        "automargin": True,
    }
    layout: Spec = {
        "colorway": COLOURS,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "height": height,
        "margin": {"l": 60, "r": 12, "t": 12, "b": 48},
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": PALE, "activecolor": INK},
        "hoverlabel": {"bgcolor": "#fff", "bordercolor": MUTED, "align": "left"},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "xaxis": axis | {"title": {"text": x, "standoff": 12}},
        "yaxis": axis | {"title": {"text": y, "standoff": 12}},
    }
    for name, value in changes.items():
        layout[name] = layout[name] | value if isinstance(layout.get(name), dict) else value
    return layout


def scatter(name: str, x: list[Any], y: list[Any], mode: str, **more: Any) -> Spec:
    """A trace of points or lines."""
    return {"type": "scatter", "mode": mode, "name": name, "x": x, "y": y} | more
