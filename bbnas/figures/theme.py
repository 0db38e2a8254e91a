"""How figures look: one palette and one layout, light and dark.

A figure is a plain dictionary ``{"data": [traces], "layout": {…}}``, as Plotly's JavaScript reads
it. It is specified in the colours of the light theme. ``DARK`` maps each of them to the dark
theme's. A page's script (``recolour.js``) applies the map, which is embedded as JSON, to all but
the keys of ``VERBATIM``.

The palette stays apart for readers with protanopia or deuteranopia, and each colour has a contrast
of 3:1 with both pages' backgrounds or more; the tests calculate both.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

Spec = dict[str, Any]
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)

PAPER, INK, MUTED, GRID, PALE = "#ffffff", "#1b2230", "#667085", "#e8ebf1", "#8a93a3"
RECOMMENDED, BASELINE, LOST = "#d55e00", "#7a1fa2", "#c92a2a"
# Series that only need to differ, in the order of their use. None is like RECOMMENDED.
BLUE, GREEN, SAND, MAGENTA, INDIGO, SKY, GREY = COLOURS = (
    "#036abb",
    "#138f5f",
    "#bb8b49",
    "#a0478a",
    "#332288",
    "#3496bb",
    "#8c949c",
)
# The area below a line of the first colour.
SHADE = "rgba(3,106,187,0.08)"
# From few to many: viridis between its teal and its violet. On a dark page it runs from blue to
# yellow, so that the most is farthest from the background on both.
SCALE = [[0, "#1e9b8a"], [0.33, "#2c738e"], [0.67, "#414487"], [1, "#440154"]]
# Parts of a network by whether body and upsampling are 1-bit.
PARTS = {
    "neither body nor upsampling": GREY,
    "body": BLUE,
    "upsampling": SAND,
    "body and upsampling": GREEN,
}

DARK = {
    PAPER: "#12161d",
    INK: "#e6e9ef",
    MUTED: "#a3adbd",
    GRID: "#2b323e",
    PALE: "#7b8698",
    RECOMMENDED: "#ff7a3d",
    BASELINE: "#d3a4f0",
    LOST: "#ff6b6b",
    BLUE: "#6fb2f1",
    GREEN: "#2eda89",
    SAND: "#ffc400",
    MAGENTA: "#ee91b7",
    INDIGO: "#6e86ff",
    SKY: "#7beeff",
    GREY: "#85827b",
    SHADE: "rgba(111,178,241,0.14)",
    "#1e9b8a": "#35759a",
    "#2c738e": "#1f9e89",
    "#414487": "#6ece58",
    "#440154": "#fde725",
}
# Keys of a figure whose values are data and texts: no colour is looked for in them.
VERBATIM = ("x", "y", "text", "customdata", "name", "ids", "meta", "dimensions", "ticktext")


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
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": MUTED, "align": "left"},
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
