"""Several studies in one figure: their fronts, and how soon each search found its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from bbnas.analysis.compare import Race, Scale
from bbnas.analysis.pareto import front, useful
from bbnas.figures.hover import hover
from bbnas.figures.theme import COLOURS, INK, PAPER, RECOMMENDED, Spec, axes_layout, scatter
from bbnas.study import Candidate, Study
from bbnas.text import COSTS

Cost = Literal["ops", "params", "latency"]

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross")
_DECADES = {"type": "log", "tickformat": "~s", "dtick": 1}
# Most designs off the front that are drawn of a study: those with the highest PSNR.
OTHERS = 400


@dataclass(frozen=True)
class FrontPoint:
    """A candidate: its ``cost`` (a plain count, or ms), and its ``psnr`` (dB) on the figure's
    scale.
    """

    number: int
    cost: float
    psnr: float
    hover: str


@dataclass(frozen=True)
class Series:
    """A study: its ``front`` from the cheapest design on, the ``others``, and which of them are
    ``marked`` (trial numbers). ``place`` is its position, which decides colour and symbol.
    """

    name: str
    place: int
    front: tuple[FrontPoint, ...]
    others: tuple[FrontPoint, ...]
    marked: frozenset[int] = frozenset()


def fronts(
    studies: Sequence[Study],
    scale: Scale,
    cost: Cost = "ops",
    marked: Sequence[frozenset[int]] = (),
    names: Sequence[str] = (),
) -> list[Series]:
    """The studies that ``scale`` holds, named as ``names`` or as themselves."""
    return [
        _series(
            study,
            names[place] if names else study.config.name,
            place,
            scale.offset(study),
            cost,
            marked[place] if marked else frozenset(),
        )
        for place, study in enumerate(studies)
        if place not in scale.left_out
    ]


def _series(
    study: Study, name: str, place: int, offset: float, cost: Cost, marked: frozenset[int]
) -> Series:
    def point(c: Candidate) -> FrontPoint:
        value = float(getattr(c.evaluation, cost)) * (1e3 if cost == "latency" else 1.0)
        return FrontPoint(c.number, value, c.evaluation.psnr - offset, hover(c))

    # On the front by PSNR and this cost: a front in three dimensions is no line.
    known = [c for c in front(study, ("psnr", cost)) if getattr(c.evaluation, cost) > 0]
    members = {c.number for c in known}
    rest = [
        c
        for c in study.candidates
        if useful(study.config, c.evaluation)
        and c.number not in members
        and getattr(c.evaluation, cost) > 0
    ]
    rest.sort(key=lambda c: (c.number not in marked, -c.evaluation.psnr))
    return Series(
        name,
        place,
        tuple(sorted(map(point, known), key=lambda p: p.cost)),
        tuple(map(point, rest[:OTHERS])),
        marked,
    )


def draw_fronts(series: Sequence[Series], scale: Scale, cost: Cost = "ops") -> Spec:
    """PSNR over a cost (log axis): each study's front as steps, its other designs faint.

    ``customdata`` of a point is [place of the study, trial number].
    """
    traces = []
    for one in series:
        colour, symbol = COLOURS[one.place % len(COLOURS)], SYMBOLS[one.place % len(SYMBOLS)]
        shared = {"legendgroup": str(one.place)}
        traces.append(
            _points(one, one.others, symbol, size=6, color=colour, opacity=0.28)
            | shared
            | {"showlegend": False}
        )
        traces.append(
            _points(
                one, one.front, symbol, size=10, color=colour, line={"color": PAPER, "width": 1}
            )
            | shared
            | {"mode": "lines+markers", "line": {"shape": "hv", "color": colour, "width": 2}}
        )
        picked = [p for p in (*one.front, *one.others) if p.number in one.marked]
        if picked:
            ring = {"color": RECOMMENDED, "width": 2.5}
            traces.append(
                _points(one, picked, f"{symbol}-open", size=17, color=RECOMMENDED, line=ring)
                | shared
                | {"showlegend": False}
            )
    milliseconds = cost == "latency"
    return {
        "data": traces,
        "layout": axes_layout(
            COSTS[cost].title + " (ms)" * milliseconds,
            scale.title,
            440,
            xaxis={"type": "log", "dtick": "D2"} if milliseconds else _DECADES,
            clickmode="event",
            hoverlabel={"bordercolor": INK},
        ),
    }


def _points(one: Series, points: Sequence[FrontPoint], symbol: str, **marker: object) -> Spec:
    name = escape(one.name)
    return scatter(
        name,
        [p.cost for p in points],
        [p.psnr for p in points],
        "markers",
        text=[p.hover for p in points],
        customdata=[[one.place, p.number] for p in points],
        hovertemplate=f"{name}<br>%{{text}}<extra></extra>",
        marker={"symbol": symbol, **marker},
    )


def draw_race(race: Race, names: Sequence[str]) -> Spec:
    """Hypervolume in one box over the training time of all workers, in minutes."""
    traces = [
        scatter(
            escape(name),
            [0.0, *(s / 60 for s in progress.seconds)],
            [0.0, *progress.volume],
            "lines",
            line={"shape": "hv", "color": COLOURS[place % len(COLOURS)], "width": 2.2},
            hovertemplate=f"{escape(name)}<br>after %{{x:.1f}} min: %{{y:.3f}}<extra></extra>",
        )
        for place, (name, progress) in enumerate(zip(names, race.progress, strict=True))
        if progress is not None
    ]
    return {
        "data": traces,
        "layout": axes_layout(
            "training time, all workers (min)",
            "hypervolume (share of the box)",
            340,
            xaxis={"rangemode": "tozero"},
            yaxis={"rangemode": "tozero"},
            showlegend=True,
        ),
    }
