"""The page Design: one candidate of a study, from its diagram to what it restores."""

from __future__ import annotations

import base64
import math
from functools import lru_cache
from typing import Any

from dash import (
    ClientsideFunction,
    Dash,
    Input,
    Output,
    State,
    ctx,
    dcc,
    html,
    no_update,
)
from dash.development.base_component import Component
from flask import Response, abort, request

from bbnas.analysis import front
from bbnas.analysis.estimates import Z95
from bbnas.analysis.export import export
from bbnas.analysis.neighbours import Neighbour, neighbours
from bbnas.cost import Cost, count
from bbnas.dashboard.live import Live, LiveStudy
from bbnas.dashboard.page import (
    Address,
    Page,
    design_link,
    draw_figures,
    facts,
    graph,
    labelled,
    loading,
    message,
    query,
    section,
    study_link,
    table,
)
from bbnas.dashboard.pictures import restored
from bbnas.dashboard.restoring import Restorations
from bbnas.dashboard.usage import recipe_name, usage
from bbnas.errors import UserError
from bbnas.figures.diagram import Diagram, diagram
from bbnas.figures.diagram_svg import describe, svg
from bbnas.figures.learning import draw_learning, learning
from bbnas.figures.parts import draw_parts, part_shares
from bbnas.figures.theme import Theme
from bbnas.store.watch import Snapshot
from bbnas.study import Candidate
from bbnas.tasks import get_task
from bbnas.text import count as amount
from bbnas.text import decibel, duration, milliseconds, signed


def layout(live: Live, address: Address) -> Component:
    one = live.study(address.study)
    candidates = one.snapshot.study.candidates
    if not candidates:
        return message(f"{one.key} has no result yet. Its designs appear here as they finish.")
    number = _wanted(one, address)
    if number is None or _find(one, number) is None:
        asked = address.values.get("trial")
        there = f"trials {candidates[0].number} to {candidates[-1].number}"
        return message(
            f"{one.key} has no result of trial {asked!r}: choose one of its {there}.",
            html.P(study_link(one.key, f"All designs of {one.key}")),
            kind="error",
        )
    return html.Div(
        [
            dcc.Store(id="design-address"),
            dcc.Store(id="design-chosen", data={"study": one.key, "trial": number}),
            dcc.Store(id="design-shown"),
            dcc.Interval(id="design-tick", interval=1000, disabled=True),
            html.Div(
                [
                    labelled(
                        "Trial",
                        dcc.Input(
                            id="design-trial",
                            type="number",
                            value=number,
                            min=0,
                            step=1,
                            debounce=True,
                        ),
                    ),
                    html.Div(id="design-others", className="control"),
                ],
                className="controls",
            ),
            html.Div(loading("Reading the design…"), id="design-head"),
            section(
                "design-diagram",
                "Block diagram",
                html.Div(loading("Drawing…"), id="design-drawing"),
            ),
            html.Div(
                [
                    section(
                        "design-cost",
                        "Cost by part",
                        graph("design-parts", "Shares of the parts in the cost", 230),
                        html.Div(id="design-cost-table", className="scroll"),
                        note="OPs and Params in the paper’s convention: a 1-bit operation counts "
                        "1/64, a 1-bit weight 1/32.",
                    ),
                    section(
                        "design-learning",
                        "Training",
                        graph("design-curve", "Training loss over iterations", 330),
                    ),
                ],
                className="grid2",
            ),
            section(
                "design-neighbours",
                "Nearest designs of this study",
                html.Div(loading("Comparing…"), id="design-neighbour-table", className="scroll"),
                note="Difference: by how much the other design’s PSNR exceeds this one’s, "
                "estimated from the runs of the study, with its 95 % confidence interval. "
                "Measured: the difference of the two single runs, where one choice differs.",
            ),
            section("design-pictures", "Restored pictures", html.Div(id="design-restored")),
            section("design-use", "Use this design", html.Div(id="design-recipe")),
        ],
        className="design",
    )


