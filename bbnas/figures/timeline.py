"""The timeline of a search: which worker trained which candidate, when, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import NamedTuple

from bbnas.analysis.workers import placed, until
from bbnas.figures.theme import BLUE, LOST, PALE, PAPER, SAND, Spec, axes_layout
from bbnas.study import Study
from bbnas.text import duration

# Most attempts that are drawn, the last ones: more would slow down the page.
SPANS = 3000
# Why a study has no timeline.
UNRECORDED = "No timeline: an older bbnas made this database, and it did not record one."

# What a reader calls an outcome of an Attempt, its colour and the pattern of its bar.
OUTCOMES = {
    "ok": ("trained to the end", BLUE, ""),
    "stopped": ("stopped at a rung", PALE, ""),
    "": ("in training", SAND, "/"),
    "diverged": ("diverged or failed", LOST, "x"),
    "failed": ("diverged or failed", LOST, "x"),
    "died": ("interrupted", LOST, "\\"),
    "interrupted": ("interrupted", LOST, "\\"),
}


class Span(NamedTuple):
    """An attempt as a bar in a lane; times are in UTC."""

    number: int
    lane: int
    start: datetime
    end: datetime
    outcome: str


@dataclass(frozen=True)
class TimelineFigure:
    """A lane for each worker of each process. ``left_out`` attempts, the oldest, are not drawn."""

    lanes: tuple[str, ...]
    spans: tuple[Span, ...]
    left_out: int


def timeline_figure(study: Study, now: datetime) -> TimelineFigure | None:
    """The attempts of a study, those in training up to ``now``; None where none is recorded.

    The lanes are those of :func:`bbnas.analysis.workers.placed`.
    """
    if not study.attempts:
        return None
    newest = sorted(study.attempts, key=lambda a: a.started)[-SPANS:]
    found = placed(newest, now)
    runs = sorted({a.run for a, _ in found})
    places = {key: lane for lane, key in enumerate(sorted({(a.run, w) for a, w in found}))}
    hosts = {a.run: a.host for a, _ in found}
    return TimelineFigure(
        lanes=tuple(
            f"worker {worker}"
            if len(runs) == 1
            else f"{hosts[run]}, run {runs.index(run) + 1}, worker {worker}"
            for run, worker in places
        ),
        spans=tuple(
            Span(a.number, places[a.run, worker], a.started, until(a, now), a.outcome)
            for a, worker in found
        ),
        left_out=len(study.attempts) - len(newest),
    )


def draw_timeline(figure: TimelineFigure) -> Spec:
    """A bar for each attempt, in the lane of its worker, coloured by its outcome."""
    groups: dict[str, list[Span]] = {OUTCOMES[name][0]: [] for name in OUTCOMES}
    for span in figure.spans:
        groups[OUTCOMES[span.outcome][0]].append(span)
    styles = {name: (colour, pattern) for name, colour, pattern in OUTCOMES.values()}
    bars = [
        {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": [escape(figure.lanes[span.lane]) for span in spans],
            "base": [f"{span.start:%Y-%m-%d %H:%M:%S.%f}" for span in spans],
            "x": [(span.end - span.start).total_seconds() * 1e3 for span in spans],
            "customdata": [span.number for span in spans],
            "text": [_hover(span, figure.lanes[span.lane]) for span in spans],
            "textposition": "none",
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "color": styles[name][0],
                "pattern": {
                    "shape": styles[name][1],
                    "bgcolor": styles[name][0],
                    "fgcolor": PAPER,
                    "size": 6,
                },
                "line": {"color": PAPER, "width": 0.5},
            },
        }
        for name, spans in groups.items()
        if spans
    ]
    layout = axes_layout(
        "time (UTC)",
        "",
        150 + 26 * len(figure.lanes),
        xaxis={"type": "date"},
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [escape(lane) for lane in reversed(figure.lanes)],
        },
        barmode="overlay",
        bargap=0.25,
    )
    return {"data": bars, "layout": layout}


def _hover(span: Span, lane: str) -> str:
    took = duration((span.end - span.start).total_seconds())
    state = "in training for" if not span.outcome else f"{span.outcome} after"
    return (
        f"<b>trial {span.number}</b><br>{state} {took}<br>"
        f"{span.start:%H:%M:%S} to {span.end:%H:%M:%S} UTC<br>{escape(lane)}"
    )
