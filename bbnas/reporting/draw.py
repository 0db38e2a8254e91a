"""Plotly figures, as the plain dictionaries that Plotly's JavaScript reads.

Each is ``{"data": [traces], "layout": {…}}``. What the page's own script needs of a trace is in
its ``meta``: ``mode`` (``always``, ``params``, ``parts``, ``methods`` or ``published``: when it
is shown).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from bbnas.analysis.hypervolume import Curve as VolumeCurve
from bbnas.design import TITLES
from bbnas.reporting.figures import Curve, Dot, FrontFigure, Time
from bbnas.text import count, decibel

INK, MUTED, GRID = "#1b2230", "#667085", "#e8ebf1"
RECOMMENDED, FRONT, BASELINE, LOST = "#d9480f", "#1b2230", "#7a1fa2", "#98a2b3"
FEW_TO_MANY = [[0, "#12b886"], [0.35, "#228be6"], [0.7, "#5f3dc4"], [1, "#3b0764"]]
PARTS = {
    "neither body nor upsampling": "#868e96",
    "body": "#1c7ed6",
    "upsampling": "#f08c00",
    "body and upsampling": "#0ca678",
}
METHODS = dict(
    zip(
        dict.fromkeys(TITLES.values()),
        (
            ("#868e96", "hourglass"),
            ("#495057", "cross"),
            ("#1c7ed6", "triangle-up"),
            ("#15aabf", "triangle-down"),
            ("#7048e8", "square"),
            ("#a0522d", "star-triangle-up"),
            ("#f08c00", "diamond"),
            ("#2f9e44", "pentagon"),
            ("#b197fc", "hexagon"),
            ("#e599f7", "hexagon2"),
            ("#f783ac", "octagon"),
            ("#d6336c", "circle"),
            ("#d6336c", "circle"),
        ),
        strict=True,
    )
) | {"": ("#adb5bd", "circle")}
SYMBOLS = {
    (False, False): "circle",
    (True, False): "triangle-up",
    (False, True): "square",
    (True, True): "pentagon",
}

Spec = dict[str, Any]


def axes_layout(x: str, y: str, height: int, **changes: Any) -> Spec:
    """The layout of a figure with these titles of its axes; ``height`` in pixels."""
    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": GRID,
        "automargin": True,
    }
    layout: Spec = {
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "height": height,
        "margin": {"l": 60, "r": 12, "t": 12, "b": 48},
        "hovermode": "closest",
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#98a2b3", "activecolor": INK},
        "hoverlabel": {"bgcolor": "#fff", "bordercolor": MUTED, "align": "left"},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "xaxis": axis | {"title": {"text": x, "standoff": 12}},
        "yaxis": axis | {"title": {"text": y, "standoff": 12}},
    }
    for name, value in changes.items():
        layout[name] = layout[name] | value if isinstance(layout.get(name), dict) else value
    return layout


def draw_front(figure: FrontFigure) -> Spec:
    """PSNR over OPs (log), coloured by each of the figure's ``colours``, with what stands out."""
    groups: dict[str, list[Dot]] = {}
    for dot in figure.dots:
        groups.setdefault(dot.kind, []).append(dot)
    beaten, members = groups.get("beaten", []), groups.get("front", [])
    coloured = [dot for dot in figure.dots if dot.kind in ("beaten", "front")]
    traces = [
        _key("other candidates", "params", color=MUTED, size=7, opacity=0.6),
        _key("Pareto front", "params", color="#fff", size=11, line={"color": FRONT, "width": 2}),
        _dots(
            "other candidates",
            beaten,
            "params",
            color=[math.log10(dot.params) for dot in beaten],
            coloraxis="coloraxis",
            size=7,
            opacity=0.5,
        ),
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best PSNR for these OPs",
            "x": [ops for ops, _ in figure.envelope],
            "y": [psnr for _, psnr in figure.envelope],
            "line": {"shape": "hv", "color": FRONT, "width": 1, "dash": "dot"},
            "hoverinfo": "skip",
            "meta": {"mode": "always"},
        },
        _dots(
            "Pareto front",
            members,
            "params",
            color=[math.log10(dot.params) for dot in members],
            coloraxis="coloraxis",
            size=12,
            line={"color": FRONT, "width": 1.5},
        ),
    ]
    if "parts" in figure.colours:
        traces += _by_parts(coloured)
    if "methods" in figure.colours:
        traces += _by_methods(coloured)
    traces += [
        _dots(
            "stopped early",
            groups.get("stopped", []),
            "always",
            y=figure.bottom,
            color=LOST,
            size=6,
            symbol="line-ns",
            line={"color": LOST, "width": 1.5},
        ),
        _dots(
            "diverged or failed",
            groups.get("infeasible", []),
            "always",
            y=figure.bottom,
            color=LOST,
            size=8,
            symbol="x-thin",
            line={"color": LOST, "width": 1.5},
        ),
        _dots(
            "baseline, put in by hand",
            groups.get("baseline", []),
            "always",
            color=BASELINE,
            size=13,
            symbol="diamond-open",
            line={"color": BASELINE, "width": 2},
        ),
        _dots(
            "recommended",
            groups.get("recommended", []),
            "always",
            color=RECOMMENDED,
            size=20,
            symbol="star",
            line={"color": "#fff", "width": 1.5},
        ),
        _published(figure),
    ]
    for trace in traces:
        trace.setdefault("visible", trace["meta"]["mode"] in ("always", figure.colours[0]))
    logs = [math.log10(dot.params) for dot in coloured or figure.dots]
    decades = range(math.ceil(min(logs)), math.floor(max(logs)) + 1)
    ticks = list(map(float, decades)) if len(decades) > 1 else sorted({min(logs), max(logs)})
    bar = {
        "title": {"text": "Params"},
        "thickness": 12,
        "outlinewidth": 0,
        "tickvals": ticks,
        "ticktext": [re.sub(r"\.0+\b", "", count(10**tick)) for tick in ticks],
    }
    return {
        "data": [trace for trace in traces if trace["x"]],
        "layout": axes_layout(
            "OPs on a 320×180 LQ image (log scale)",
            "PSNR on the validation images (dB)",
            540,
            xaxis={"type": "log", "tickformat": "~s", "dtick": 1},
            yaxis={"range": [figure.bottom - 0.02, figure.top]},
            coloraxis={
                "colorscale": FEW_TO_MANY,
                "cmin": min(logs),
                "cmax": max(logs),
                "colorbar": bar,
                "showscale": figure.colours[0] == "params",
            },
        ),
    }


