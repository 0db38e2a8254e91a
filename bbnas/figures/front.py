"""The Pareto front: PSNR over OPs, Params or latency of all candidates.

``meta["mode"]`` of a trace says when a page's script shows it: ``always``, ``published`` or the
name of a colouring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np

from bbnas.analysis.pareto import front
from bbnas.figures.colouring import standard, traces_of
from bbnas.figures.dots import Dot, Kind, legend_entry, scatter_dots
from bbnas.figures.sampling import evenly
from bbnas.figures.theme import (
    BASELINE,
    INK,
    PALE,
    PAPER,
    RECOMMENDED,
    Spec,
    axes_layout,
    scatter,
)
from bbnas.paper import Published, published
from bbnas.study import Candidate, Study
from bbnas.text import count, decibel

X = Literal["ops", "params", "latency"]

X_TITLES: dict[X, str] = {
    "ops": "OPs on a 320×180 LQ image (log scale)",
    "params": "Params (log scale)",
    "latency": "latency (ms, log scale)",
}
# Most dots that are drawn of the stopped candidates, and of those that are not on the front. An
# SVG of 10,000 dots takes a browser a second.
DRAWN = 300


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
    dots = tuple([_dot(c, x, members, recommended) for c in study.candidates])
    colours = standard(study) if colour is None else (colour,)
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


def _dot(candidate: Candidate, x: X, members: set[int], recommended: int | None) -> Dot:
    e = candidate.evaluation
    cost = e.latency * 1e3 if x == "latency" else e.ops if x == "ops" else e.params
    if e.feasible:
        return Dot(candidate, _kind(candidate, members, recommended), cost, e.psnr)
    if e.status == "stopped":
        return Dot(candidate, "stopped", cost, e.rungs[-1][1] if e.rungs else math.nan)
    return Dot(candidate, "infeasible", cost, math.nan)


def _kind(candidate: Candidate, members: set[int], recommended: int | None) -> Kind:
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
        scatter_dots(
            "stopped early, at the PSNR of that rung",
            groups.get("stopped", []),
            "always",
            color=PALE,
            size=7,
            symbol="circle-open",
            opacity=0.7,
        ),
        scatter_dots(
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
        drawn, scale = traces_of(name, coloured)
        traces += drawn
        scales |= {name: scale} if scale else {}
    traces += [
        scatter_dots(
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
        traces.append(
            legend_entry(f"{left_out:,} more not drawn", "always", color=PALE, opacity=0)
        )
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


def _recommended(dots: Sequence[Dot], estimate: tuple[float, float] | None) -> list[Spec]:
    """A star at its own run, a bar at its ``estimate``, and below the pointer a small invisible
    dot that answers for the star.

    Among dots that overlap, Plotly chooses the smallest: a large star would never be hovered, or
    clicked, where another dot is near.
    """
    white = {"color": PAPER, "width": 1.5}
    star = scatter_dots(
        "recommended", dots, "always", color=RECOMMENDED, size=20, symbol="star", line=white
    )
    for key in ("customdata", "text", "hovertemplate"):
        del star[key]
    star["hoverinfo"] = "skip"
    traces = [star, scatter_dots("recommended", dots, "always", size=6, opacity=0)]
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