def register(app: Dash, live: Live) -> None:
    draw_figures(app, "design-parts", "design-curve")

    restorations = Restorations(live.sources.data)
    _routes(app, live, restorations)

    @app.callback(
        Output("design-chosen", "data"),
        Output("design-address", "data"),
        Input("design-trial", "value"),
        State("design-chosen", "data"),
        prevent_initial_call=True,
    )
    def _choose(number: int | None, chosen: dict[str, Any]) -> tuple[Any, Any]:
        if number is None or number == chosen["trial"]:
            return no_update, no_update
        if _find(live.study(chosen["study"]), number) is None:
            raise UserError(f"trial {number}: {chosen['study']} has no result of it")
        return {**chosen, "trial": number}, query(chosen["study"], trial=number)

    @app.callback(
        Output("design-shown", "data"),
        Output("design-head", "children"),
        Output("design-others", "children"),
        Output("design-cost-table", "children"),
        Output("design-recipe", "children"),
        Input("design-chosen", "data"),
        Input("version", "data"),
    )
    def _describe(chosen: dict[str, Any], _version: Any) -> tuple[Any, ...]:
        one, candidate = _candidate(live, chosen)
        study = one.snapshot.study
        cost = count(candidate.evaluation.design, get_task(study.config.task))
        # What the other callbacks show changes with the candidate's result alone.
        stamp = {**chosen, "result": candidate.evaluation.result}
        return (
            stamp,
            heading(one, candidate, cost),
            _recommended_link(one, candidate),
            cost_table(cost),
            usage(one.key, study, candidate),
        )

    @app.callback(
        Output("design-drawing", "children"),
        Output("design-parts-spec", "data"),
        Output("design-curve-spec", "data"),
        Input("design-shown", "data"),
        Input("theme", "data"),
    )
    def _draw(chosen: dict[str, Any] | None, theme: Theme | None) -> tuple[Any, ...]:
        if not chosen or theme is None:
            return no_update, no_update, no_update
        one, candidate = _candidate(live, chosen)
        task = get_task(one.snapshot.study.config.task)
        design = candidate.evaluation.design
        values = learning(candidate)
        empty: dict[str, Any] = {"data": [], "layout": {"annotations": [_no_curve()]}}
        figures = (
            draw_parts(part_shares(count(design, task))),
            draw_learning(values) if values else empty,
        )
        for figure in figures:
            figure["layout"]["uirevision"] = f"{one.key} {candidate.number}"
        return drawing(diagram(design, task), theme), *figures

    @app.callback(
        Output("design-neighbour-table", "children"),
        Input("design-chosen", "data"),
        Input("version", "data"),
    )
    def _compare(chosen: dict[str, Any], _version: Any) -> Component:
        one, candidate = _candidate(live, chosen)
        return neighbour_table(one.key, _nearest(one.snapshot, candidate.number))

    @app.callback(
        Output("design-restored", "children"),
        Output("design-tick", "disabled"),
        Input("design-shown", "data"),
        Input("design-tick", "n_intervals"),
        State("design-tick", "disabled"),
    )
    def _follow(chosen: dict[str, Any] | None, _n: int | None, idle: bool) -> tuple[Any, Any]:
        if not chosen:
            return no_update, no_update
        one, candidate = _candidate(live, chosen)
        job = restorations.job(one.snapshot.study, candidate)
        running = job is not None and job.state == "running"
        if ctx.triggered_id == "design-tick" and idle and not running:
            return no_update, no_update
        return restored(one.key, candidate, job, restorations.data), not running

    @app.callback(
        Output("design-restored", "children", allow_duplicate=True),
        Output("design-tick", "disabled", allow_duplicate=True),
        Input("design-restore", "n_clicks"),
        State("design-chosen", "data"),
        prevent_initial_call=True,
    )
    def _restore(clicks: int | None, chosen: dict[str, Any]) -> tuple[Any, Any]:
        if not clicks:
            return no_update, no_update
        one, candidate = _candidate(live, chosen)
        job = restorations.start(one.snapshot.study, candidate)
        return restored(one.key, candidate, job, restorations.data), job.state != "running"

    for control in ("split", "zoom"):
        app.clientside_callback(  # type: ignore[no-untyped-call]
            ClientsideFunction("design", control),
            Output("design-viewers", "data-" + control),
            Input(f"design-{control}", "value"),
        )
    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction("design", "sides"),
        Output("design-viewers", "data-sides"),
        Input("design-left", "value"),
        Input("design-right", "value"),
    )


