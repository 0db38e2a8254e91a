"""Shapes that a user draws on the front, and the candidates within them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np

from bbnas.figures.colouring import colourings
from bbnas.figures.front import X, draw_front, front_figure
from bbnas.figures.theme import INK
from bbnas.study import Study

Shape = tuple[tuple[float, float], ...]

# Most corners of all shapes together, so that an address stays below some 2,000 characters; and
# the tolerances, as shares of a shape's extent, by which lassos are simplified to be that few.
CORNERS = 100
TOLERANCES = (0.002, 0.005, 0.01, 0.02, 0.05)
# The line around a shape.
OUTLINE = {"width": 1, "dash": "dot", "color": INK}


@dataclass(frozen=True)
class Area:
    """Shapes on the front over the cost ``x``: corners as (cost, PSNR in dB), two of them for a
    box. The edges of a shape are straight on the figure's log axis.

    ``hidden`` names the legend entries, in the colouring ``colour``, that were hidden when it was
    drawn, and the recommended design of then as ``trial N``; their designs are not selected.
    """

    x: X
    shapes: tuple[Shape, ...]
    colour: str
    hidden: tuple[str, ...] = ()

    @classmethod
    def drawn(cls, drawn: Mapping[str, Any]) -> Area | None:
        """What the browser reports: ``x`` and ``colour`` of the figure, Plotly's ``selections``,
        their PSNR counted from ``above`` (dB), and the names of ``hidden`` legend entries. None if
        nothing is drawn.
        """
        shapes = []
        for one in drawn["selections"]:
            if one["type"] == "rect":
                corners = [(one["x0"], one["y0"]), (one["x1"], one["y1"])]
            else:
                pairs = (pair.split(",") for pair in re.findall(r"[^MLZ]+", one["path"]))
                corners = [(float(cost), float(psnr)) for cost, psnr in pairs]
            shapes.append([(cost, psnr + drawn["above"]) for cost, psnr in corners])
        if not shapes:
            return None
        return cls(drawn["x"], _few(shapes), drawn["colour"], tuple(drawn["hidden"]))

    @classmethod
    def of(cls, text: str) -> Area | None:
        """The area of an address; None if it is none."""
        head, *parts = text.split("|")
        x, _, colour = head.partition("/")
        try:
            shapes = tuple(_corners(part) for part in parts if not part.startswith("!"))
        except ValueError:
            return None
        if x not in get_args(X) or not shapes:
            return None
        hidden = tuple(part[1:] for part in parts if part.startswith("!"))
        return cls(cast("X", x), shapes, colour, hidden)

    def __str__(self) -> str:
        shapes = [",".join(f"{_short(a)},{b:.4f}" for a, b in corners) for corners in self.shapes]
        hidden = [f"!{name}" for name in self.hidden]
        return "|".join([f"{self.x}/{self.colour}" if hidden else self.x, *shapes, *hidden])

    def outlines(self, above: float) -> list[dict[str, Any]]:
        """The shapes as Plotly draws them, where PSNR is counted from ``above`` (dB)."""
        drawn: list[dict[str, Any]] = []
        for corners in self.shapes:
            line = {"xref": "x", "yref": "y", "line": OUTLINE}
            if len(corners) == 2:
                (x0, y0), (x1, y1) = corners
                box = {"x0": x0, "x1": x1, "y0": y0 - above, "y1": y1 - above}
                drawn.append({**line, "type": "rect", **box})
            else:
                path = "L".join(f"{a:.6g},{b - above:.5f}" for a, b in corners)
                drawn.append({**line, "type": "path", "path": f"M{path}Z"})
        return drawn

    def numbers(self, study: Study) -> frozenset[int]:
        """The trials within a shape, at the place where the figure draws them: a stopped one at
        the PSNR of its rung, one that failed at the bottom. What has no place is not within.
        """
        places = self._places(study)
        if not places:
            return frozenset()
        numbers, costs, psnr = map(np.array, zip(*places, strict=True))
        points = np.stack([np.log10(costs), psnr], axis=1)
        within = np.any([_within(points, corners) for corners in self.shapes], axis=0)
        return frozenset(numbers[within].tolist())

    def _places(self, study: Study) -> list[tuple[int, float, float]]:
        """(trial, cost, PSNR) of each candidate that has a place and is not hidden."""
        colour = self.colour if self.hidden and self.colour in colourings(study) else "params"
        figure = front_figure(study, None, x=self.x, colour=colour)
        if figure is None:
            return []
        known = {
            dot.number: (dot.x, figure.bottom if dot.kind == "infeasible" else dot.psnr)
            for dot in figure.dots
        }
        if self.hidden:
            shown = [t for t in draw_front(figure, whole=True)["data"] if "customdata" in t]
            kept = {n for t in shown if t["name"] not in self.hidden for n in t["customdata"]}
            known = {
                n: at for n, at in known.items() if n in kept and f"trial {n}" not in self.hidden
            }
        return [(n, x, y) for n, (x, y) in known.items() if x == x and y == y]


def _short(cost: float) -> str:
    return f"{cost:.4e}".replace("e+", "e").replace("e0", "e")


def _corners(text: str) -> Shape:
    values = [float(value) for value in text.split(",")]
    if len(values) < 4 or len(values) % 2 or not np.isfinite(values).all():
        raise ValueError(text)
    if min(values[::2]) <= 0:
        raise ValueError(text)
    return tuple(zip(values[::2], values[1::2], strict=True))


def _few(shapes: Sequence[Sequence[tuple[float, float]]]) -> tuple[Shape, ...]:
    """The shapes, lassos with as few corners as they need."""
    from skimage.measure import approximate_polygon

    def simple(corners: Sequence[tuple[float, float]], tolerance: float) -> Shape:
        if len(corners) == 2:
            return tuple(corners)
        points = _logs(corners)
        extent = np.ptp(points, axis=0)
        unit = points / np.where(extent > 0, extent, 1)
        kept = set(map(tuple, approximate_polygon(unit, tolerance)))  # type: ignore[no-untyped-call]
        few = [c for c, point in zip(corners, unit, strict=True) if tuple(point) in kept]
        return tuple(few if len(few) > 2 else corners)

    for tolerance in TOLERANCES:
        found = tuple(simple(corners, tolerance) for corners in shapes)
        if sum(map(len, found)) <= CORNERS:
            break
    return found


def _logs(corners: Sequence[tuple[float, float]]) -> Any:
    points = np.array(corners, dtype=float)
    points[:, 0] = np.log10(points[:, 0])
    return points


def _within(points: Any, corners: Shape) -> Any:
    """Whether each of the points (log cost, PSNR) lies within the shape."""
    from skimage.measure import points_in_poly

    edges = _logs(corners)
    if len(corners) == 2:
        return ((points >= edges.min(axis=0)) & (points <= edges.max(axis=0))).all(axis=1)
    return points_in_poly(points, edges)  # type: ignore[no-untyped-call]
