"""The Pareto front: PSNR over OPs of all candidates.

``meta["mode"]`` of a trace says when the page's script shows it: ``always``, ``params``,
``parts``, ``methods`` or ``published``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np

from bbnas.analysis.pareto import front
from bbnas.design import TITLES
from bbnas.figures.hover import hover
from bbnas.figures.theme import (
    BASELINE,
    BLUE,
    GREEN,
    GREY,
    INDIGO,
    INK,
    MAGENTA,
    MUTED,
    PALE,
    PAPER,
    PARTS,
    RECOMMENDED,
    SAND,
    SCALE,
    SKY,
    Spec,
    axes_layout,
    scatter,
)
from bbnas.paper import Published, published
from bbnas.study import Candidate, Study
from bbnas.text import count, decibel

Kind = Literal["beaten", "front", "recommended", "baseline", "stopped", "infeasible"]
Colour = Literal["params", "parts", "methods"]
# A colour and a symbol for each method, and for what is none.
METHODS = dict(
    zip(
        dict.fromkeys(TITLES.values()),
        (
            (GREY, "hourglass"),
            (INK, "cross"),
            (BLUE, "triangle-up"),
            (SKY, "triangle-down"),
            (INDIGO, "square"),
            (SAND, "star-triangle-up"),
            (GREEN, "diamond"),
            (BLUE, "pentagon"),
            (INDIGO, "hexagon"),
            (GREEN, "hexagon2"),
            (SAND, "octagon"),
            (MAGENTA, "circle"),
            (MAGENTA, "circle"),
        ),
        strict=True,
    )
) | {"": (PALE, "circle")}
SYMBOLS = {
    (False, False): "circle",
    (True, False): "triangle-up",
    (False, True): "square",
    (True, True): "pentagon",
}


@dataclass(frozen=True)
class Dot:
    """A candidate in the figure of the front; ``psnr`` (dB) is NaN unless trained to the end.

    ``method`` is a title, empty for full precision and for an unpublished unit.
    """

    number: int
    kind: Kind
    ops: float
    params: float
    psnr: float
    parts: tuple[str, ...]
    method: str
    hover: str


@dataclass(frozen=True)
class FrontFigure:
    """PSNR over OPs. ``envelope`` is the best PSNR at no more than those OPs, as (ops, psnr).

    ``bottom`` and ``top`` (dB) are the ends of the PSNR axis, ``below`` the number of candidates
    under ``bottom``: poor ones would squeeze the front. ``overlay`` holds the published designs
    and ``bicubic`` the PSNR (dB) of bicubic interpolation on the study's images, without which
    there is no overlay. ``colours`` lists what can colour the dots, the default first: ``params``,
    ``parts`` and, in a space of several methods, ``methods``.
    """

    dots: tuple[Dot, ...]
    envelope: tuple[tuple[float, float], ...]
    bottom: float
    top: float
    below: int
    overlay: tuple[Published, ...]
    bicubic: float | None
    colours: tuple[Colour, ...] = ("params",)


def front_figure(
    study: Study, recommended: int | None, bicubic: float | None = None
) -> FrontFigure | None:
    """The front's figure, or None without candidates; ``recommended`` is a trial number."""
    if not study.candidates:
        return None
    members = {c.number for c in front(study)}
    dots = tuple(
        Dot(
            number=c.number,
            kind=_kind(c, members, recommended),
            ops=c.evaluation.ops,
            params=c.evaluation.params,
            psnr=c.evaluation.psnr if c.evaluation.feasible else math.nan,
            parts=tuple(map(str, c.evaluation.design.binarize)),
            method=TITLES.get(c.evaluation.design.published, ""),
            hover=hover(c),
        )
        for c in study.candidates
    )
    feasible = [dot for dot in dots if dot.kind not in ("stopped", "infeasible")]
    if not feasible:
        return FrontFigure(dots, (), 0.0, 1.0, 0, (), None)
    psnr = np.array([dot.psnr for dot in feasible])
    shown = [dot.psnr for dot in feasible if dot.kind != "beaten"]
    low = min([*shown, float(np.quantile(psnr, 0.05))])
    margin = 0.06 * max(float(psnr.max()) - low, 0.05)
    # A design below the global skip, which costs nothing, is the best at no cost.
    return FrontFigure(
        dots=dots,
        envelope=_envelope(
            [dot for dot in feasible if dot.kind != "baseline" and dot.psnr > study.config.floor]
        ),
        bottom=low - 2 * margin,
        top=float(psnr.max()) + margin,
        below=int(np.sum(psnr < low - 2 * margin)),
        overlay=tuple(published(study.config.task)) if bicubic is not None else (),
        bicubic=bicubic,
        colours=_colours(study, feasible),
    )


def _colours(study: Study, dots: Sequence[Dot]) -> tuple[Colour, ...]:
    own = [dot for dot in dots if dot.kind != "baseline"]
    parts: tuple[Colour, ...] = ("parts",) if len({dot.parts for dot in own}) > 1 else ()
    several = study.searches_methods and len({dot.method for dot in own}) > 1
    return ("methods", "params", *parts) if several else ("params", *parts)


def _kind(candidate: Candidate, members: set[int], recommended: int | None) -> Kind:
    if not candidate.evaluation.feasible:
        return "stopped" if candidate.evaluation.status == "stopped" else "infeasible"
    if candidate.number == recommended:
        return "recommended"
    if candidate.baseline:
        return "baseline"
    return "front" if candidate.number in members else "beaten"


def _envelope(dots: Sequence[Dot]) -> tuple[tuple[float, float], ...]:
    steps: list[tuple[float, float]] = []
    for dot in sorted(dots, key=lambda dot: (dot.ops, -dot.psnr)):
        if not steps or dot.psnr > steps[-1][1]:
            steps.append((dot.ops, dot.psnr))
    return tuple(steps)


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
        _key("Pareto front", "params", color=PAPER, size=11, line={"color": INK, "width": 2}),
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
            line={"color": PAPER, "width": 1.5},
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
