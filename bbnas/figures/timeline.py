"""The timeline of a search: which worker trained which candidate, when, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple

from bbnas.figures.theme import BLUE, LOST, PALE, PAPER, SAND, Spec, axes_layout
from bbnas.study import Attempt, Study
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

    Which worker trains a candidate is known when it ends; until then it has the first lane of its
    process that is free.
    """
    if not study.attempts:
        return None
    drawn = sorted(study.attempts, key=lambda a: a.started)[-SPANS:]
    runs = {run: place + 1 for place, run in enumerate(sorted({a.run for a in drawn}))}
    workers = _workers(drawn)
    keys = sorted({(a.run, worker) for a, worker in zip(drawn, workers, strict=True)})
    places = {key: lane for lane, key in enumerate(keys)}
    hosts = {a.run: a.host for a in drawn}
    one = len(runs) == 1
    return TimelineFigure(
        lanes=tuple(
            f"worker {worker}" if one else f"{hosts[run]}, run {runs[run]}, worker {worker}"
            for run, worker in keys
        ),
        spans=tuple(
            Span(
                number=a.number,
                lane=places[a.run, worker],
                start=a.started,
                end=a.finished or max(now, a.started),
                outcome=a.outcome,
            )
            for a, worker in zip(drawn, workers, strict=True)
        ),
        left_out=len(study.attempts) - len(drawn),
    )


def _workers(attempts: Sequence[Attempt]) -> list[int]:
    """The worker of each attempt; where that is not known, the first that is free at its start."""
    free: dict[tuple[int, int], datetime] = {}  # when a worker of a run ended what it is known for
    for a in attempts:
        if a.worker is not None and a.finished is not None:
            key = a.run, a.worker
            free[key] = max(free.get(key, a.finished), a.finished)
    found = []
    for a in attempts:
        worker = a.worker
        if worker is None:
            worker = 0
            while (a.run, worker) in free and free[a.run, worker] > a.started:
                worker += 1
            free[a.run, worker] = a.finished or datetime.max.replace(tzinfo=UTC)
        found.append(worker)
    return found


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
                "pattern": {"shape": styles[name][1], "fgcolor": PAPER, "size": 6},
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
