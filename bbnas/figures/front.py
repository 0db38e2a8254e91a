"""The Pareto front: PSNR over OPs, Params or latency of all candidates.

``meta["mode"]`` of a trace says when a page's script shows it: ``always``, ``published`` or the
name of a colouring.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import cycle
from typing import Any, Literal, NamedTuple

import numpy as np

from bbnas.analysis.pareto import front
from bbnas.analysis.regression import CHOICES, matters
from bbnas.design import TITLES, UNIT_FIELDS, Design
from bbnas.figures.hover import hover
from bbnas.figures.sampling import evenly
from bbnas.figures.theme import (
    BASELINE,
    BLUE,
    COLOURS,
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
X = Literal["ops", "params", "latency"]

X_TITLES: dict[X, str] = {
    "ops": "OPs on a 320×180 LQ image (log scale)",
    "params": "Params (log scale)",
    "latency": "latency (ms, log scale)",
}
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
)
NO_PART, *_ = PARTS
NO_METHOD = "full precision or an unpublished unit"
SYMBOLS = {
    (False, False): "circle",
    (True, False): "triangle-up",
    (False, True): "square",
    (True, True): "pentagon",
}
# The symbols of a choice's values, beside their colours.
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "pentagon", "hexagon")
# Choices that are amounts; what is none of it, such as no alignment, has a colour of its own.
AMOUNTS = ("k_ratio", "convs_per_residual", "width", "depth")
NONE = {"k_ratio": "no alignment", "convs_per_residual": "no residual"}
# What a design shows for a choice that does not change its network.
IDLE = "without effect there"
_CHOICES = {field: (title, text) for field, title, text in CHOICES}


# Most dots that are drawn of the stopped candidates, and of those that are not on the front. An
# SVG of 10,000 dots takes a browser a second.
DRAWN = 800


class Dot(NamedTuple):
    """A candidate in the figure of the front.

    ``x`` is its cost on the axis (ms if that is latency), NaN where it is not known; ``psnr`` (dB)
    that at the end, of a stopped candidate that at the rung where it stopped, else NaN.
    """

    number: int
    kind: Kind
    x: float
    psnr: float
    design: Design
    params: float
    hover: str


@dataclass(frozen=True)
class FrontFigure:
    """PSNR over the cost ``x``. ``envelope`` is the best PSNR at no more than that, as (x, psnr).

    ``bottom`` and ``top`` (dB) are the ends of the PSNR axis, ``below`` the number of candidates
    under ``bottom``: poor ones would squeeze the front. ``overlay`` holds the published designs
    and ``bicubic`` the PSNR (dB) of bicubic interpolation on the study's images, without which
    there is no overlay; ``gains`` (dB above bicubic) are the ends of the axis with the overlay.
    ``colours`` lists what can colour the dots, the default first. ``estimate`` is the recommended
    design's PSNR (dB) from all runs, and half its 95 % confidence interval.
    """

    dots: tuple[Dot, ...]
    envelope: tuple[tuple[float, float], ...]
    bottom: float
    top: float
    below: int
    overlay: tuple[Published, ...]
    bicubic: float | None
    colours: tuple[str, ...] = ("params",)
    x: X = "ops"
    gains: tuple[float, float] = (0.0, 1.0)
    estimate: tuple[float, float] | None = None


def front_figure(
    study: Study,
    recommended: int | None,
    bicubic: float | None = None,
    *,
    x: X = "ops",
    colour: str | None = None,
    estimate: tuple[float, float] | None = None,
) -> FrontFigure | None:
    """The front's figure, or None without candidates; ``recommended`` is a trial number.

    ``colour`` is one of ``colourings(study)``; None draws those by method, Params and parts, of
    which a page shows one.
    """
    if not study.candidates:
        return None
    members = {c.number for c in front(study)}
    dots = tuple(_dot(c, x, _kind(c, members, recommended)) for c in study.candidates)
    colours = _standard(study) if colour is None else (colour,)
    ended = [dot for dot in dots if dot.kind not in ("stopped", "infeasible")]
    scored = [dot.psnr for dot in dots if not math.isnan(dot.psnr)]
    if not scored:
        return FrontFigure(dots, (), 0.0, 1.0, 0, (), None, colours, x)
    shown = [dot.psnr for dot in ended if dot.kind != "beaten"]
    low, high = min(shown or scored), max(scored)
    # Poor and stopped designs may take as much of the axis as the front, and no more.
    reach = max(high - low, 0.25)
    low = min(low, max(float(np.quantile(scored, 0.05)), low - reach))
    margin = 0.06 * max(high - low, 0.05)
    bottom, top = low - 2 * margin, high + margin
    overlay = tuple(published(study.config.task)) if bicubic is not None else ()
    return FrontFigure(
        dots=dots,
        # A design below the global skip, which costs nothing, is the best at no cost.
        envelope=_envelope(
            [dot for dot in ended if dot.kind != "baseline" and dot.psnr > study.config.floor]
        ),
        bottom=bottom,
        top=top,
        below=sum(psnr < bottom for psnr in scored),
        overlay=() if x == "latency" else overlay,
        bicubic=bicubic,
        colours=colours,
        x=x,
        gains=_gains(bottom, top, bicubic, overlay),
        estimate=estimate,
    )


def colourings(study: Study) -> dict[str, str]:
    """What can colour the dots, by its title for people: only what differs among the candidates.

    ``params``, ``parts`` (which of them are 1-bit), in a space of methods ``methods``, and the
    fields of Design that are choices.
    """
    titles = {"params": "Params", "parts": "1-bit parts", "methods": "method"}
    designs = [c.evaluation.design for c in study.candidates if not c.baseline]
    fields = {
        field: title
        for field, title, _ in CHOICES
        if not (study.searches_methods and field in UNIT_FIELDS)
        and len({getattr(design, field) for design in designs}) > 1
    }
    return {name: titles[name] for name in _standard(study)} | fields


def _standard(study: Study) -> tuple[str, ...]:
    designs = [
        c.evaluation.design for c in study.candidates if c.evaluation.feasible and not c.baseline
    ]
    parts = ("parts",) if len({d.binarize for d in designs}) > 1 else ()
    several = study.searches_methods and len({d.published for d in designs}) > 1
    return ("methods", "params", *parts) if several else ("params", *parts)


def _dot(candidate: Candidate, x: X, kind: Kind) -> Dot:
    e = candidate.evaluation
    cost = e.latency * 1e3 if x == "latency" else getattr(e, x)
    psnr = e.psnr if e.feasible else math.nan
    if kind == "stopped" and e.rungs:
        psnr = e.rungs[-1][1]
    return Dot(candidate.number, kind, cost, psnr, e.design, e.params, hover(candidate))


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
    known = [dot for dot in dots if math.isfinite(dot.x)]
    for dot in sorted(known, key=lambda dot: (dot.x, -dot.psnr)):
        if not steps or dot.psnr > steps[-1][1]:
            steps.append((dot.x, dot.psnr))
    return tuple(steps)


def _gains(
    bottom: float, top: float, bicubic: float | None, overlay: Sequence[Published]
) -> tuple[float, float]:
    if bicubic is None or not overlay:
        return 0.0, 1.0
    known = [row.gain for row in overlay]
    low, high = min(bottom - bicubic, *known), max(top - bicubic, *known)
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def draw_front(figure: FrontFigure, *, overlay: bool = False, whole: bool = False) -> Spec:
    """The candidates in each of the figure's ``colours``, of which the first is visible, the
    front, the baselines, the recommended design and, hidden unless ``overlay``, the published
    designs.

    With the overlay PSNR is counted from bicubic interpolation. Of many stopped or other
    candidates an even sample is drawn, the newest among it, and the legend counts the rest, unless
    the ``whole`` is asked for.
    """
    groups: dict[str, list[Dot]] = {}
    for dot in figure.dots:
        groups.setdefault(dot.kind, []).append(dot)
    left_out = 0
    for kind in ("stopped", "beaten"):
        found = groups.get(kind, [])
        groups[kind] = found if whole else evenly(found, DRAWN)
        left_out += len(found) - len(groups[kind])
    coloured = [*groups.get("beaten", []), *groups.get("front", [])]
    thin = {"color": PALE, "width": 1.5}
    traces = [
        _dots(
            "stopped early, at the PSNR of that rung",
            groups.get("stopped", []),
            "always",
            color=PALE,
            size=7,
            symbol="circle-open",
            opacity=0.7,
        ),
        _dots(
            "diverged or failed",
            groups.get("infeasible", []),
            "always",
            y=figure.bottom,
            color=PALE,
            size=8,
            symbol="x-thin",
            line=thin,
        ),
        scatter(
            "best PSNR up to this cost",
            [x for x, _ in figure.envelope],
            [psnr for _, psnr in figure.envelope],
            "lines",
            line={"shape": "hv", "color": INK, "width": 1, "dash": "dot"},
            hoverinfo="skip",
            meta={"mode": "always"},
        ),
    ]
    scales: dict[str, Spec] = {}
    for name in figure.colours:
        drawn, scale = _coloured(name, coloured)
        traces += drawn
        scales |= {name: scale} if scale else {}
    traces += [
        _dots(
            "baseline",
            groups.get("baseline", []),
            "always",
            color=BASELINE,
            size=13,
            symbol="diamond-open",
            line={"color": BASELINE, "width": 2},
        ),
        *_recommended(groups.get("recommended", []), figure.estimate),
        _published(figure),
    ]
    if left_out:
        traces.append(_key(f"{left_out:,} more not drawn", "always", color=PALE, opacity=0))
    shown = ("always", figure.colours[0], *(["published"] if overlay else []))
    for trace in traces:
        trace["visible"] = trace["meta"]["mode"] in shown
        if overlay and trace["meta"]["mode"] != "published":
            trace["y"] = [None if y is None else y - (figure.bicubic or 0.0) for y in trace["y"]]
    (name, axis), *_ = [*scales.items(), ("", None)]
    above = "PSNR above bicubic interpolation on the same images (dB)"
    plain = "PSNR on the validation images (dB)"
    layout = axes_layout(
        X_TITLES[figure.x],
        above if overlay else plain,
        540,
        xaxis={"type": "log", **({"dtick": "D2"} if figure.x == "latency" else _DECADES)},
        yaxis={"range": list(figure.gains) if overlay else [figure.bottom - 0.02, figure.top]},
        meta={"gains": list(figure.gains)},
    )
    if axis is not None:
        layout["coloraxis"] = axis | {"showscale": figure.colours[0] == name}
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout}


_DECADES = {"tickformat": "~s", "dtick": 1}


def _dots(
    name: str, dots: Sequence[Dot], mode: str, y: float | None = None, **marker: Any
) -> Spec:
    """The dots as they are hovered; their cost may be unknown, and they are then left out."""
    dots = [dot for dot in dots if dot.x == dot.x]
    return scatter(
        name,
        [dot.x for dot in dots],
        [(dot.psnr if dot.psnr == dot.psnr else None) if y is None else y for dot in dots],
        "markers",
        text=[dot.hover for dot in dots],
        customdata=[dot.number for dot in dots],
        hovertemplate="%{text}<extra></extra>",
        marker=marker,
        meta={"mode": mode},
        legendgroup=name,
        showlegend=mode == "always",
    )


def _recommended(dots: Sequence[Dot], estimate: tuple[float, float] | None) -> list[Spec]:
    """A star at its own run, a bar at its ``estimate``, and below the pointer a small invisible
    dot that answers for the star.

    Among dots that overlap, Plotly chooses the smallest: a large star would never be hovered, or
    clicked, where another dot is near.
    """
    white = {"color": PAPER, "width": 1.5}
    star = _dots(
        "recommended", dots, "always", color=RECOMMENDED, size=20, symbol="star", line=white
    )
    for key in ("customdata", "text", "hovertemplate"):
        del star[key]
    star["hoverinfo"] = "skip"
    traces = [star, _dots("recommended", dots, "always", size=6, opacity=0)]
    traces[1]["showlegend"] = False
    if dots and estimate is not None:
        psnr, half = estimate
        bar = {"array": [half], "color": RECOMMENDED, "thickness": 2.5, "width": 7}
        traces.insert(
            0,
            scatter(
                "recommended, from all runs",
                [dots[0].x],
                [psnr],
                "markers",
                marker={"color": RECOMMENDED, "symbol": "line-ew", "size": 1},
                error_y=bar | {"type": "data"},
                hoverinfo="skip",
                meta={"mode": "always"},
                showlegend=False,
            ),
        )
    return traces


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


def _coloured(name: str, dots: Sequence[Dot]) -> tuple[list[Spec], Spec | None]:
    """The traces of a colouring, and its colour scale if it is of amounts."""
    if name == "params":
        return _amounts(name, "Params", dots, [dot.params for dot in dots], "")
    if name in AMOUNTS:
        values = [getattr(dot.design, name) if matters(name, dot.design) else None for dot in dots]
        return _amounts(name, _CHOICES[name][0], dots, values, NONE.get(name, ""))
    find: Callable[[Design], str]
    find = {"parts": _parts, "methods": _method}.get(name) or partial(_choice, name)
    groups: dict[str, list[Dot]] = {}
    for dot in dots:
        groups.setdefault(find(dot.design), []).append(dot)
    traces: list[Spec] = []
    for value, (colour, symbol) in _styles(name, groups).items():
        if mine := groups.get(value, []):
            symbols = [_ends(dot) if name == "parts" else symbol for dot in mine]
            traces += _group(value, mine, name, colour, symbols)
    return traces, None


def _styles(name: str, values: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The colour and the symbol of each value, in the order of the legend."""
    pale = (PALE, "circle")
    if name == "parts":
        return {part: (colour, "circle") for part, colour in PARTS.items()}
    if name == "methods":
        return METHODS | {NO_METHOD: pale}
    ordered = sorted(value for value in values if value != IDLE)
    return dict(zip(ordered, cycle(zip(COLOURS, SHAPES, strict=True)))) | {IDLE: pale}


