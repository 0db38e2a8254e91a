"""The page Study: front and recommendation of one study, and what is behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast
from uuid import uuid4

from dash import (
    Dash,
    Input,
    Output,
    State,
    dcc,
    html,
)
from dash.development.base_component import Component

from bbnas.dashboard import selection, tabs
from bbnas.dashboard.analyst import Bounds, Choice
from bbnas.dashboard.area import OUTLINE, Area
from bbnas.dashboard.budgets import BUDGETS, POSITIONS, limits_of, positions, sliders
from bbnas.dashboard.live import Live, LiveStudy
from bbnas.dashboard.overview import ago, progress, running
from bbnas.dashboard.page import (
    Address,
    Page,
    aria,
    design_link,
    draw_figures,
    facts,
    graph,
    labelled,
    link,
    loading,
    message,
    query,
)
from bbnas.dashboard.selection import SELECTED, Selection, selected
from bbnas.figures.colouring import colourings
from bbnas.figures.front import FrontFigure, X, draw_front, front_figure
from bbnas.reporting.summary import summary
from bbnas.store.watch import Snapshot
from bbnas.study import Candidate, Study
from bbnas.text import COSTS, plural

FRONT = 520
# Rows of a summary that describe the design; the others are its figures.
ABOUT = ("1-bit parts", "size", "1-bit unit", "residual alignment")


def layout(live: Live, address: Address) -> Component:
    one = live.study(address.study)
    values = address.values
    return html.Div(
        [
            html.H1(one.key),
            html.Div(id="study-head"),
            dcc.Store(id="study-key", data=one.key),
            dcc.Store(id="study-address"),
            html.Div(
                [
                    html.Div(
                        [
                            _front_controls(one.snapshot, values),
                            graph("study-front", "The Pareto front of the study", FRONT),
                            html.Div(id="study-picked", role="status"),
                        ],
                        className="wide",
                    ),
                    html.Div(
                        [
                            html.H2("Recommended", id="study-recommended-title"),
                            sliders(one.snapshot, values),
                            html.Div(loading("Estimating…"), id="study-recommendation"),
                        ],
                        className="panel side",
                    ),
                ],
                className="split",
            ),
            selection.bar(one, values),
            tabs.bar(values.get("tab")),
            dcc.Store(id="study-tab-open"),
            html.Div(id="study-tab-content"),
        ]
    )


def _front_controls(snapshot: Snapshot, values: Mapping[str, str]) -> Component:
    """Axis, colour and overlay of the front's figure, as far as the study has them."""
    study = snapshot.study
    costs, colours = _costs(study), _colours(snapshot)
    return html.Div(
        [
            _dropdown("Cost", "study-x", costs, values.get("x")),
            _dropdown("Colour", "study-colour", colours, values.get("colour")),
            html.Div(
                dcc.Checklist(
                    id="study-overlay",
                    options=[{"label": "published designs", "value": "published"}],
                    value=["published"] if values.get("overlay") else [],
                ),
                hidden=study.config.bicubic_psnr is None,
                className="check",
            ),
        ],
        className="controls",
    )


def _costs(study: Study) -> dict[str, str]:
    """Titles of the costs that its designs have, the default first."""
    costs = {name: cost.title for name, cost in COSTS.items()}
    if study.latency is None:
        del costs["latency"]
    return costs


@lru_cache(16)
def _colours(snapshot: Snapshot) -> dict[str, str]:
    """Titles of what can colour its designs, the default first."""
    return colourings(snapshot.study) or {"params": "Params"}


def _one_of(titles: Mapping[str, str], chosen: str | None) -> str:
    return chosen if chosen is not None and chosen in titles else next(iter(titles))


def _dropdown(label: str, identity: str, titles: Mapping[str, str], chosen: str | None) -> Any:
    """A choice among ``titles``, of which the first is the default."""
    return labelled(
        label,
        dcc.Dropdown(
            id=identity,
            options=[{"label": title, "value": name} for name, title in titles.items()],
            value=_one_of(titles, chosen),
            clearable=False,
            searchable=False,
        ),
    )