def _dots(
    name: str, dots: Sequence[Dot], mode: str, y: float | None = None, **marker: Any
) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [dot.ops for dot in dots],
        "y": [dot.psnr if y is None else y for dot in dots],
        "text": [dot.hover for dot in dots],
        "customdata": [dot.number for dot in dots],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": marker,
        "meta": {"mode": mode},
        "legendgroup": name,
        "showlegend": mode == "always",
    }


def _key(name: str, mode: str, **marker: Any) -> Spec:
    """An entry of the legend alone: a trace shows there what its first point happens to be."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [None],
        "y": [None],
        "marker": marker,
        "hoverinfo": "skip",
        "meta": {"mode": mode},
        "legendgroup": name,
    }


def _by_parts(dots: Sequence[Dot]) -> list[Spec]:
    """Colour: whether body and upsampling are 1-bit. Symbol: whether head and tail are."""
    traces = []
    for name, colour in PARTS.items():
        wanted = {part for part in ("body", "upsampling") if part in name.split(" and ")}
        mine = [dot for dot in dots if wanted == set(dot.parts) & {"body", "upsampling"}]
        if mine:
            symbols = [SYMBOLS["head" in dot.parts, "tail" in dot.parts] for dot in mine]
            traces += _group(name, mine, "parts", colour, symbols)
    return traces


def _by_methods(dots: Sequence[Dot]) -> list[Spec]:
    """Colour and symbol: the method."""
    traces = []
    for title, (colour, symbol) in METHODS.items():
        mine = [dot for dot in dots if dot.method == title]
        if mine:
            name = title or "full precision or a unit of its own"
            traces += _group(name, mine, "methods", colour, [symbol] * len(mine))
    return traces


def _group(
    name: str, dots: Sequence[Dot], mode: str, colour: str, symbols: Sequence[str]
) -> list[Spec]:
    """Dots of one colour, those of the front larger and on top, and their entry in the legend."""
    pairs = sorted(zip(dots, symbols, strict=True), key=lambda pair: pair[0].kind == "front")
    on_front = [dot.kind == "front" for dot, _ in pairs]
    one = symbols[0] if len(set(symbols)) == 1 else "circle"
    return [
        _key(name, mode, color=colour, size=9, symbol=one),
        _dots(
            name,
            [dot for dot, _ in pairs],
            mode,
            color=colour,
            symbol=[symbol for _, symbol in pairs],
            size=[12 if on else 8 for on in on_front],
            opacity=[1.0 if on else 0.6 for on in on_front],
            line={"color": FRONT, "width": [1.5 if on else 0 for on in on_front]},
        ),
    ]


def _published(figure: FrontFigure) -> Spec:
    lines = [
        f"<b>{escape(p.method)}</b>, published<br>Set5 {decibel(p.psnr)}, "
        f"{decibel(p.gain, sign=True)} against its bicubic<br>"
        f"{count(p.ops)} OPs, {count(p.params)} Params"
        for p in figure.overlay
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "published, trained in full (Set5)",
        "x": [p.ops for p in figure.overlay],
        "y": [p.gain for p in figure.overlay],
        "text": lines,
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": "cross-thin",
            "size": 11,
            "line": {"color": INK, "width": 2},
        },
        "visible": False,
        "meta": {"mode": "published"},
    }


def draw_times(times: Sequence[Time]) -> Spec:
    """Measured milliseconds over OPs, both in decades; colour: whether body and upsampling are
    1-bit.
    """
    traces = []
    for name, colour in PARTS.items():
        wanted = {part for part in ("body", "upsampling") if part in name.split(" and ")}
        mine = [t for t in times if wanted == set(t.parts) & {"body", "upsampling"}]
        if mine:
            traces.append(_times(name, mine, color=colour, size=9, opacity=0.75))
    best = [t for t in times if t.recommended]
    if best:
        white = {"color": "#fff", "width": 1.5}
        traces.append(
            _times("recommended", best, color=RECOMMENDED, size=20, symbol="star", line=white)
        )
    return {
        "data": traces,
        "layout": axes_layout(
            "OPs in the paper's convention, on a 320×180 LQ image (log scale)",
            "measured time (ms, log scale)",
            460,
            xaxis={"type": "log", "tickformat": "~s", "dtick": 1},
            yaxis={"type": "log", "dtick": "D2"},
        ),
    }


def _times(name: str, times: Sequence[Time], **marker: Any) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [t.ops for t in times],
        "y": [t.seconds * 1e3 for t in times],
        "text": [t.hover for t in times],
        "customdata": [t.number for t in times],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": marker,
    }


def draw_hypervolume(curve: VolumeCurve) -> Spec:
    """The hypervolume's share of its box over evaluations."""
    times = [
        "" if seconds is None else f", {seconds / 60:.1f} min after the first"
        for seconds in curve.seconds
    ]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": list(curve.evaluations),
                "y": list(curve.volume),
                "text": times,
                "hovertemplate": "after %{x} evaluations%{text}: %{y:.3f}<extra></extra>",
                "line": {"shape": "hv", "color": "#1c7ed6", "width": 2},
                "fill": "tozeroy",
                "fillcolor": "rgba(28,126,214,0.08)",
            }
        ],
        "layout": axes_layout(
            "designs evaluated",
            "hypervolume, share of its box",
            320,
            yaxis={"rangemode": "tozero"},
            showlegend=False,
        ),
    }


