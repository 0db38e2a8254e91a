"""The page Study: front and recommendation of one study, and what is behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dash import (
    ClientsideFunction,
    Dash,
    Input,
    Output,
    Patch,
    State,
    ctx,
    dcc,
    html,
    no_update,
)
from dash.development.base_component import Component

from bbnas.dashboard import tabs
from bbnas.dashboard.analyst import Bounds, Choice
from bbnas.dashboard.live import Live, LiveStudy
from bbnas.dashboard.numbers import in_ranges, ranges
from bbnas.dashboard.overview import ago, progress, running
from bbnas.dashboard.page import (
    Address,
    Page,
    aria,
    design_link,
    facts,
    graph,
    labelled,
    link,
    loading,
    message,
    query,
)
from bbnas.figures.front import X, colourings, draw_front, front_figure
from bbnas.figures.theme import Theme, themed
from bbnas.reporting.summary import summary
from bbnas.store.watch import Snapshot
from bbnas.study import Candidate, Study
from bbnas.text import COSTS, count, milliseconds, plural

FRONT = 520
# Positions of a budget's slider between the smallest and the largest cost, on a log scale.
STEPS = 100
# Rows of a summary that describe the design; the others are its figures.
ABOUT = ("1-bit parts", "size", "1-bit unit", "residual alignment")


@dataclass(frozen=True)
class Budget:
    """A slider: its name, its title, the cost of an evaluation, and how a value is written."""

    name: str
    title: str
    words: Any
    cost: str
    unit: float = 1.0  # the cost is the value of the slider by this


BUDGETS = (
    Budget("ops", "OPs", count, "ops"),
    Budget("params", "Params", count, "params"),
    Budget("bytes", "bytes of weights", lambda v: f"{count(v)}B", "params", 4.0),
    Budget("latency", "latency", milliseconds, "latency"),
)


def layout(live: Live, address: Address) -> Component:
    one = live.study(address.study)
    study, values = one.snapshot.study, address.values
    chosen = in_ranges(values.get("selected", ""))
    return html.Div(
        [
            html.H1(one.key),
            html.Div(id="study-head"),
            dcc.Store(id="study-key", data=one.key),
            dcc.Store(id="study-selection", data=chosen),
            dcc.Store(id="study-zoom"),
            dcc.Store(id="study-drawn"),
            dcc.Store(id="study-address"),
            html.Div(
                [
                    html.Div(
                        [
                            _front_controls(study, values),
                            graph("study-front", "The Pareto front of the study", FRONT),
                            html.Div(id="study-picked", role="status"),
                        ],
                        className="wide",
                    ),
                    html.Div(
                        [
                            html.H2("Recommended", id="study-recommended-title"),
                            _budgets(one.snapshot, values),
                            html.Div(loading("Estimating…"), id="study-recommendation"),
                        ],
                        className="panel side",
                    ),
                ],
                className="split",
            ),
            html.Div(
                [
                    html.Span(id="study-selected"),
                    html.Button("Clear the selection", id="study-clear", n_clicks=0),
                ],
                id="study-selection-bar",
                className="selection",
                hidden=not chosen,
            ),
            tabs.bar(values.get("tab")),
            html.Div(id="study-tab-content"),
        ]
    )


def _front_controls(study: Study, values: Mapping[str, str]) -> Component:
    """Axis, colour and overlay of the front's figure, as far as the study has them."""
    costs = {name: cost.title for name, cost in COSTS.items()}
    if study.latency is None:
        del costs["latency"]
    colours = colourings(study) or {"params": "Params"}
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


def _dropdown(label: str, identity: str, titles: Mapping[str, str], chosen: str | None) -> Any:
    """A choice among ``titles``, of which the first is the default."""
    return labelled(
        label,
        dcc.Dropdown(
            id=identity,
            options=[{"label": title, "value": name} for name, title in titles.items()],
            value=chosen if chosen in titles else next(iter(titles)),
            clearable=False,
            searchable=False,
        ),
    )


def _budgets(snapshot: Snapshot, values: Mapping[str, str]) -> Component:
    """A slider for each cost; all the way to the right is no limit."""
    rows = []
    for budget in BUDGETS:
        low, high = _range(snapshot, budget)
        known = math.isfinite(low) and high > low
        given = _number(values.get(budget.name))
        at = STEPS if given is None or not known else _position(given, low, high)
        slider = dcc.Slider(
            0,
            STEPS,
            1,
            id=f"study-{budget.name}",
            value=at,
            marks=None,
            included=True,
            updatemode="mouseup",
            allow_direct_input=False,
            disabled=not known,
        )
        rows.append(
            html.Div(
                [
                    html.Span(budget.title, id=f"study-{budget.name}-label"),
                    html.Div(slider, role="group", **aria(label=f"At most, {budget.title}")),
                    html.Output(id=f"study-{budget.name}-value", htmlFor=f"study-{budget.name}"),
                ],
                className="budget",
                hidden=not known,
            )
        )
    return html.Div(rows, className="budgets")


