"""The page Trust: how far to believe the figures of a study, in the words of its report."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from dash import Dash, Input, Output, State, dcc, html
from dash.development.base_component import Component

from bbnas.analysis import agreement, seed_noise
from bbnas.analysis.fidelity import summary
from bbnas.analysis.worth import worth
from bbnas.dashboard.live import Live, LiveStudy
from bbnas.dashboard.page import (
    Address,
    Page,
    design_link,
    draw_figures,
    facts,
    graph,
    loading,
    message,
    section,
)
from bbnas.evaluation import Evaluation
from bbnas.fidelity import MeasuredFidelity
from bbnas.figures.worth import draw_worth
from bbnas.protocol import Protocol
from bbnas.reporting.make import known_fidelity
from bbnas.reporting.measured import measured
from bbnas.rivals import Rivals, rivals_of
from bbnas.study import Study
from bbnas.tasks import get_task
from bbnas.text import decibel, plural


def layout(live: Live, address: Address) -> Component:
    one = live.study(address.study)
    return html.Div(
        [
            html.H1(f"How far to trust {one.key}"),
            dcc.Store(id="trust-key", data=one.key),
            html.Div(loading("Reading…"), id="trust-content"),
            section(
                "trust-worth",
                "Is one bit worth it?",
                html.Div(id="trust-worth-words"),
                html.Div(
                    graph("trust-worth-figure", "PSNR over milliseconds, rivals and designs", 480),
                    id="trust-worth-drawn",
                    hidden=True,
                ),
            ),
        ]
    )


def register(app: Dash, live: Live) -> None:
    draw_figures(app, "trust-worth-figure")

    @app.callback(
        Output("trust-content", "children"),
        Output("trust-worth-words", "children"),
        Output("trust-worth-figure-spec", "data"),
        Output("trust-worth-drawn", "hidden"),
        Input("version", "data"),
        State("trust-key", "data"),
    )
    def _fill(_version: Any, key: str) -> tuple[Any, ...]:
        one = live.study(key)
        study = one.snapshot.study
        content = [fidelity(study), noise(one), confirmed(one), how(one)]
        words, found = rivals(study)
        return content, words, None if found is None else draw_worth(found), found is None


def fidelity(study: Study) -> Component:
    """How well the study's protocol ranks designs."""
    found = _fidelity(study.config.task, study.config.protocol, study.config.data)
    if found is None:
        text = "How well the protocol ranks designs has not been measured on these images."
        body = message(text, html.P(["Measure it: ", html.Code(_command(study)), "."]))
    else:
        body = html.Ul([html.Li(f"{line}.") for line in summary(found)])
    return section("trust-fidelity", "Fidelity of the protocol", body)


def _command(study: Study) -> str:
    return f"bbnas fidelity --task {study.config.task}"


@lru_cache(64)
def _fidelity(task: str, protocol: Protocol, data: str) -> MeasuredFidelity | None:
    return known_fidelity(task, protocol, data)


def rivals(study: Study) -> tuple[list[Component], Rivals | None]:
    """What bbnas rivals measured, in words and as values; None if it measured nothing."""
    config = study.config
    faults: list[str] = []
    found = rivals_of(config.name, get_task(config.task), config.data, faults.append)
    told = [message(fault, kind="error") for fault in faults]
    if found is None:
        command = html.P(["Measure it: ", html.Code(f"bbnas rivals {config.name}"), "."])
        text = "The 1-bit designs have not been compared with ordinary networks on this machine."
        return [*told, message(text, command)], None
    sentences = [html.P(one.sentence) for one in worth(found)]
    return [*told, *sentences, html.P(f"{found.words}.", className="note")], found


def noise(one: LiveStudy) -> Component:
    """The noise between seeds, assumed and measured."""
    study = one.snapshot.study
    found = seed_noise(study, study.confirmations)
    again = agreement(study, study.confirmations)
    here = "not measured in this study"
    if found is not None:
        runs = f"{found.evaluations} runs of {plural(found.designs, 'design')}"
        here = f"{found.sd:.3f} dB standard deviation ({runs})"
    ranks = [
        f"Kendall τ {a.tau:.2f} with “{a.protocol.name}” over {plural(a.designs, 'design')}"
        for a in again
    ]
    rows = [
        ("assumed by the search", f"{study.config.protocol.noise:g} dB standard deviation"),
        ("noise between seeds", here),
        ("rank agreement with longer training", "; ".join(ranks) or "not measured in this study"),
    ]
    return section(
        "trust-noise",
        "Noise between seeds",
        facts(rows),
        note="bbnas report trains the recommended design with two more seeds and measures the "
        "noise.",
    )


def confirmed(one: LiveStudy) -> Component:
    """The candidates that were trained again, longer."""
    study = one.snapshot.study
    groups: dict[str, list[Evaluation]] = {}
    for e in study.confirmations:
        groups.setdefault(e.protocol.with_seed(0).key, []).append(e)
    if not groups:
        body: Component = message(
            "No candidate is confirmed yet. A search trains its best candidates again, twelve "
            "times longer, when its budget is spent; --confirm says how many."
        )
    else:
        body = html.Div([_table(one, group) for group in groups.values()])
    return section("trust-confirmed", "What is confirmed", body)


def _table(one: LiveStudy, group: Sequence[Evaluation]) -> Component:
    protocol: Protocol = group[0].protocol
    own = {c.evaluation.design.key: c for c in one.snapshot.study.candidates}
    runs: dict[str, list[float]] = {}
    for e in group:
        runs.setdefault(e.design.key, []).append(e.psnr if e.feasible else math.nan)
    order = sorted(runs, key=lambda key: -_mean(runs[key]))
    chosen = one.analysis.choice.number if one.analysis else None
    head = ("design", "PSNR of the search", "PSNR confirmed", "seeds", "")
    rows = []
    for key in order:
        candidate = own.get(key)
        if candidate is None:
            continue
        design = candidate.evaluation.design.label()
        mark = "★ recommended" if candidate.number == chosen else ""
        rows.append(
            html.Tr(
                [
                    html.Td([design_link(one.key, candidate.number), f": {design}"]),
                    html.Td(decibel(candidate.evaluation.psnr), className="n"),
                    html.Td(decibel(_mean(runs[key])), className="n"),
                    html.Td(str(len(runs[key])), className="n"),
                    html.Td(mark),
                ]
            )
        )
    words = (
        f"{plural(len(rows), 'candidate')}, trained again on the same batches: "
        f"{protocol.iterations:,} iterations, patches of {protocol.patch}². They are sorted by "
        "that PSNR; the recommendation weighs the costs too."
    )
    headings = html.Tr([html.Th(text, className="n" * (0 < i < 4)) for i, text in enumerate(head)])
    table = html.Table([html.Thead(headings), html.Tbody(rows)])
    return html.Div([html.P(words), html.Div(table, className="scroll")])


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return statistics.fmean(known) if known and len(known) == len(values) else -math.inf


def how(one: LiveStudy) -> Component:
    """Everything that the figures depend on."""
    topics = [
        html.Div([html.H3(topic), facts(rows)], className="topic")
        for topic, rows in measured(one.snapshot.study)
    ]
    return section(
        "trust-measured", "How everything was measured", html.Div(topics, className="columns")
    )


PAGE = Page("trust", "Trust", layout, register)
