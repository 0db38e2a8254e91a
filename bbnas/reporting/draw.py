"""The report's figures drawn with Plotly.

``meta["mode"]`` of a trace says when the page's script shows it: ``always``, ``params``,
``parts``, ``methods`` or ``published``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import Any

from bbnas.analysis.hypervolume import HypervolumeCurve
from bbnas.design import TITLES
from bbnas.engine.profile import LayerTime, by_part_and_work
from bbnas.reporting.figures import Dot, FrontFigure, Time, TrainingCurve
from bbnas.reporting.theme import (
    BASELINE,
    COLOURS,
    INK,
    MUTED,
    PALE,
    RECOMMENDED,
    SCALE,
    Spec,
    axes_layout,
    scatter,
)
from bbnas.text import count, decibel

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


def draw_front(figure: FrontFigure) -> Spec:
    """PSNR over OPs (log axis): the candidates in each of the figure's ``colours``, the front, the
    baselines, the recommended design and, hidden at first, the published designs.
    """
    groups: dict[str, list[Dot]] = {}
    for dot in figure.dots:
        groups.setdefault(dot.kind, []).append(dot)
    beaten, members = groups.get("beaten", []), groups.get("front", [])
    coloured = [dot for dot in figure.dots if dot.kind in ("beaten", "front")]
    traces = [
        _key("other candidates", "params", color=MUTED, size=7, opacity=0.6),
        _key("Pareto front", "params", color="#fff", size=11, line={"color": INK, "width": 2}),
        _dots(
            "other candidates",
            beaten,
            "params",
            color=[math.log10(dot.params) for dot in beaten],
            coloraxis="coloraxis",
            size=7,
            opacity=0.5,
        ),
        scatter(
            "best PSNR up to these OPs",
            [ops for ops, _ in figure.envelope],
            [psnr for _, psnr in figure.envelope],
            "lines",
            line={"shape": "hv", "color": INK, "width": 1, "dash": "dot"},
            hoverinfo="skip",
            meta={"mode": "always"},
        ),
        _dots(
            "Pareto front",
            members,
            "params",
            color=[math.log10(dot.params) for dot in members],
            coloraxis="coloraxis",
            size=12,
            line={"color": INK, "width": 1.5},
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
            color=PALE,
            size=6,
            symbol="line-ns",
            line={"color": PALE, "width": 1.5},
        ),
        _dots(
            "diverged or failed",
            groups.get("infeasible", []),
            "always",
            y=figure.bottom,
            color=PALE,
            size=8,
            symbol="x-thin",
            line={"color": PALE, "width": 1.5},
        ),
        _dots(
            "baseline",
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
                "colorscale": SCALE,
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
    return scatter(
        name,
        [dot.ops for dot in dots],
        [dot.psnr if y is None else y for dot in dots],
        "markers",
        text=[dot.hover for dot in dots],
        customdata=[dot.number for dot in dots],
        hovertemplate="%{text}<extra></extra>",
        marker=marker,
        meta={"mode": mode},
        legendgroup=name,
        showlegend=mode == "always",
    )


def _key(name: str, mode: str, **marker: Any) -> Spec:
    """A legend entry on its own: Plotly shows a trace there like its first point."""
    return scatter(
        name,
        [None],
        [None],
        "markers",
        marker=marker,
        hoverinfo="skip",
        meta={"mode": mode},
        legendgroup=name,
    )


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
            name = title or "full precision or an unpublished unit"
            traces += _group(name, mine, "methods", colour, [symbol] * len(mine))
    return traces


def _group(
    name: str, dots: Sequence[Dot], mode: str, colour: str, symbols: Sequence[str]
) -> list[Spec]:
    """Dots of one colour with their legend entry; those of the front are larger and on top."""
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
            line={"color": INK, "width": [1.5 if on else 0 for on in on_front]},
        ),
    ]


def _published(figure: FrontFigure) -> Spec:
    lines = [
        f"<b>{escape(p.method)}</b>, published<br>Set5 {decibel(p.psnr)}, "
        f"{decibel(p.gain, sign=True)} above bicubic interpolation<br>"
        f"{count(p.ops)} OPs, {count(p.params)} Params"
        for p in figure.overlay
    ]
    return scatter(
        "published, trained in full (Set5)",
        [p.ops for p in figure.overlay],
        [p.gain for p in figure.overlay],
        "markers",
        text=lines,
        hovertemplate="%{text}<extra></extra>",
        marker={"symbol": "cross-thin", "size": 11, "line": {"color": INK, "width": 2}},
        visible=False,
        meta={"mode": "published"},
    )


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
        white = {"color": "#fff", "width": 1.5}
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
                fillcolor="rgba(28,126,214,0.08)",
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


def draw_curves(curves: Sequence[TrainingCurve]) -> Spec:
    """Training loss over iterations; the recommended design and the front are drawn on top."""
    traces = []
    for name, kind, colour, dash in (
        ("others", "other", "rgba(102,112,133,0.22)", "solid"),
        ("diverged", "diverged", "rgba(224,49,49,0.7)", "dot"),
    ):
        x, y = _joined([curve for curve in curves if curve.kind == kind])
        line = {"color": colour, "width": 1, "dash": dash}
        traces.append(scatter(name, x, y, "lines", line=line, showlegend=True, hoverinfo="skip"))
    for i, curve in enumerate(curve for curve in curves if curve.kind == "front"):
        line = {"color": COLOURS[0], "width": 1.3}
        name = "Pareto front" if i == 0 else curve.name
        traces.append(_curve(curve, name, line, legendgroup="front", showlegend=i == 0))
    for curve in curves:
        if curve.kind == "recommended":
            line = {"color": RECOMMENDED, "width": 3}
            traces.append(_curve(curve, "recommended", line, showlegend=True))
    return {
        "data": [trace for trace in traces if trace["x"]],
        "layout": axes_layout(
            "iterations",
            "training L1 loss (0..1, log scale)",
            380,
            yaxis={"type": "log", "dtick": "D2"},
        ),
    }


def _curve(curve: TrainingCurve, name: str, line: Spec, **more: Any) -> Spec:
    hover = f"{escape(curve.name)}<br>iteration %{{x}}: %{{y:.4f}}<extra></extra>"
    x, y = list(curve.iterations), list(curve.loss)
    return scatter(name, x, y, "lines", line=line, hovertemplate=hover, **more)


def _joined(curves: Sequence[TrainingCurve]) -> tuple[list[int | None], list[float | None]]:
    """Many curves as one trace with gaps; one trace each would take seconds to draw."""
    x: list[int | None] = []
    y: list[float | None] = []
    for curve in curves:
        x += [*curve.iterations, None]
        y += [*curve.loss, None]
    return x, y


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
