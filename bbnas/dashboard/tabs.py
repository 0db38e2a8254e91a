"""The tabs of the page Study; only the one that is open is drawn and kept up to date."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import dash_ag_grid as dag
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from dash.development.base_component import Component

from bbnas.analysis import hypervolume_curve
from bbnas.analysis.pareto import places
from bbnas.dashboard.live import Live, LiveStudy
from bbnas.dashboard.page import aria, draw_figures, graph, link, loading, message, section
from bbnas.dashboard.selection import SELECTED, Selection, axes, selected
from bbnas.design import Design
from bbnas.figures.curves import curves, draw_curves
from bbnas.figures.effects import EffectBar, effects_figure
from bbnas.figures.hypervolume import Over, draw_hypervolume
from bbnas.figures.parallel import draw_parallel, parallel_figure
from bbnas.figures.timeline import UNRECORDED, draw_timeline, timeline_figure
from bbnas.store.watch import Snapshot
from bbnas.study import Candidate
from bbnas.text import interval, plural, signed

TABS = {
    "choices": "Choices",
    "progress": "Progress",
    "curves": "Learning curves",
    "candidates": "Candidates",
}
FIRST = "choices"
PARALLEL = 460


def bar(chosen: str | None) -> Component:
    """The tabs, of which ``chosen`` is open."""
    return dcc.RadioItems(
        id="study-tab",
        options=[{"label": title, "value": name} for name, title in TABS.items()],
        value=chosen if chosen in TABS else FIRST,
        inline=True,
        className="tabs",
    )


def register(app: Dash, live: Live) -> None:
    draw_figures(app, "study-parallel", "study-volume", "study-timeline", "study-curves")

    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("bbnas", "open"),
        Output("study-tab-open", "data"),
        Input("study-tab", "value"),
    )

    @app.callback(
        Output("study-tab-content", "children"),
        Input("study-tab-open", "data"),
        prevent_initial_call=True,
    )
    def _open(tab: str) -> Component:
        return CONTENT[tab]()

    @app.callback(
        Output("study-effects", "children"),
        Input("version", "data"),
        State("study-key", "data"),
    )
    def _effects(_version: Any, key: str) -> Component:
        return effects(live.study(key))

    @app.callback(
        Output("study-volume-spec", "data"),
        Input("version", "data"),
        Input("study-over", "value"),
        State("study-key", "data"),
    )
    def _volume(_version: Any, over: Over, key: str) -> Any:
        return volume(live.study(key).snapshot, over)

    @app.callback(
        Output("study-timeline-spec", "data"),
        Input("version", "data"),
        State("study-key", "data"),
    )
    def _lanes(_version: Any, key: str) -> Any:
        return timeline(live.study(key))

    @app.callback(
        Output("study-parallel-spec", "data"),
        Output("study-parallel-note", "children"),
        Input("version", "data"),
        *SELECTED,
        State("study-key", "data"),
    )
    def _parallel(
        _version: Any, area: str, choices: list[str] | None, key: str
    ) -> tuple[Any, str]:
        one = live.study(key)
        return parallel(one.snapshot, _recommended(one), Selection.of(area, choices))

    @app.callback(
        Output("study-curves-spec", "data"),
        Input("version", "data"),
        *SELECTED,
        State("study-key", "data"),
    )
    def _curves(_version: Any, area: str, choices: list[str] | None, key: str) -> Any:
        one = live.study(key)
        return learning(one.snapshot, _recommended(one), Selection.of(area, choices))

    @app.callback(
        Output("study-grid", "rowData"),
        Input("version", "data"),
        *SELECTED,
        State("study-key", "data"),
    )
    def _rows(_version: Any, area: str, choices: list[str] | None, key: str) -> Any:
        one = live.study(key)
        return rows(one.snapshot, _recommended(one), Selection.of(area, choices))

    @app.callback(
        Output("url", "href"),
        Input("study-grid", "cellClicked"),
        State("study-key", "data"),
        prevent_initial_call=True,
    )
    def _to_design(cell: dict[str, Any] | None, key: str) -> Any:
        number = str((cell or {}).get("rowId", ""))
        return link("design", key, trial=number) if number.isdigit() else no_update

    @app.callback(
        Output("study-grid", "exportDataAsCsv"),
        Input("study-csv", "n_clicks"),
        prevent_initial_call=True,
    )
    def _csv(_clicks: int) -> bool:
        return True


def _choices() -> Component:
    lines = section(
        "study-parallel-section",
        "Choices of the designs",
        html.Div(
            graph("study-parallel", "Each design as a line through its choices", PARALLEL),
            className="scroll broad",
        ),
        html.P(id="study-parallel-note", className="note"),
    )
    worth = section(
        "study-choices",
        "What each choice is worth",
        html.Div(loading("Comparing designs…"), id="study-effects"),
        note="Over all designs, whatever is selected: a selection by PSNR would bias an effect. "
        "Matched pairs are equal but for the choice; a fit over all candidates answers where "
        "pairs are fewer than three. Settled: significant by Benjamini–Hochberg at a false "
        "discovery rate of 5 % over all comparisons.",
    )
    return html.Div([lines, worth])


def _progress() -> Component:
    return html.Div([_hypervolume(), _timeline()])


def _timeline() -> Component:
    return section(
        "study-timeline-section",
        "Timeline of workers",
        graph("study-timeline", "What each worker trained, when, and what became of it", 280),
    )


def _hypervolume() -> Component:
    return section(
        "study-progress",
        "Hypervolume",
        dcc.RadioItems(
            id="study-over",
            options=[
                {"label": "over designs", "value": "designs"},
                {"label": "over training time", "value": "seconds"},
            ],
            value="designs",
            inline=True,
            className="radio",
        ),
        graph("study-volume", "Hypervolume of the front as the search went on", 320),
    )


def _learning() -> Component:
    return section(
        "study-learning",
        "Learning curves",
        graph("study-curves", "Training loss over iterations", 380),
        note="Training loss, not PSNR. Of many designs a sample is drawn: of those selected 40.",
    )


def _candidates() -> Component:
    return section(
        "study-candidates",
        "Candidates",
        html.Div(
            [
                html.Button("Download as CSV", id="study-csv", n_clicks=0),
                html.Span("A click on a row opens the design.", className="note"),
            ],
            className="controls",
        ),
        dag.AgGrid(
            id="study-grid",
            columnDefs=COLUMNS,
            rowData=[],
            getRowId="params.data.trial.toString()",
            defaultColDef={"sortable": True, "filter": True, "resizable": True, "minWidth": 90},
            columnSize="responsiveSizeToFit",
            csvExportParams={"fileName": "candidates.csv"},
            dashGridOptions={
                "animateRows": False,
                "suppressFieldDotNotation": True,
                "ensureDomOrder": True,
                "theme": {"function": "themeQuartz"},
            },
            style={"height": "560px"},
        ),
    )


CONTENT = {
    "choices": _choices,
    "progress": _progress,
    "curves": _learning,
    "candidates": _candidates,
}


def effects(one: LiveStudy) -> Component:
    """The effects of choices with their intervals, on one scale."""
    found = one.analysis.findings if one.analysis else None
    if found is None:
        if not one.snapshot.study.candidates:
            return message("No result yet.")
        return loading("Comparing designs…")
    figure = effects_figure(found)
    if figure is None:
        return message("Too few designs to distinguish the effect of any choice from noise.")
    ticks = [html.Span(text, style={"left": _percent(at)}) for at, text in figure.ticks]
    scale = html.Div(ticks, className="ticks", **aria(hidden="true"))
    head = [
        html.Th("Choice", colSpan=2, scope="col"),
        html.Th(["dB against the reference", scale], className="plotted", scope="col"),
        html.Th("dB", className="n", scope="col"),
        html.Th("95 % interval", className="n", scope="col"),
        html.Th("settled", scope="col"),
        html.Th("from", scope="col"),
    ]
    groups = [_group(axis, against, bars, figure.zero) for axis, against, bars in figure.groups]
    return html.Div(
        [
            html.Div(
                html.Table([html.Thead(html.Tr(head)), *groups], className="forest"),
                className="scroll",
            ),
            *([html.P(found.too_few)] if found.untested else []),
        ]
    )


def _group(axis: str, against: str, bars: Sequence[EffectBar], zero: float) -> Component:
    rows: list[Component] = []
    for bar in bars:
        found = bar.finding
        line = {"left": _percent(bar.low), "width": _percent(bar.high - bar.low)}
        drawn = [
            html.Span(className="zero", style={"left": _percent(zero)}),
            html.Span(className=f"span {bar.tone}", style=line),
            html.Span(className=f"mark {bar.tone}", style={"left": _percent(bar.mark)}),
        ]
        cells: list[Component] = [
            html.Td(found.choice),
            html.Td(drawn, className="plotted"),
            html.Td(signed(found.effect), className="n"),
            html.Td(interval(found.low, found.high), className="n"),
            html.Td(found.state, className="" if found.settled else "open"),
            html.Td(found.basis, className="muted"),
        ]
        if not rows:
            title: list[Any] = [axis, html.Small(f" against {against}")]
            cells.insert(0, html.Th(title, rowSpan=len(bars), scope="rowgroup"))
        rows.append(html.Tr(cells))
    return html.Tbody(rows)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


@lru_cache(16)
def parallel(snapshot: Snapshot, recommended: int | None, selection: Selection) -> tuple[Any, str]:
    """The designs as lines through their choices, and what is left out."""
    marked = selected(snapshot, selection)
    drawn = parallel_figure(snapshot.study, recommended, marked, axes=axes(snapshot))
    if drawn is None:
        return nothing("Fewer than two designs are trained to the end."), ""
    notes = ["A click on a value selects the designs with it, another click ends that."]
    if marked is not None and not any(line.selected for line in drawn.lines):
        notes.append("No selected design was trained to the end.")
    if drawn.left_out:
        notes.append(f"{plural(drawn.left_out, 'design')} more are not drawn.")
    return kept(draw_parallel(drawn, selection.choices), len(drawn.axes)), " ".join(notes)


@lru_cache(16)
def volume(snapshot: Snapshot, over: Over) -> Any:
    """The hypervolume over designs, or over training."""
    curve = hypervolume_curve(snapshot.study)
    if curve is None:
        return nothing("No design beats interpolation yet.")
    return kept(draw_hypervolume(curve, over), over)


def timeline(one: LiveStudy) -> Any:
    """What each worker trained, up to now."""
    study = one.snapshot.study
    drawn = timeline_figure(study, datetime.now(UTC))
    if drawn is None:
        return nothing(UNRECORDED if study.candidates else "No training has begun yet.")
    return kept(draw_timeline(drawn), len(drawn.lanes))


@lru_cache(16)
def learning(snapshot: Snapshot, recommended: int | None, selection: Selection) -> Any:
    """Training curves of the selected designs, or of a sample."""
    marked = selected(snapshot, selection)
    drawn = curves(snapshot.study, recommended, marked)
    return kept(draw_curves(drawn)) if drawn else nothing("No training curve here.")


def _recommended(one: LiveStudy) -> int | None:
    return one.analysis.choice.number if one.analysis else None


def kept(spec: dict[str, Any], revision: object = "kept") -> Any:
    """A figure whose zoom and legend outlive an update of the same ``revision``."""
    spec["layout"]["uirevision"] = str(revision)
    return spec


def nothing(text: str) -> Any:
    """A figure that says why there is none."""
    note = {"text": text, "showarrow": False, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
    hidden = {"visible": False}
    return {
        "data": [],
        "layout": {
            "annotations": [note | {"font": {"color": "#7b8698", "size": 15}}],
            "xaxis": hidden,
            "yaxis": hidden,
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
        },
    }


def _number(field: str, heading: str, form: str) -> dict[str, Any]:
    written = f"params.value == null ? '–' : d3.format('{form}')(params.value)"
    return {
        "field": field,
        "headerName": heading,
        "type": "numericColumn",
        "filter": "agNumberColumnFilter",
        "valueFormatter": {"function": written},
    }


COLUMNS = [
    {"field": "trial", "headerName": "trial", "filter": "agNumberColumnFilter", "pinned": "left"},
    {"field": "place", "headerName": "place"},
    _number("psnr", "PSNR (dB)", ".2f"),
    _number("rung", "at the rung (dB)", ".2f"),
    _number("ssim", "SSIM", ".4f"),
    _number("ops", "OPs", ".3s"),
    _number("params", "Params", ".3s"),
    _number("latency", "latency (ms)", ".3~f"),
    {"field": "design", "headerName": "design", "minWidth": 320, "flex": 1},
    _number("seconds", "training (s)", ".1f"),
    {"field": "finished", "headerName": "finished (UTC)", "minWidth": 150},
]


@lru_cache(16)
def rows(
    snapshot: Snapshot, recommended: int | None, selection: Selection
) -> list[dict[str, Any]]:
    """The rows of the grid, newest first: of the selected candidates, or of all."""
    place = places(snapshot.study, recommended)
    marked = selected(snapshot, selection)
    return [
        _row(c, place[c.number])
        for c in reversed(snapshot.study.candidates)
        if marked is None or c.number in marked
    ]


def _row(candidate: Candidate, place: str) -> dict[str, Any]:
    e = candidate.evaluation
    return {
        "trial": candidate.number,
        "place": place,
        "psnr": _known(e.psnr),
        "rung": None if e.feasible or not e.rungs else e.rungs[-1][1],
        "ssim": _known(e.ssim),
        "ops": e.ops,
        "params": e.params,
        "latency": None if math.isnan(e.latency) else e.latency * 1e3,
        "design": _label(e.design),
        "seconds": e.seconds,
        "finished": f"{candidate.finished:%Y-%m-%d %H:%M:%S}" if candidate.finished else "",
    }


@lru_cache(1 << 16)
def _label(design: Design) -> str:
    return design.label()


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