def _routes(app: Dash, live: Live, restorations: Restorations) -> None:
    def asked() -> tuple[LiveStudy, Candidate]:
        try:
            chosen = {"study": request.args["study"], "trial": int(request.args["trial"])}
            return _candidate(live, chosen)
        except (KeyError, ValueError, UserError) as error:
            abort(404, description=str(error))

    @app.server.get("/design/recipe")  # type: ignore[untyped-decorator]
    def _recipe() -> Response:
        one, candidate = asked()
        try:
            recipe = export(one.snapshot.study, f"trial {candidate.number}")
        except UserError as error:
            abort(404, description=str(error))
        answer = Response(recipe.to_yaml(), content_type="application/yaml; charset=utf-8")
        name = f"{recipe_name(one.snapshot.study, candidate)}.yaml"
        answer.headers.set("Content-Disposition", "attachment", filename=name)
        return answer

    @app.server.get("/design/picture")  # type: ignore[untyped-decorator]
    def _picture() -> Response:
        one, candidate = asked()
        job = restorations.job(one.snapshot.study, candidate)
        try:
            assert job is not None
            assert job.restored is not None
            picture = job.restored.pictures[int(request.args["image"])]
            content = picture.png[request.args["method"]]
        except (AssertionError, LookupError, ValueError):
            abort(404, description="no such picture")
        answer = Response(content, content_type="image/png")
        answer.headers["Cache-Control"] = "private, max-age=3600"
        return answer


@lru_cache(32)
def _nearest(snapshot: Snapshot, number: int) -> list[Neighbour]:
    """Estimated once for all tabs."""
    candidate = next(c for c in snapshot.study.candidates if c.number == number)
    return neighbours(snapshot.study, candidate)


def _wanted(one: LiveStudy, address: Address) -> int | None:
    """The trial of the address, or else the recommended or the best one."""
    asked = address.values.get("trial")
    if asked is not None:
        return int(asked) if asked.isdecimal() else None
    if one.analysis is not None and one.analysis.choice.recommendation is not None:
        return one.analysis.choice.recommendation.candidate.number
    study = one.snapshot.study
    own = max(study.own(), key=lambda c: c.evaluation.psnr, default=study.candidates[0])
    return own.number


def _find(one: LiveStudy, number: int) -> Candidate | None:
    return next((c for c in one.snapshot.study.candidates if c.number == number), None)


def _candidate(live: Live, chosen: dict[str, Any]) -> tuple[LiveStudy, Candidate]:
    one = live.study(chosen["study"])
    found = _find(one, chosen["trial"])
    if found is None:
        raise UserError(f"trial {chosen['trial']}: {one.key} has no result of it")
    return one, found


def _recommended_link(one: LiveStudy, candidate: Candidate) -> list[Component]:
    """To the recommended design, unless it is this one."""
    if one.analysis is None or one.analysis.choice.recommendation is None:
        return []
    recommended = one.analysis.choice.recommendation.candidate
    if recommended.number == candidate.number:
        return []
    return [design_link(one.key, recommended.number, f"Recommended: trial {recommended.number}")]


def heading(one: LiveStudy, candidate: Candidate, cost: Cost) -> Component:
    """What the candidate is, and its figures."""
    e, study = candidate.evaluation, one.snapshot.study
    rows: list[tuple[str, Any]] = [("study", study_link(one.key))]
    if candidate.baseline:
        rows.append(("baseline", candidate.baseline))
    result = f"{decibel(e.psnr)}, SSIM {e.ssim:.4f}" if e.feasible else e.result
    if e.error:
        result += f": {e.error}"
    if candidate.number in one.snapshot.running:
        result += "; in training again"
    rows.append(("result of its run", result))
    rows += _estimated(one, candidate)
    rows.append(("place", _place(one, candidate)))
    full = count(e.design.in_full_precision(), get_task(study.config.task))
    fewer = f"{_times(full.ops, cost.ops)} and {_times(full.params, cost.params)}"
    words = f"{amount(cost.ops)} OPs and {amount(cost.params)} Params"
    rows.append(("cost", f"{words}, {fewer} fewer than in full precision"))
    size = f"{amount(cost.packed_bytes)}B"
    if math.isfinite(e.latency):
        size += f"; {milliseconds(e.latency)} on the machine of the study"
    rows.append(("packed", size))
    rows.append(("training", f"{duration(e.seconds)} of one core"))
    title = html.H1(f"Trial {candidate.number}: {e.design.label()}")
    return html.Div([title, facts(rows)])


