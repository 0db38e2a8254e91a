"""The page Compare: two to six studies, or candidates of several, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from dash import Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from bbnas.analysis.compare import ChoiceAgreement, Scale, agreements, common_scale, race, summary
from bbnas.analysis.findings import Finding
from bbnas.analysis.neighbours import described
from bbnas.dashboard.live import Live, LiveStudy
from bbnas.dashboard.page import (
    Address,
    Page,
    design_link,
    draw_figures,
    graph,
    labelled,
    loading,
    message,
    query,
    section,
    study_link,
    table,
)
from bbnas.errors import UserError
from bbnas.figures.compare import Cost, Series, draw_fronts, draw_race, fronts
from bbnas.figures.theme import Spec
from bbnas.study import Candidate
from bbnas.tasks import get_task
from bbnas.text import COSTS, count, decibel, interval, signed

# More studies could not be told apart in one figure, and fewer are no comparison.
FEWEST, MOST = 2, 6
# Candidates in the table.
CANDIDATES = 8

LOOKS = {"agree": "good", "disagree": "bad", "one study": "", "not settled": "open"}


def layout(live: Live, address: Address) -> Component:
    known = sorted(one.key for one in live.studies())
    cost = address.values.get("cost", "ops")
    return html.Div(
        [
            dcc.Store(id="compare-address"),
            html.H1("Compare"),
            html.Div(
                [
                    labelled(
                        f"Studies ({FEWEST} to {MOST})",
                        dcc.Dropdown(
                            id="compare-studies",
                            options=known,
                            value=list(address.studies[:MOST]),
                            multi=True,
                            placeholder="Add a study",
                        ),
                    ),
                    labelled(
                        "Cost",
                        dcc.Dropdown(
                            id="compare-cost",
                            options=[
                                {"label": words.title, "value": name}
                                for name, words in COSTS.items()
                            ],
                            value=cost if cost in COSTS else "ops",
                            clearable=False,
                            searchable=False,
                        ),
                    ),
                    labelled(
                        "Candidates (study:trial)",
                        dcc.Input(
                            id="compare-trials",
                            type="text",
                            value=address.values.get("trials", ""),
                            placeholder="1:12 2:40",
                            debounce=True,
                        ),
                    ),
                ],
                className="controls compare-controls",
            ),
            html.Div(loading("Reading the studies…"), id="compare-state"),
            html.Div(
                [
                    section(
                        "compare-fronts",
                        "Fronts",
                        graph("compare-figure", "The Pareto fronts of the studies", 440),
                        note="A click on a point adds its design to the table below, or takes it "
                        "out. Faint points are not on the front of PSNR and this cost.",
                    ),
                    section(
                        "compare-candidates",
                        "Candidates",
                        html.Div(id="compare-table", className="scroll"),
                    ),
                    section(
                        "compare-race",
                        "Hypervolume over training time",
                        graph("compare-volume", "Hypervolume of each study over seconds", 340),
                        html.P(id="compare-box", className="note"),
                    ),
                    section(
                        "compare-choices",
                        "Where the findings agree",
                        html.Div(id="compare-agreement", className="scroll"),
                        note="Effects in dB with 95 % confidence intervals. Two studies agree or "
                        "disagree on a choice if the effect is settled in both: significant at a "
                        "false discovery rate of 5 % over all comparisons of its study.",
                    ),
                ],
                id="compare-content",
                hidden=True,
            ),
        ]
    )


def register(app: Dash, live: Live) -> None:
    draw_figures(app, "compare-figure", "compare-volume")

    @app.callback(
        Output("compare-address", "data"),
        Output("compare-state", "children"),
        Output("compare-content", "hidden"),
        Output("compare-figure-spec", "data"),
        Output("compare-table", "children"),
        Output("compare-volume-spec", "data"),
        Output("compare-box", "children"),
        Output("compare-agreement", "children"),
        Input("compare-studies", "value"),
        Input("compare-cost", "value"),
        Input("compare-trials", "value"),
        Input("version", "data"),
    )
    def _fill(
        keys: list[str] | None, cost: str, trials: str | None, _version: Any
    ) -> tuple[Any, ...]:
        keys = (keys or [])[:MOST]
        shown = query(*keys, cost=None if cost == "ops" else cost, trials=trials)
        nothing = (no_update,) * 5
        if len(keys) < FEWEST:
            return shown, _too_few(live, keys), True, *nothing
        studies = [live.study(key) for key in keys]
        picked = chosen(trials or "", studies)
        # Zoom outlives news; other studies or another cost make another figure.
        revision = {"uirevision": f"{keys} {cost}"}
        values = comparison(tuple(studies), cast("Cost", cost), tuple(picked))
        run = values.race_figure
        return (
            shown,
            [overview(studies), *(html.P(words) for words in values.scale.why)],
            False,
            _revised(values.front_figure, revision),
            candidate_table(studies, picked),
            _revised(run if run is not None else _blank(), revision),
            values.box,
            agreement_table(studies, values.agreements),
        )

    @app.callback(
        Output("compare-trials", "value"),
        Input("compare-figure-clicked", "data"),
        State("compare-trials", "value"),
        prevent_initial_call=True,
    )
    def _toggle(click: dict[str, Any] | None, trials: str | None) -> Any:
        if not click or "customdata" not in click["points"][0]:
            return no_update
        place, number = click["points"][0]["customdata"]
        return toggled(trials or "", f"{place + 1}:{number}")


def toggled(trials: str, one: str) -> str:
    """``trials`` with ``one`` at its end, or without it; the oldest give way."""
    words = trials.split()
    if one in words:
        return " ".join(word for word in words if word != one)
    return " ".join([*words, one][-CANDIDATES:])


def chosen(trials: str, studies: Sequence[LiveStudy]) -> list[tuple[int, int]]:
    """(place of the study from 0, trial number) of each word ``STUDY:TRIAL``, counted from 1.

    Raises:
        UserError: a word of another form, or a candidate that is not there.
    """
    found: dict[tuple[int, int], None] = {}
    for word in trials.replace(",", " ").split():
        place, _, number = word.partition(":")
        if not (place.isdecimal() and number.isdecimal() and 1 <= int(place) <= len(studies)):
            raise UserError(
                f"candidate {word!r}: must be the number of a study above (1 to {len(studies)}), "
                "a colon and a trial, such as 1:12"
            )
        one = studies[int(place) - 1]
        if all(c.number != int(number) for c in one.snapshot.study.candidates):
            raise UserError(f"candidate {word!r}: {one.key} has no result of trial {number}")
        found[int(place) - 1, int(number)] = None
    return list(found)[:CANDIDATES]


class StudyComparison:
    """What the page shows of several studies."""

    def __init__(
        self, studies: Sequence[LiveStudy], cost: Cost, picked: Sequence[tuple[int, int]]
    ) -> None:
        read = [one.snapshot.study for one in studies]
        names = [f"{place}: {one.key}" for place, one in enumerate(studies, 1)]
        self.scale: Scale = common_scale(read)
        marked = [
            frozenset(number for there, number in picked if there == place)
            for place in range(len(read))
        ]
        series: list[Series] = fronts(read, self.scale, cost, marked, names)
        self.front_figure = draw_fronts(series, self.scale, cost)
        run = race(read, self.scale)
        self.race_figure = None if run is None else draw_race(run, names)
        self.box = (
            "No study has a front yet, or they share no cost among their objectives."
            if run is None
            else f"Measured in one box, from {run.reference} to the best of all fronts. Training "
            "time is that of all workers added up."
        )
        self.agreements = agreements(
            [None if one.analysis is None else one.analysis.findings for one in studies]
        )


@lru_cache(8)
def comparison(
    studies: tuple[LiveStudy, ...], cost: Cost, picked: tuple[tuple[int, int], ...]
) -> StudyComparison:
    """Made once for all tabs."""
    return StudyComparison(studies, cost, picked)


def _revised(spec: Spec, revision: Spec) -> Spec:
    return spec | {"layout": spec["layout"] | revision}


def _blank() -> dict[str, Any]:
    return {"data": [], "layout": {"xaxis": {"visible": False}, "yaxis": {"visible": False}}}


def _too_few(live: Live, keys: Sequence[str]) -> Component:
    if len(live.studies()) < FEWEST:
        return message(
            "A comparison needs two studies, and there is one at most.",
            html.P(
                [
                    "Search again under another name or task: ",
                    html.Code("bbnas search --name NAME"),
                    ". The study appears here by itself.",
                ]
            ),
        )
    more = "another study" if keys else "two studies"
    return message(f"Choose {more} above.")


def overview(studies: Sequence[LiveStudy]) -> Component:
    """The studies as a table."""
    rows = summary([one.snapshot.study for one in studies])
    linked = [
        ([f"{place}: ", study_link(one.key)], *row.values())
        for place, (one, row) in enumerate(zip(studies, rows, strict=True), 1)
    ]
    return html.Div(
        table(("study", *rows[0]), linked, numbers=(4, 5, 6, 7, 8)), className="scroll"
    )


def candidate_table(studies: Sequence[LiveStudy], picked: Sequence[tuple[int, int]]) -> Component:
    """Candidates beside each other: figures, then the choices; those that differ are marked."""
    if not picked:
        return message(
            "No candidate is chosen. Click on points of the fronts, or name them above."
        )
    columns = [(studies[place], _candidate(studies[place], number)) for place, number in picked]
    head: list[Any] = [
        "",
        *(design_link(one.key, c.number, f"{one.key}, trial {c.number}") for one, c in columns),
    ]
    figures: list[tuple[str, list[str]]] = [
        ("task", [get_task(one.snapshot.study.config.task).title for one, _ in columns]),
        ("result", [c.evaluation.result for _, c in columns]),
        ("above the skip", [_above(one, c) for one, c in columns]),
        ("OPs", [count(c.evaluation.ops) for _, c in columns]),
        ("Params", [count(c.evaluation.params) for _, c in columns]),
    ]
    made = [described(one.snapshot.study, c.evaluation.design) for one, c in columns]
    names = dict.fromkeys(name for choices in made for name in choices)
    choices = {name: [choices.get(name, "–") for choices in made] for name in names}
    same = {name: values[0] for name, values in choices.items() if len(set(values)) == 1}
    lines: list[tuple[str, list[str]]] = [*figures, *choices.items()]
    rows = [
        html.Tr(
            [html.Th(name, scope="row"), *[html.Td(value) for value in values]],
            className="differs" if name in names else "",
        )
        for name, values in lines
        if name not in same
    ]
    top = html.Thead(html.Tr([html.Th(cell, scope="col") for cell in head]))
    equal = ", ".join(f"{name} {value}" for name, value in same.items())
    note = html.P(f"The same in all: {equal}.", className="note") if equal else ""
    return html.Div([html.Table([top, html.Tbody(rows)]), note])


def _above(one: LiveStudy, candidate: Candidate) -> str:
    skip = one.snapshot.study.config.skip_psnr
    return "–" if skip is None else decibel(candidate.evaluation.psnr - skip, sign=True)


def _candidate(one: LiveStudy, number: int) -> Candidate:
    return next(c for c in one.snapshot.study.candidates if c.number == number)


def agreement_table(studies: Sequence[LiveStudy], rows: Sequence[ChoiceAgreement]) -> Component:
    if not rows:
        return loading(
            "The effects of choices come from the background. They need some twenty designs."
        )
    head = ("choice", "against", *(one.key for one in studies), "studies")
    body = [
        (
            f"{row.axis}: {row.choice}",
            row.reference,
            *map(_effect, row.effects),
            html.Span(row.words, className=LOOKS[row.verdict]),
        )
        for row in rows
    ]
    return table(head, body, numbers=tuple(range(2, 2 + len(studies))))


def _effect(found: Finding | None) -> Component | str:
    if found is None:
        return "–"
    look = "" if found.settled else "open"
    low_to_high = interval(found.low, found.high)
    return html.Span([signed(found.effect), html.Br(), html.Small(low_to_high)], className=look)


PAGE = Page("compare", "Compare", layout, register, studies=2)
