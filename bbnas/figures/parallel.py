"""Parallel coordinates: each design is a line through its choices to its PSNR.

Lines of SVG and not Plotly's ``parcoords``, which compiles its shaders at run time: a page whose
Content-Security-Policy lacks ``unsafe-eval`` cannot show it, nor ``scattergl`` and ``splom``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np

from bbnas.analysis.pareto import front
from bbnas.figures.choices import ChoiceAxis, axes_of, axes_within
from bbnas.figures.sampling import evenly
from bbnas.figures.theme import (
    GRID,
    INK,
    MUTED,
    PALE,
    PAPER,
    RECOMMENDED,
    SCALE,
    Spec,
    axes_layout,
    scatter,
)
from bbnas.study import Candidate, Study
from bbnas.text import decibel

# Most designs that are drawn: more lines hide each other. Beside them, of those not selected.
LINES, OTHERS = 600, 150
# Half the width of a bundle of lines at a value, as a share of the distance between two values.
SPREAD = 0.3


class ParallelAxis(NamedTuple):
    """An axis: its title and its values, in order from the bottom; of PSNR (dB) they are ticks.

    ``names`` are those of the values among the values of all axes; PSNR has none.
    """

    title: str
    values: tuple[str, ...]
    places: tuple[float, ...]
    names: tuple[str, ...] = ()


class ParallelLine(NamedTuple):
    """A design: its place (0 to 1) on each axis, and the quarter (0 to 3) that its PSNR is in."""

    number: int
    psnr: float
    places: tuple[float, ...]
    quarter: int
    recommended: bool
    selected: bool = True


@dataclass(frozen=True)
class ParallelFigure:
    """Axes of what differs between the designs, PSNR (dB) the last. ``left_out`` of the selected
    designs trained to the end are not drawn.
    """

    axes: tuple[ParallelAxis, ...]
    lines: tuple[ParallelLine, ...]
    left_out: int


def parallel_figure(
    study: Study,
    recommended: int | None,
    selected: Collection[int] | None = None,
    *,
    axes: Sequence[ChoiceAxis] | None = None,
) -> ParallelFigure | None:
    """The designs trained to the end; None without two. ``selected`` trials stand out, which are
    all of them if None. ``axes`` are those of all candidates, where a caller has them.

    The recommended design and the front are drawn, and an even sample of the others: of the
    selected ones first.
    """
    trained = [c for c in study.candidates if c.evaluation.feasible]
    if len(trained) < 2:
        return None
    marked = {c.number for c in trained}
    if selected is not None:
        marked &= set(selected)
    first = {c.number for c in front(study) if c.number in marked} | {recommended}
    chosen = _sample(trained, first, marked)
    numbers = [c.number for c in chosen]
    psnr = np.array([c.evaluation.psnr for c in trained])
    bounds = np.quantile(psnr, (0.25, 0.5, 0.75))
    axis, height = _psnr(psnr)
    drawn = np.array([c.evaluation.psnr for c in chosen])
    # A fixed place of each design in its bundle, so that a line keeps its place at an update.
    spread = np.array([number * 0.6180339887 % 1 * 2 - 1 for number in numbers]) * SPREAD
    shown, places = [], []
    for choice in axes_within(axes or axes_of(study), [c.number for c in trained]):
        size = len(choice.values)
        at = {value: (i + 0.5) / size for i, value in enumerate(choice.values)}
        names = tuple(map(choice.name, choice.values))
        shown.append(ParallelAxis(choice.title, choice.values, tuple(at.values()), names))
        places.append(
            np.array([at[choice.by_number[number]] for number in numbers]) + spread / size
        )
    rows = np.stack([*places, height(drawn)], axis=1)
    quarters = np.searchsorted(bounds, drawn, side="right")
    lines = [
        ParallelLine(
            c.number,
            c.evaluation.psnr,
            tuple(row),
            int(quarter),
            c.number == recommended,
            c.number in marked,
        )
        for c, row, quarter in zip(chosen, rows.tolist(), quarters, strict=True)
    ]
    return ParallelFigure(
        axes=(*shown, axis),
        lines=tuple(sorted(lines, key=lambda line: (line.recommended, line.psnr))),
        left_out=len(marked) - sum(line.selected for line in lines),
    )


def _sample(
    candidates: Sequence[Candidate], first: Collection[int | None], marked: Collection[int]
) -> list[Candidate]:
    kept = [c for c in candidates if c.number in first]
    rest = [c for c in candidates if c.number not in first]
    standing = evenly([c for c in rest if c.number in marked], max(2, LINES - len(kept)))
    others = evenly([c for c in rest if c.number not in marked], OTHERS)
    return kept + standing + others


def _psnr(psnr: Any) -> tuple[ParallelAxis, Callable[[Any], Any]]:
    """The axis of PSNR, and what gives the height of each; a few poor ones lie at its bottom."""
    low, high = float(np.quantile(psnr, 0.02)), float(psnr.max())
    span = max(high - low, 0.05)
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50) if span / s <= 8)
    ticks = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    digits = 1 if step >= 0.1 else 2
    axis = ParallelAxis(
        "PSNR (dB)",
        tuple(f"{tick:.{digits}f}" for tick in ticks),
        tuple((tick - low) / span for tick in ticks),
    )
    return axis, lambda values: np.clip((values - low) / span, 0, 1)


QUARTERS = ("lowest quarter of PSNR", "second quarter", "third quarter", "highest quarter")


def draw_parallel(figure: ParallelFigure, brush: Collection[str] | None = None) -> Spec:
    """The lines, coloured by the quarter that their PSNR is in; the recommended one on top, those
    not selected below and pale.

    With ``brush``, the names of chosen values, these are marked and all values can be clicked:
    Plotly reports an annotation whose ``name`` is the value's.
    """
    pale = [x for x in figure.lines if not (x.selected or x.recommended)]
    traces = [_lines("not selected", pale, {"color": PALE, "width": 0.7}, opacity=0.3)]
    for quarter, name in enumerate(QUARTERS):
        mine = [
            x for x in figure.lines if x.quarter == quarter and x.selected and not x.recommended
        ]
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
            **_look(name, brush),
        }
        for x, axis in enumerate(figure.axes)
        for value, place, name in zip(
            axis.values, axis.places, axis.names or [""] * len(axis.values), strict=True
        )
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


def _look(name: str, brush: Collection[str] | None) -> Spec:
    """How the value ``name`` is written, and whether it can be clicked."""
    chosen = brush is not None and name in brush
    look: Spec = {
        "font": {"size": 11, "color": PAPER if chosen else INK},
        "bgcolor": INK if chosen else PAPER,
        "opacity": 1 if chosen else 0.85,
    }
    if brush is not None and name:
        look |= {"name": name, "captureevents": True, "borderpad": 3}
    return look


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
