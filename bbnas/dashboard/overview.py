"""The page Overview: all studies of the databases."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from dash import Dash, Input, Output, html
from dash.development.base_component import Component

from bbnas.analysis import front
from bbnas.dashboard.live import Live, LiveStudy
from bbnas.dashboard.page import Address, Page, aria, loading, message, study_link
from bbnas.text import decibel, duration, listed, plural

COLUMNS = (
    ("study", False),
    ("task", False),
    ("space", False),
    ("progress", False),
    ("best PSNR", True),
    ("front", True),
    ("last result", False),
    ("running", False),
)


def layout(live: Live, address: Address) -> Component:
    return html.Div([html.H1("Studies"), html.Div(loading("Reading…"), id="overview-table")])


def register(app: Dash, live: Live) -> None:
    @app.callback(Output("overview-table", "children"), Input("version", "data"))
    def _fill(_version: Any) -> Component:
        return table(live)


def table(live: Live) -> Component:
    """All studies, the one with the newest result first."""
    found = live.studies()
    if not found:
        if not live.ready:
            return loading(f"Reading the databases of {live.sources.words()}…")
        return message(
            f"{live.sources.words()} holds no study yet.",
            html.P(["Start one: ", html.Code("bbnas search"), ". It appears here by itself."]),
        )
    head = html.Tr([html.Th(name, className="n" if right else "") for name, right in COLUMNS])
    rows = [html.Tr(_cells(one)) for one in found]
    return html.Div(
        html.Table([html.Thead(head), html.Tbody(rows)], className="studies"), className="scroll"
    )


def _cells(one: LiveStudy) -> list[Component]:
    study = one.snapshot.study
    best = max((c.evaluation.psnr for c in study.own()), default=math.nan)
    cells: list[Any] = [
        study_link(one.key),
        study.config.task,
        study.config.space.name,
        progress(one),
        decibel(best),
        str(len(front(study))),
        ago(one.snapshot.last_result),
        running(one),
    ]
    return [
        html.Td(cell, className="n" if right else "")
        for cell, (_, right) in zip(cells, COLUMNS, strict=True)
    ]


def progress(one: LiveStudy) -> Component:
    """How many designs are done, of how many where that is known."""
    done, budget = len(one.snapshot.study.candidates), one.snapshot.budget
    stopped = sum(c.evaluation.status == "stopped" for c in one.snapshot.study.candidates)
    trained = len(one.snapshot.running)
    words = f"{done:,} of {plural(budget, 'design')}" if budget else plural(done, "design")
    rest = [f"{stopped:,} stopped early"] * bool(stopped) + [f"{trained} in training"] * bool(
        trained
    )
    text = html.Span(", ".join([words, *rest]))
    if not budget:
        return text
    bar = html.Progress(value=str(min(done, budget)), max=str(budget), **aria(label=words))
    return html.Span([bar, " ", text], className="progress")


def running(one: LiveStudy) -> str:
    """Where it is searched now."""
    alive = [f"{run.host} (process {run.pid})" for run in one.snapshot.runs if run.alive]
    return listed(alive) if alive else "no"


def ago(moment: datetime | None) -> Component | str:
    """A moment, that the page's script keeps as a time before now."""
    if moment is None:
        return "none yet"
    passed = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    text = f"{duration(passed)} ago" if passed < 86400 else f"{moment:%Y-%m-%d}"
    return html.Time(text, dateTime=moment.isoformat(), title=f"{moment:%Y-%m-%d %H:%M:%S} UTC")


PAGE = Page("overview", "Overview", layout, register, studies=0)
