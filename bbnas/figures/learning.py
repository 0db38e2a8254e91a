"""How one candidate was trained: its loss, and its PSNR where it was scored."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bbnas.figures.theme import BLUE, LOST, PAPER, RECOMMENDED, Spec, axes_layout, scatter
from bbnas.study import Candidate


@dataclass(frozen=True)
class Learning:
    """``loss`` holds (iteration, mean L1 on 0..1), ``scored`` (iteration, PSNR in dB) at the
    protocol's rungs and the end. ``last`` is the iteration after which it was stopped or diverged,
    None if it was trained to the end.
    """

    loss: tuple[tuple[int, float], ...]
    scored: tuple[tuple[int, float], ...]
    last: int | None


def learning(candidate: Candidate) -> Learning | None:
    """The training of a candidate; None if nothing of it was recorded."""
    e = candidate.evaluation
    loss = tuple((i, value) for i, value in e.curve if math.isfinite(value))
    scored = list(e.rungs)
    if e.feasible:
        scored = [point for point in scored if point[0] < e.protocol.iterations]
        scored.append((e.protocol.iterations, e.psnr))
    if not loss and not scored:
        return None
    ends = [i for i, _ in (*loss, *scored)]
    return Learning(loss, tuple(scored), None if e.feasible else max(ends))


def draw_learning(values: Learning) -> Spec:
    """Loss on the left axis, logarithmic, and PSNR on the right one."""
    traces = [
        scatter(
            "training loss",
            [i for i, _ in values.loss],
            [loss for _, loss in values.loss],
            "lines",
            line={"color": BLUE, "width": 2},
            hovertemplate="iteration %{x}: loss %{y:.4f}<extra></extra>",
        ),
        scatter(
            "PSNR",
            [i for i, _ in values.scored],
            [psnr for _, psnr in values.scored],
            "lines+markers+text",
            yaxis="y2",
            text=[f"{psnr:.2f}" for _, psnr in values.scored],
            textposition="top center",
            cliponaxis=False,
            line={"color": RECOMMENDED, "width": 1, "dash": "dot"},
            marker={"size": 10, "symbol": "diamond", "line": {"color": PAPER, "width": 1}},
            hovertemplate="iteration %{x}: %{y:.2f} dB<extra></extra>",
        ),
    ]
    layout = axes_layout(
        "iteration",
        "loss (L1)",
        330,
        margin={"r": 62, "t": 34},
        yaxis={"type": "log", "nticks": 6},
        xaxis={"rangemode": "tozero"},
    )
    right = {"overlaying": "y", "side": "right", "showgrid": False, "tickmode": "auto"}
    layout["yaxis2"] = (
        layout["yaxis"] | right | {"type": "linear", "title": {"text": "PSNR (dB)", "standoff": 8}}
    )
    if values.last is not None:
        layout["shapes"] = [
            {
                "type": "line",
                "x0": values.last,
                "x1": values.last,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": LOST, "dash": "dot", "width": 1.5},
            }
        ]
        layout["annotations"] = [
            {
                "x": values.last,
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "showarrow": False,
                "text": "ended here",
                "font": {"color": LOST, "size": 12},
            }
        ]
    return {"data": traces, "layout": layout}
