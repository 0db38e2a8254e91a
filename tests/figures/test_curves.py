from __future__ import annotations

import math
from dataclasses import replace

import plotly.graph_objects as go

from bbnas.analysis import front, recommend
from bbnas.figures.curves import (
    BOLD_CURVES,
    CURVE_POINTS,
    DIVERGED_CURVES,
    FAINT_CURVES,
    SELECTED_CURVES,
    curves,
    draw_curves,
)


def test_curves_are_bounded_and_keep_what_matters(synthetic_study):
    study = synthetic_study(400, diverged=0.1)
    chosen = recommend(study).candidate.number
    found = curves(study, chosen)
    kinds = [curve.kind for curve in found]
    assert kinds.count("recommended") == 1
    assert kinds.count("front") == min(BOLD_CURVES, len(front(study)) - 1)
    assert kinds.count("other") == FAINT_CURVES
    assert kinds.count("diverged") == DIVERGED_CURVES
    for curve in found:
        assert len(curve.loss) == len(curve.iterations) <= CURVE_POINTS
        assert all(map(math.isfinite, curve.loss))
    (mine,) = [curve for curve in found if curve.kind == "recommended"]
    whole = next(c for c in study.candidates if c.number == chosen).evaluation.curve
    assert (mine.iterations[0], mine.loss[0]) == whole[0]
    assert (mine.iterations[-1], mine.loss[-1]) == whole[-1]


def test_no_curves_no_figure(synthetic_study):
    study = synthetic_study(3)
    bare = tuple(replace(c, evaluation=replace(c.evaluation, curve=())) for c in study.candidates)
    assert curves(replace(study, candidates=bare), 0) == []


def test_plotly_accepts_the_curves(synthetic_study):
    spec = draw_curves(curves(synthetic_study(60, diverged=0.1), 0))
    go.Figure(spec)
    assert {t["name"] for t in spec["data"]} >= {"recommended", "Pareto front", "diverged"}


def test_the_curves_of_a_selection_alone(synthetic_study):
    study = synthetic_study(100, diverged=0.1)
    diverged = next(c.number for c in study.candidates if c.evaluation.status == "diverged")
    found = curves(study, 3, [1, 2, 3, diverged])
    assert {c.number: c.kind for c in found} == {
        **dict.fromkeys((1, 2, diverged), "selected"),
        3: "recommended",
    }
    spec = draw_curves(found)
    go.Figure(spec)
    names = [trace["name"] for trace in spec["data"]]
    assert names == [f"trial {n}" for n in sorted((1, 2, diverged))] + ["recommended"]
    assert len({trace["line"]["color"] for trace in spec["data"]}) == 4
    many = curves(study, None, range(100))
    assert len(many) == SELECTED_CURVES
    assert sum(t["showlegend"] for t in draw_curves(many)["data"]) == 1