def register(app: Dash, live: Live) -> None:
    selection.register(app, live)
    tabs.register(app, live)
    draw_figures(app, "study-front")

    @app.callback(
        Output("study-head", "children"),
        Input("version", "data"),
        Input("study-key", "data"),
    )
    def _head(_version: Any, key: str) -> Component:
        return head(live.study(key))

    @app.callback(
        Output("study-front-spec", "data"),
        Input("version", "data"),
        Input("study-x", "value"),
        Input("study-colour", "value"),
        Input("study-overlay", "value"),
        *SELECTED,
        *POSITIONS,
        State("study-key", "data"),
    )
    def _front(
        _version: Any,
        x: X,
        colour: str,
        overlay: list[str],
        *more: Any,
    ) -> Any:
        area, choices, *positions, key = more
        one = live.study(key)
        view = View(x, colour, bool(overlay), Selection.of(area, choices))
        return front(one.key, one.snapshot, view, _choice(live, one, positions).number)

    @app.callback(
        Output("study-recommendation", "children"),
        *[Output(f"study-{budget.name}-value", "children") for budget in BUDGETS],
        Input("version", "data"),
        *POSITIONS,
        State("study-key", "data"),
    )
    def _recommend(_version: Any, *more: Any) -> tuple[Any, ...]:
        *positions, key = more
        one = live.study(key)
        _, shown = limits_of(one.snapshot, positions)
        values = [shown[b.name] for b in BUDGETS]
        words = [
            "no limit" if v is None else f"≤ {b.words(v)}"
            for b, v in zip(BUDGETS, values, strict=True)
        ]
        return recommended(one, _choice(live, one, positions)), *words

    @app.callback(
        Output("study-picked", "children"),
        Input("study-front-clicked", "data"),
        State("study-key", "data"),
    )
    def _pick(clicked: Mapping[str, Any] | None, key: str) -> Any:
        return picked(live.study(key), numbers_of(clicked))

    @app.callback(
        Output("study-address", "data"),
        Input("study-x", "value"),
        Input("study-colour", "value"),
        Input("study-overlay", "value"),
        Input("study-tab", "value"),
        *SELECTED,
        *POSITIONS,
        State("study-key", "data"),
        prevent_initial_call=True,
    )
    def _address(x: str, colour: str, overlay: list[str], tab: str, *more: Any) -> str:
        area, choices, *positions, key = more
        snapshot = live.study(key).snapshot
        _, shown = limits_of(snapshot, positions)
        limits = {name: f"{v:.4g}" for name, v in shown.items() if v is not None}
        return query(
            key,
            x=None if x == "ops" else x,
            colour=None if colour == next(iter(_colours(snapshot))) else colour,
            overlay="published" if overlay else None,
            tab=None if tab == tabs.FIRST else tab,
            area=area,
            choices="|".join(choices or ()),
            **limits,
        )


def _choice(live: Live, one: LiveStudy, positions: Sequence[Any]) -> Choice:
    return live.choice(one, limits_of(one.snapshot, positions)[0])


def head(one: LiveStudy) -> Component:
    """A line of what the study is and how far it is."""
    study = one.snapshot.study
    words: list[Any] = [
        f"{study.config.task}, space {study.config.space.name}. ",
        progress(one),
        ". Last result ",
        ago(one.snapshot.last_result),
        f". Running: {running(one)}.",
    ]
    return html.P(words, className="lead")


@dataclass(frozen=True)
class View:
    """What the front's figure shows: its cost axis, its colours, and the selection."""

    x: X = "ops"
    colour: str = "params"
    published: bool = False
    selection: Selection = field(default_factory=Selection)


def first(live: Live, address: Address) -> Any:
    """The front's figure as the page of an address shows it at first.

    Raises:
        UserError: there is no such study.
    """
    one, values = live.study(address.study), address.values
    study = one.snapshot.study
    view = View(
        cast("X", _one_of(_costs(study), values.get("x"))),
        _one_of(_colours(one.snapshot), values.get("colour")),
        bool(values.get("overlay")),
        selection.of_address(one, values),
    )
    limits, _ = limits_of(one.snapshot, positions(one.snapshot, values))
    # The analyst would be waited for.
    number = None if limits != Bounds() else live.choice(one, limits).number
    return front(one.key, one.snapshot, view, number)


@lru_cache(16)
def _front_values(snapshot: Snapshot, number: int | None, x: X, colour: str) -> FrontFigure | None:
    """The same for every selection."""
    study = snapshot.study
    return front_figure(study, number, study.config.bicubic_psnr, x=x, colour=colour)