def _choice(field: str, design: Design) -> str:
    return _CHOICES[field][1](getattr(design, field)) if matters(field, design) else IDLE


def _method(design: Design) -> str:
    return TITLES.get(design.published, NO_METHOD)


def _parts(design: Design) -> str:
    """Whether body and upsampling are 1-bit, as a key of PARTS."""
    return " and ".join(p for p in ("body", "upsampling") if p in design.binarize) or NO_PART


def _ends(dot: Dot) -> str:
    """The symbol that says whether head and tail are 1-bit."""
    return SYMBOLS["head" in dot.design.binarize, "tail" in dot.design.binarize]


def _amounts(
    name: str, title: str, dots: Sequence[Dot], values: Sequence[float | None], none: str
) -> tuple[list[Spec], Spec | None]:
    """Dots coloured by an amount on a log scale; those that have none are pale."""
    known = [(dot, math.log10(v)) for dot, v in zip(dots, values, strict=True) if v]
    lacking = [dot for dot, v in zip(dots, values, strict=True) if not v]
    traces = [
        _key("other candidates", name, color=MUTED, size=7, opacity=0.6),
        _key("Pareto front", name, color=PAPER, size=11, line={"color": INK, "width": 2}),
        *(_group(none or IDLE, lacking, name, PALE, ["circle"] * len(lacking)) if lacking else ()),
    ]
    styles: dict[Kind, Spec] = {
        "beaten": {"size": 7, "opacity": 0.5},
        "front": {"size": 12, "line": {"color": INK, "width": 1.5}},
    }
    for kind, more in styles.items():
        mine = [(dot, log) for dot, log in known if dot.kind == kind]
        label = "Pareto front" if kind == "front" else "other candidates"
        more |= {"color": [log for dot, log in mine if dot.x == dot.x], "coloraxis": "coloraxis"}
        traces.append(_dots(label, [dot for dot, _ in mine], name, **more))
    if not known:
        return traces, None
    logs = [log for _, log in known]
    low, high = min(logs), max(logs)
    if name == "params":
        decades = range(math.ceil(low), math.floor(high) + 1)
        ticks = list(map(float, decades)) if len(decades) > 1 else sorted({low, high})
        texts = [re.sub(r"\.0+\b", "", count(10**tick)) for tick in ticks]
    else:
        amounts = sorted({v for v in values if v})
        amounts = amounts if len(amounts) <= 8 else amounts[:: -(-len(amounts) // 8)]
        ticks = [math.log10(v) for v in amounts]
        texts = [f"{v:.3g}" if v >= 1 else f"1/{1 / v:.3g}" for v in amounts]
    bar = {
        "title": {"text": title},
        "thickness": 12,
        "outlinewidth": 0,
        "tickvals": ticks,
        "ticktext": texts,
    }
    return traces, {"colorscale": SCALE, "cmin": low, "cmax": high, "colorbar": bar}


def _group(
    name: str, dots: Sequence[Dot], mode: str, colour: str, symbols: Sequence[str]
) -> list[Spec]:
    """Dots of one colour with their legend entry; those of the front are larger and on top."""
    pairs = sorted(zip(dots, symbols, strict=True), key=lambda pair: pair[0].kind == "front")
    on_front = [dot.kind == "front" for dot, _ in pairs if dot.x == dot.x]
    one = symbols[0] if len(set(symbols)) == 1 else "circle"
    return [
        _key(name, mode, color=colour, size=9, symbol=one),
        _dots(
            name,
            [dot for dot, _ in pairs],
            mode,
            color=colour,
            symbol=[symbol for dot, symbol in pairs if dot.x == dot.x],
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
        [p.params if figure.x == "params" else p.ops for p in figure.overlay],
        [p.gain for p in figure.overlay],
        "markers",
        text=lines,
        hovertemplate="%{text}<extra></extra>",
        marker={"symbol": "cross-thin", "size": 11, "line": {"color": INK, "width": 2}},
        meta={"mode": "published"},
    )
