"""Training curves."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from bbnas.analysis.pareto import front
from bbnas.figures.sampling import evenly
from bbnas.figures.theme import COLOURS, LOST, MUTED, RECOMMENDED, Spec, axes_layout, scatter
from bbnas.study import Candidate, Study
from bbnas.text import decibel

CurveKind = Literal["recommended", "front", "selected", "other", "diverged"]

# Most training curves of each kind, and points of a curve: more would slow down the page.
FAINT_CURVES = 60
BOLD_CURVES = 12
SELECTED_CURVES = 40
DIVERGED_CURVES = 8
CURVE_POINTS = 64


@dataclass(frozen=True)
class TrainingCurve:
    """A training curve: mean L1 loss on 0..1 by iteration."""

    number: int
    name: str
    kind: CurveKind
    iterations: tuple[int, ...]
    loss: tuple[float, ...]


def curves(
    study: Study, recommended: int | None, numbers: Collection[int] | None = None
) -> list[TrainingCurve]:
    """Training curves: the recommended design, and even samples of the front (at most 12), of the
    designs that diverged (8) and of the others (60), each of at most 64 points.

    With ``numbers``, the curves of these candidates alone, at most 40, whatever became of them.
    """
    if numbers is not None:
        wanted = set(numbers)
        chosen = [c for c in study.candidates if c.number in wanted and _points(c)]
        return [
            _training(c, "recommended" if c.number == recommended else "selected")
            for c in evenly(chosen, SELECTED_CURVES)
        ]
    members = [c for c in front(study) if c.number != recommended]
    bold = {c.number for c in evenly(members, BOLD_CURVES)}
    rest = [c for c in study.candidates if c.number not in {m.number for m in members}]
    diverged = evenly([c for c in rest if c.evaluation.status == "diverged"], DIVERGED_CURVES)
    others = [c for c in rest if c.evaluation.feasible and c.number != recommended]
    faint = {c.number for c in [*diverged, *evenly(others, FAINT_CURVES)]}
    drawn = []
    for c in study.candidates:
        if not _points(c) or (c.number != recommended and c.number not in bold | faint):
            continue
        kind: CurveKind = "other" if c.evaluation.feasible else "diverged"
        if c.number == recommended:
            kind = "recommended"
        elif c.number in bold:
            kind = "front"
        drawn.append(_training(c, kind))
    return drawn


def _points(candidate: Candidate) -> list[tuple[int, float]]:
    return [point for point in candidate.evaluation.curve if math.isfinite(point[1])]


def _training(candidate: Candidate, kind: CurveKind) -> TrainingCurve:
    iterations, loss = zip(*evenly(_points(candidate), CURVE_POINTS), strict=True)
    return TrainingCurve(candidate.number, _name(candidate), kind, iterations, loss)


def _name(candidate: Candidate) -> str:
    e = candidate.evaluation
    return f"trial {candidate.number}, {decibel(e.psnr) if e.feasible else e.result}"


def draw_curves(curves: Sequence[TrainingCurve]) -> Spec:
    """Training loss over iterations; the recommended design and the front are drawn on top."""
    traces = []
    for name, kind, colour, dash, opacity in (
        ("others", "other", MUTED, "solid", 0.25),
        ("diverged", "diverged", LOST, "dot", 0.7),
    ):
        x, y = _joined([curve for curve in curves if curve.kind == kind])
        line = {"color": colour, "width": 1, "dash": dash}
        more: Spec = {"opacity": opacity, "showlegend": True, "hoverinfo": "skip"}
        traces.append(scatter(name, x, y, "lines", line=line, **more))
    for i, curve in enumerate(curve for curve in curves if curve.kind == "front"):
        line = {"color": COLOURS[0], "width": 1.3}
        name = "Pareto front" if i == 0 else curve.name
        traces.append(_curve(curve, name, line, legendgroup="front", showlegend=i == 0))
    # Up to as many as there are colours are told apart; more are one series.
    selected = [curve for curve in curves if curve.kind == "selected"]
    few = len(selected) <= len(COLOURS)
    for i, curve in enumerate(selected):
        line = {"color": COLOURS[i] if few else COLOURS[0], "width": 1.5}
        more = {} if few else {"legendgroup": "selected", "showlegend": i == 0}
        name = f"trial {curve.number}" if few else "selected"
        traces.append(_curve(curve, name, line, **more))
    for curve in curves:
        if curve.kind == "recommended":
            line = {"color": RECOMMENDED, "width": 3}
            traces.append(_curve(curve, "recommended", line, showlegend=True))
    return {
        "data": [trace for trace in traces if trace["x"]],
        "layout": axes_layout(
            "iterations",
            "training L1 loss (0..1, log scale)",
            380,
            yaxis={"type": "log", "dtick": "D2"},
        ),
    }


def _curve(curve: TrainingCurve, name: str, line: Spec, **more: Any) -> Spec:
    hover = f"{escape(curve.name)}<br>iteration %{{x}}: %{{y:.4f}}<extra></extra>"
    x, y = list(curve.iterations), list(curve.loss)
    return scatter(name, x, y, "lines", line=line, hovertemplate=hover, **more)


def _joined(curves: Sequence[TrainingCurve]) -> tuple[list[int | None], list[float | None]]:
    """Many curves as one trace with gaps; one trace each would take seconds to draw."""
    x: list[int | None] = []
    y: list[float | None] = []
    for curve in curves:
        x += [*curve.iterations, None]
        y += [*curve.loss, None]
    return x, y
