"""Candidates as the dots of a figure, and entries of its legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from bbnas.design import Design
from bbnas.figures.hover import hover
from bbnas.figures.theme import Spec, scatter
from bbnas.study import Candidate

Kind = Literal["beaten", "front", "recommended", "baseline", "stopped", "infeasible"]


class Dot(NamedTuple):
    """A candidate in the figure of the front.

    ``x`` is its cost on the axis (ms if that is latency), NaN where it is not known; ``psnr`` (dB)
    that at the end, of a stopped candidate that at the rung where it stopped, else NaN.
    """

    candidate: Candidate
    kind: Kind
    x: float
    psnr: float

    @property
    def number(self) -> int:
        return self.candidate.number

    @property
    def design(self) -> Design:
        return self.candidate.evaluation.design

    @property
    def params(self) -> float:
        return self.candidate.evaluation.params


def scatter_dots(
    name: str, dots: Sequence[Dot], mode: str, y: float | None = None, **marker: Any
) -> Spec:
    """The dots as they are hovered; their cost may be unknown, and they are then left out."""
    dots = [dot for dot in dots if dot.x == dot.x]
    return scatter(
        name,
        [dot.x for dot in dots],
        [(dot.psnr if dot.psnr == dot.psnr else None) if y is None else y for dot in dots],
        "markers",
        text=[hover(dot.candidate) for dot in dots],
        customdata=[dot.number for dot in dots],
        hovertemplate="%{text}<extra></extra>",
        marker=marker,
        meta={"mode": mode},
        legendgroup=name,
        showlegend=mode == "always",
    )


def legend_entry(name: str, mode: str, **marker: Any) -> Spec:
    """A legend entry on its own: Plotly shows a trace there like its first point."""
    return scatter(
        name,
        [None],
        [None],
        "markers",
        marker=marker,
        hoverinfo="skip",
        meta={"mode": mode},
        legendgroup=name,
    )