@lru_cache(64)
def _range(snapshot: Snapshot, budget: Budget) -> tuple[float, float]:
    """The smallest and the largest of its costs among the useful designs."""
    costs = [getattr(c.evaluation, budget.cost) for c in snapshot.study.own()]
    known = [cost * budget.unit for cost in costs if math.isfinite(cost) and cost > 0]
    return (min(known), max(known)) if known else (math.nan, math.nan)


def _position(value: float, low: float, high: float) -> int:
    share = math.log(max(value, low) / low) / math.log(high / low)
    return round(STEPS * min(1.0, share))


def _limit(snapshot: Snapshot, budget: Budget, position: Any) -> float | None:
    """The bound (of the slider's value) that a position means; None all the way to the right."""
    low, high = _range(snapshot, budget)
    if position is None or position >= STEPS or not math.isfinite(low) or high <= low:
        return None
    # Rounded up to three digits, so that the address is short and the smallest design fits.
    value = low * math.pow(high / low, max(0, position) / STEPS)
    power = math.pow(10, math.floor(math.log10(value)) - 2)
    return float(math.ceil(round(value / power, 6)) * power)


def limits_of(
    snapshot: Snapshot, positions: Sequence[Any]
) -> tuple[Bounds, dict[str, float | None]]:
    """The limits that the sliders mean together, and the value of each slider."""
    shown = {b.name: _limit(snapshot, b, at) for b, at in zip(BUDGETS, positions, strict=True)}
    costs: dict[str, float] = {}
    for budget in BUDGETS:
        value = shown[budget.name]
        if value is not None:
            costs[budget.cost] = min(costs.get(budget.cost, math.inf), value / budget.unit)
    return Bounds(**costs), shown


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


SLIDERS = [Input(f"study-{budget.name}", "value") for budget in BUDGETS]


def register(app: Dash, live: Live) -> None:
    tabs.register(app, live)

    @app.callback(
        Output("study-head", "children"),
        Input("version", "data"),
        Input("study-key", "data"),
    )
    def _head(_version: Any, key: str) -> Component:
        return head(live.study(key))

    @app.callback(
        Output("study-front", "figure"),
        Output("study-drawn", "data"),
        Input("version", "data"),
        Input("theme", "data"),
        Input("narrow", "data"),
        Input("study-x", "value"),
        Input("study-colour", "value"),
        Input("study-overlay", "value"),
        Input("study-clear", "n_clicks"),
        *SLIDERS,
        State("study-key", "data"),
        State("study-selection", "data"),
        State("study-zoom", "data"),
        State("study-drawn", "data"),
    )
    def _front(
        _version: Any,
        theme: Theme,
        narrow: bool,
        x: X,
        colour: str,
        overlay: list[str],
        *more: Any,
    ) -> Any:
        clears, *positions, key, selected, zoom, drawn = more
        one = live.study(key)
        if ctx.triggered_id == "study-clear":
            selected = []
        view = View(
            *(x, colour, bool(overlay), narrow, tuple(selected or ()), clears or 0),
            zoom=ranges_of(zoom, x, overlay),
        )
        figure = front(one, view, theme, _choice(one, positions).number)
        axes = f"{x} {bool(overlay)} {bool(one.snapshot.study.candidates)}"
        if axes != drawn:
            return figure, axes
        return update(figure, cleared=ctx.triggered_id == "study-clear"), no_update

    @app.callback(
        Output("study-recommendation", "children"),
        *[Output(f"study-{budget.name}-value", "children") for budget in BUDGETS],
        Input("version", "data"),
        *SLIDERS,
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
        return recommended(one, _choice(one, positions)), *words

    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("bbnas", "zoom"),
        Output("study-zoom", "data"),
        Input("study-front", "relayoutData"),
        State("study-x", "value"),
        State("study-overlay", "value"),
        State("study-zoom", "data"),
    )

    @app.callback(
        Output("study-selection", "data"),
        Input("study-front", "selectedData"),
        Input("study-clear", "n_clicks"),
        prevent_initial_call=True,
    )
    def _select(selected: Mapping[str, Any] | None, _clicks: Any) -> Any:
        if ctx.triggered_id == "study-clear":
            return []
        return numbers_of(selected)

    @app.callback(
        Output("study-picked", "children"),
        Input("study-front", "clickData"),
        State("study-key", "data"),
    )
    def _pick(clicked: Mapping[str, Any] | None, key: str) -> Any:
        return picked(live.study(key), numbers_of(clicked))

    @app.callback(
        Output("study-selected", "children"),
        Output("study-selection-bar", "hidden"),
        Input("study-selection", "data"),
    )
    def _selected(numbers: list[int]) -> tuple[str, bool]:
        text = f"{plural(len(numbers), 'design')} selected: all below is of them alone."
        return text, not numbers

    @app.callback(
        Output("study-address", "data"),
        Input("study-x", "value"),
        Input("study-colour", "value"),
        Input("study-overlay", "value"),
        Input("study-tab", "value"),
        Input("study-selection", "data"),
        *SLIDERS,
        State("study-key", "data"),
        prevent_initial_call=True,
    )
    def _address(
        x: str, colour: str, overlay: list[str], tab: str, selection: list[int], *more: Any
    ) -> str:
        *positions, key = more
        snapshot = live.study(key).snapshot
        study = snapshot.study
        _, shown = limits_of(snapshot, positions)
        limits = {name: f"{v:.4g}" for name, v in shown.items() if v is not None}
        return query(
            key,
            x=None if x == "ops" else x,
            colour=None if colour == next(iter(colourings(study)), "params") else colour,
            overlay="published" if overlay else None,
            tab=None if tab == tabs.FIRST else tab,
            selected=ranges(selection or []),
            **limits,
        )