def _estimated(one: LiveStudy, candidate: Candidate) -> list[tuple[str, Any]]:
    """Its PSNR from all runs of the study, and how far it is from the recommended design."""
    recommendation = None if one.analysis is None else one.analysis.choice.recommendation
    if recommendation is None:
        return []
    rows: list[tuple[str, Any]] = []
    known = recommendation.estimates.of(candidate)
    if known is not None:
        psnr, error = known
        rows.append(("estimated from all runs", f"{decibel(psnr)} ± {Z95 * error:.2f} dB (95 %)"))
        if (skip := one.snapshot.study.config.skip_psnr) is not None:
            words = f"against {get_task(one.snapshot.study.config.task).skip}"
            rows.append((words, decibel(psnr - skip, sign=True)))
    recommended = recommendation.candidate
    gap = recommendation.against(candidate)
    if gap is not None and recommended.number != candidate.number:
        words = f"{signed(-gap.psnr)} ± {gap.half:.2f} dB (95 %)"
        rows.append(("against the recommended", words))
    return rows


def _place(one: LiveStudy, candidate: Candidate) -> str:
    places = []
    analysis = one.analysis
    if analysis is not None and analysis.choice.recommendation is not None:
        recommendation = analysis.choice.recommendation
        if recommendation.candidate.number == candidate.number:
            places.append("recommended")
        elif candidate.number in {tie.number for tie in recommendation.ties}:
            places.append("statistically indistinguishable from the recommended design")
    on_front = any(c.number == candidate.number for c in front(one.snapshot.study))
    places.append("on the Pareto front" if on_front else "not on the Pareto front")
    return ", ".join(places)


def _times(full: float, here: float) -> str:
    return f"{full / here:.1f}×" if here else "–"


def drawing(values: Diagram, theme: Theme) -> Component:
    """The block diagram: wide, and narrow for a phone."""

    def image(narrow: bool) -> Component:
        content = svg(values, narrow=narrow, theme=theme).encode()
        return html.Img(
            src=f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}",
            alt=f"Block diagram: {values.title}. {describe(values)}",
            className="design-narrow" if narrow else "design-wide",
        )

    return html.Div([image(False), image(True)], className="scroll")


def cost_table(cost: Cost) -> Component:
    head = ("part", "weights", "OPs", "Params", "bytes")
    rows = [
        (
            share.part,
            "1-bit" if share.one_bit else "full precision",
            amount(share.ops),
            amount(share.params),
            amount(share.packed_bytes),
        )
        for share in part_shares(cost)
    ]
    rows.append(("all", "", amount(cost.ops), amount(cost.params), amount(cost.packed_bytes)))
    return table(head, rows, numbers=(2, 3, 4))


def neighbour_table(key: str, found: list[Neighbour]) -> Component:
    if not found:
        return message("The study has no other design yet.")
    rows = [
        (
            design_link(key, n.candidate.number),
            [html.Div(f"{change.choice}: {change.here} → {change.there}") for change in n.changes],
            n.candidate.evaluation.result,
            _difference(n),
            "" if math.isnan(n.measured) else f"{signed(n.measured)} dB",
            amount(n.candidate.evaluation.ops),
            amount(n.candidate.evaluation.params),
        )
        for n in found
    ]
    head = ("design", "what differs", "result", "difference", "measured", "OPs", "Params")
    return table(head, rows, numbers=(3, 4, 5, 6))


def _difference(neighbour: Neighbour) -> Component | str:
    if math.isnan(neighbour.difference):
        return "–"
    half = Z95 * neighbour.error
    settled = abs(neighbour.difference) > half
    look = "open" if not settled else "good" if neighbour.difference > 0 else "bad"
    text = f"{signed(neighbour.difference)} ± {half:.2f} dB"
    return html.Span(text, className=look)


def _no_curve() -> dict[str, Any]:
    return {"text": "No training curve was recorded.", "showarrow": False}


PAGE = Page("design", "Design", layout, register, studies=1)
