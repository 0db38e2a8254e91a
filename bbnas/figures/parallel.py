"""Parallel coordinates: each design is a line through its choices to its PSNR.

Lines of SVG and not Plotly's ``parcoords``, which compiles its shaders at run time: a page whose
Content-Security-Policy lacks ``unsafe-eval`` cannot show it, nor ``scattergl`` and ``splom``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np

from bbnas.analysis.pareto import front
from bbnas.analysis.regression import CHOICES, matters
from bbnas.design import TITLES, UNIT_FIELDS, Design
from bbnas.figures.theme import (
    GRID,
    INK,
    MUTED,
    PAPER,
    RECOMMENDED,
    SCALE,
    Spec,
    axes_layout,
    scatter,
)
from bbnas.study import Candidate, Study
from bbnas.tasks import get_task
from bbnas.text import decibel

# Most designs that are drawn: more lines hide each other.
LINES = 600
# Half the width of a bundle of lines at a value, as a share of the distance between two values.
SPREAD = 0.3
IDLE = "–"


class ParallelAxis(NamedTuple):
    """An axis: its title and its values, in order from the bottom; of PSNR (dB) they are ticks."""

    title: str
    values: tuple[str, ...]
    places: tuple[float, ...]


class ParallelLine(NamedTuple):
    """A design: its place (0 to 1) on each axis, and the quarter (0 to 3) that its PSNR is in."""

    number: int
    psnr: float
    places: tuple[float, ...]
    quarter: int
    recommended: bool


@dataclass(frozen=True)
class ParallelFigure:
    """Axes of what differs between the designs, PSNR (dB) the last. ``left_out`` designs of the
    same kind are not drawn.
    """

    axes: tuple[ParallelAxis, ...]
    lines: tuple[ParallelLine, ...]
    left_out: int


def parallel_figure(
    study: Study, recommended: int | None, numbers: Collection[int] | None = None
) -> ParallelFigure | None:
    """The designs trained to the end, of ``numbers`` alone if they are given; None without two.

    The recommended design and the front are drawn, and an even sample of the others.
    """
    wanted = None if numbers is None else set(numbers)
    trained = [
        c
        for c in study.candidates
        if c.evaluation.feasible and (wanted is None or c.number in wanted)
    ]
    if len(trained) < 2:
        return None
    chosen = _sample(trained, {c.number for c in front(study)} | {recommended})
    columns = _columns(study, [c.evaluation.design for c in chosen])
    psnr = np.array([c.evaluation.psnr for c in chosen])
    axis, heights = _psnr(psnr)
    quarters = np.searchsorted(np.quantile(psnr, (0.25, 0.5, 0.75)), psnr, side="right")
    # A fixed place of each design in its bundle, so that a line keeps its place at an update.
    spread = np.array([c.number * 0.6180339887 % 1 * 2 - 1 for c in chosen]) * SPREAD
    places = [
        np.array([axis.places[axis.values.index(value)] for value in made])
        + spread / max(1, len(axis.values))
        for axis, made in columns
    ]
    rows = np.stack([*places, heights], axis=1)
    lines = [
        ParallelLine(
            c.number, c.evaluation.psnr, tuple(row), int(quarter), c.number == recommended
        )
        for c, row, quarter in zip(chosen, rows.tolist(), quarters, strict=True)
    ]
    return ParallelFigure(
        axes=(*(axis for axis, _ in columns), axis),
        lines=tuple(sorted(lines, key=lambda line: (line.recommended, line.psnr))),
        left_out=len(trained) - len(chosen),
    )


def _sample(candidates: Sequence[Candidate], first: Collection[int | None]) -> list[Candidate]:
    kept = [c for c in candidates if c.number in first]
    rest = [c for c in candidates if c.number not in first]
    room = max(2, LINES - len(kept))
    if len(rest) > room:
        rest = [rest[round(i * (len(rest) - 1) / (room - 1))] for i in range(room)]
    return kept + rest


def _columns(study: Study, designs: Sequence[Design]) -> list[tuple[ParallelAxis, list[str]]]:
    """The axes on which designs differ, and the value of each design on them."""
    found: list[tuple[str, list[str], list[str]]] = []
    for part in get_task(study.config.task).parts:
        words = ["full", "1-bit"]
        found.append((str(part), words, [words[d.binary(part)] for d in designs]))
    if study.searches_methods:
        titles = [IDLE, *dict.fromkeys(TITLES.values())]
        found.append(("method", titles, [TITLES.get(d.published, IDLE) for d in designs]))
    for field, title, _ in CHOICES:
        if study.searches_methods and field in UNIT_FIELDS:
            continue
        made = [getattr(d, field) if matters(field, d) else IDLE for d in designs]
        order = sorted(set(made), key=lambda v: (v != IDLE, v is not None, _sortable(v)))
        found.append((title, [_text(field, v) for v in order], [_text(field, v) for v in made]))
    columns = []
    for title, order, texts in found:
        values = tuple(value for value in dict.fromkeys(order) if value in texts)
        if len(values) > 1:
            places = tuple((i + 0.5) / len(values) for i in range(len(values)))
            columns.append((ParallelAxis(title, values, places), texts))
    return columns


def _sortable(value: Any) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def _text(field: str, value: Any) -> str:
    if value == IDLE:
        return IDLE
    if field == "k_ratio":
        if value is None:
            return "off"
        return f"{value:.3g}" if value >= 1 else f"1/{1 / value:.3g}"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace("_", " ")


def _psnr(psnr: Any) -> tuple[ParallelAxis, Any]:
    """The axis of PSNR, and the height of each; a few poor ones lie at its bottom."""
    low, high = float(np.quantile(psnr, 0.02)), float(psnr.max())
    span = max(high - low, 0.05)
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50) if span / s <= 8)
    ticks = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    digits = 1 if step >= 0.1 else 2
    heights = np.clip((psnr - low) / span, 0, 1)
    axis = ParallelAxis(
        "PSNR (dB)",
        tuple(f"{tick:.{digits}f}" for tick in ticks),
        tuple((tick - low) / span for tick in ticks),
    )
    return axis, heights


QUARTERS = ("lowest quarter of PSNR", "second quarter", "third quarter", "highest quarter")


def draw_parallel(figure: ParallelFigure) -> Spec:
    """The lines, coloured by the quarter that their PSNR is in; the recommended one on top."""
    traces = []
    for quarter, name in enumerate(QUARTERS):
        mine = [x for x in figure.lines if x.quarter == quarter and not x.recommended]
        line = {"color": SCALE[quarter][1], "width": 1.2}
        traces.append(_lines(name, mine, line, opacity=0.35 + 0.15 * quarter))
    line = {"color": RECOMMENDED, "width": 3.5}
    traces.append(_lines("recommended", [x for x in figure.lines if x.recommended], line))
    positions = list(range(len(figure.axes)))
    labels = [
        {
            "x": x,
            "y": place,
            "text": escape(value),
            "showarrow": False,
            "xanchor": "left" if x < len(positions) - 1 else "right",
            "xshift": 4 if x < len(positions) - 1 else -4,
            "font": {"size": 11, "color": INK},
            "bgcolor": PAPER,
            "opacity": 0.85,
        }
        for x, axis in enumerate(figure.axes)
        for value, place in zip(axis.values, axis.places, strict=True)
    ]
    rules = [
        {
            "type": "line",
            "x0": x,
            "x1": x,
            "y0": 0,
            "y1": 1,
            "line": {"color": MUTED, "width": 1},
        }
        for x in positions
    ]
    titles = [axis.title.replace(" ", "<br>", 1) for axis in figure.axes]
    hidden = {"showgrid": False, "showticklabels": False, "ticks": ""}
    return {
        "data": [trace for trace in traces if trace["x"]],
        "layout": axes_layout(
            "",
            "",
            460,
            xaxis={
                "tickvals": positions,
                "ticktext": titles,
                "side": "bottom",
                "showgrid": False,
                "range": [-0.15, len(positions) - 0.85],
                "ticks": "",
                "linecolor": GRID,
            },
            yaxis={**hidden, "range": [-0.03, 1.03], "fixedrange": True, "showline": False},
            annotations=labels,
            shapes=rules,
            margin={"l": 12, "r": 12},
        ),
    }


def _lines(name: str, lines: Sequence[ParallelLine], line: Spec, opacity: float = 1.0) -> Spec:
    """Many lines as one trace with gaps; one trace each would take seconds to draw."""
    x: list[int | None] = []
    y: list[float | None] = []
    numbers: list[int | None] = []
    texts: list[str] = []
    for each in lines:
        size = len(each.places)
        x += [*range(size), None]
        y += [*each.places, None]
        numbers += [each.number] * (size + 1)
        texts += [f"trial {each.number}, {decibel(each.psnr)}"] * (size + 1)
    return scatter(
        name,
        x,
        y,
        "lines",
        line=line,
        opacity=opacity,
        text=texts,
        customdata=numbers,
        hovertemplate="%{text}<extra></extra>",
    )