def _choice(one: LiveStudy, positions: Sequence[Any]) -> Choice:
    if one.analysis is None:
        return Choice()
    limits, _ = limits_of(one.snapshot, positions)
    return one.analysis.within(limits)


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
    """What the front's figure shows: its cost axis, its colours, the selected trials, how often
    the selection was cleared, and the axes that are zoomed with their ends.
    """

    x: X = "ops"
    colour: str = "params"
    published: bool = False
    narrow: bool = False
    selected: tuple[int, ...] = ()
    clears: int = 0
    zoom: tuple[tuple[str, tuple[float, float]], ...] = ()


@lru_cache(16)
def front(one: LiveStudy, view: View, theme: Theme, number: int | None) -> Any:
    """The front's figure, in which zoom, legend and selection outlive an update."""
    study = one.snapshot.study
    figure = front_figure(study, number, study.config.bicubic_psnr, x=view.x, colour=view.colour)
    if figure is None:
        return tabs.nothing("No result yet.")
    spec = draw_front(figure, overlay=view.published and bool(figure.overlay))
    wanted = set(view.selected)
    for trace in spec["data"]:
        if "customdata" in trace:
            numbers = enumerate(trace["customdata"])
            chosen = [i for i, number in numbers if number in wanted]
            trace["selectedpoints"] = chosen if wanted else None
    spec["layout"] |= {
        # Another axis is another figure.
        "uirevision": f"{one.key} {view.x} {view.published}",
        "selectionrevision": str(view.clears),
        "dragmode": "lasso",
        "height": FRONT,
    }
    low, high = spec["layout"]["yaxis"].pop("range")
    spec["layout"]["yaxis"]["autorangeoptions"] = {"minallowed": low, "maxallowed": high}
    for axis, ends in view.zoom:
        spec["layout"][axis]["range"] = list(ends)
    if view.narrow:
        spec["layout"]["margin"] |= {"l": 46, "r": 4}
        spec["layout"]["font"] |= {"size": 11}
        if "coloraxis" in spec["layout"]:
            below = {"orientation": "h", "y": -0.28, "thickness": 10}
            spec["layout"]["coloraxis"]["colorbar"] |= below
    return themed(spec, theme)


def ranges_of(
    zoom: Mapping[str, Any] | None, x: str, overlay: Sequence[str]
) -> tuple[tuple[str, tuple[float, float]], ...]:
    """The axes that are zoomed and their ends, if ``zoom`` was made in the same figure.

    The browser keeps them (assets/dashboard.js), because Dash 4 gives Plotly its own layout back
    after a zoom, and Plotly's ``uirevision`` then takes it for the figure's.
    """
    if not zoom or zoom.get("of") != f"{x} {len(overlay)}":
        return ()
    found = ((axis, zoom.get(axis)) for axis in ("xaxis", "yaxis"))
    return tuple((axis, (float(ends[0]), float(ends[1]))) for axis, ends in found if ends)


def update(figure: Any, *, cleared: bool) -> Patch:
    """What makes the figure on the page ``figure``, but for what a user has drawn on it.

    A whole figure would end the selection: Dash then reports that nothing is selected.
    """
    patch = Patch()
    patch["data"] = figure["data"]
    for name, value in figure["layout"].items():
        if name in ("xaxis", "yaxis"):
            for part, setting in value.items():
                patch["layout"][name][part] = setting
        elif name != "dragmode":
            patch["layout"][name] = value
    if cleared:
        patch["layout"]["selections"] = []
    return patch


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
    notes = [one.analysis.words] if one.analysis.words else []
    if late:
        notes.append(f"{plural(late, 'change')} newer than this estimate; it follows.")
    candidate, rows = chosen.candidate, summary(one.analysis.study, chosen)
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
            *[html.P(note, className="note") for note in notes],
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