def draw_curves(curves: Sequence[Curve]) -> Spec:
    """Training loss over iterations: the recommended design and the front before the rest."""
    faint = [
        ("others", "other", "rgba(102,112,133,0.22)", "solid"),
        ("diverged", "diverged", "rgba(224,49,49,0.7)", "dot"),
    ]
    traces = []
    for name, kind, colour, dash in faint:
        x, y = _joined([curve for curve in curves if curve.kind == kind])
        line = {"color": colour, "width": 1, "dash": dash}
        traces.append(_line(name, x, y, line, showlegend=True, hoverinfo="skip"))
    members = [curve for curve in curves if curve.kind == "front"]
    for i, curve in enumerate(members):
        line = {"color": "#1c7ed6", "width": 1.3}
        name = "Pareto front" if i == 0 else curve.name
        traces.append(_curve(curve, name, line, legendgroup="front", showlegend=i == 0))
    for curve in curves:
        if curve.kind == "recommended":
            line = {"color": RECOMMENDED, "width": 3}
            traces.append(_curve(curve, "recommended", line, showlegend=True))
    return {
        "data": [trace for trace in traces if trace["x"]],
        "layout": axes_layout(
            "iterations", "training L1 loss (0..1, log scale)", 380, yaxis={"type": "log"}
        ),
    }


def _curve(curve: Curve, name: str, line: Spec, **changes: Any) -> Spec:
    hover = f"{escape(curve.name)}<br>iteration %{{x}}: %{{y:.4f}}<extra></extra>"
    x, y = list(curve.iterations), list(curve.loss)
    return _line(name, x, y, line, hovertemplate=hover, **changes)


def _line(name: str, x: Sequence[Any], y: Sequence[Any], line: Spec, **changes: Any) -> Spec:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": list(y),
        "line": line,
    } | changes


def _joined(curves: Sequence[Curve]) -> tuple[list[int | None], list[float | None]]:
    """Many curves as one trace, with gaps: a trace each would take seconds to draw."""
    x: list[int | None] = []
    y: list[float | None] = []
    for curve in curves:
        x += [*curve.iterations, None]
        y += [*curve.loss, None]
    return x, y