@lru_cache(16)
def front(key: str, snapshot: Snapshot, view: View, number: int | None) -> Any:
    """The front's figure, in which zoom, legend and selection outlive an update."""
    figure = _front_values(snapshot, number, view.x, view.colour)
    if figure is None:
        return tabs.nothing("No result yet.")
    overlay = view.published and bool(figure.overlay)
    spec = draw_front(figure, overlay=overlay)
    wanted = selected(snapshot, view.selection)
    for trace in spec["data"]:
        if wanted is not None and "customdata" in trace:
            numbers = enumerate(trace["customdata"])
            trace["selectedpoints"] = [i for i, number in numbers if number in wanted]
    above = (figure.bicubic or 0.0) if overlay else 0.0
    area = Area.of(view.selection.area)
    outlines = area.outlines(above) if area and area.x == view.x else []
    # Plotly highlights all that lies within its selections, whatever else is chosen.
    drawn = "shapes" if view.selection.choices else "selections"
    made = uuid4().hex
    narrow: dict[str, Any] = {"margin": {"l": 62, "r": 4}, "font": {"size": 11}}
    if "coloraxis" in spec["layout"]:
        below = {"orientation": "h", "y": -0.28, "thickness": 10}
        narrow["coloraxis"] = {"colorbar": below}
    spec["layout"] |= {
        # Another axis is another figure.
        "uirevision": f"{key} {view.x} {view.published}",
        "selectionrevision": made,
        "meta": {
            "x": view.x,
            "colour": view.colour,
            "above": above,
            "made": made,
            "narrow": narrow,
        },
        "dragmode": "lasso",
        "newselection": {"line": OUTLINE},
        "height": FRONT,
        "selections": [],
        "shapes": [],
        drawn: outlines,
    }
    # Margins that fit to the labels would cost a second drawing.
    spec["layout"]["margin"] |= {"l": 74, "b": 60}
    for axis in ("xaxis", "yaxis"):
        spec["layout"][axis]["automargin"] = False
    low, high = spec["layout"]["yaxis"].pop("range")
    spec["layout"]["yaxis"]["autorangeoptions"] = {"minallowed": low, "maxallowed": high}
    return spec


def numbers_of(data: Mapping[str, Any] | None) -> list[int]:
    """The trial numbers of the points that Plotly reports, each once."""
    points = (data or {}).get("points", [])
    found = (point.get("customdata") for point in points)
    return sorted({n for n in found if isinstance(n, int)})


def recommended(one: LiveStudy, choice: Choice) -> Component:
    """The recommended design: what it is, its figures, and why."""
    if one.analysis is None:
        if not one.snapshot.study.candidates:
            return message("No result yet. The first design appears when its training ends.")
        return loading("Estimating from all results…")
    chosen = choice.recommendation
    if chosen is None:
        return message(choice.missing)
    late = one.version - one.analysed
    newer = f"{plural(late, 'change')} newer than this estimate; it follows." if late else ""
    candidate, rows = chosen.candidate, summary(one.snapshot.study, chosen)
    return html.Div(
        [
            html.P(
                [
                    html.Span("★ ", className="star", **aria(hidden="true")),
                    design_link(one.key, candidate.number),
                    f": {candidate.evaluation.design.label()}",
                ],
                className="headline",
            ),
            facts([row for row in rows if row[0] not in ABOUT]),
            html.Details(
                [html.Summary("Why"), html.Ul([html.Li(text) for text in choice.reasons])]
            ),
            html.Details(
                [html.Summary("The design"), facts([row for row in rows if row[0] in ABOUT])]
            ),
            *([html.P(newer, className="note")] if newer else []),
        ]
    )


def picked(one: LiveStudy, numbers: Sequence[int]) -> Any:
    """The design that was clicked, with a way to its page."""
    chosen: list[Candidate] = [c for c in one.snapshot.study.candidates if c.number in numbers[:1]]
    if not chosen:
        return html.P(
            "Click a point to name it, draw around points to select them, double-click to reset.",
            className="note",
        )
    e = chosen[0].evaluation
    said = f"{e.result[:1].upper()}{e.result[1:]}"
    costs = f"{COSTS['ops'].words(e.ops)}, {COSTS['params'].words(e.params)}"
    return html.P(
        [
            design_link(one.key, chosen[0].number),
            f": {e.design.label()}. {said}, {costs}. ",
            dcc.Link("Open the design", href=link("design", one.key, trial=chosen[0].number)),
        ]
    )


PAGE = Page("study", "Study", layout, register)
