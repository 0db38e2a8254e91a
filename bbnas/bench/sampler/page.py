"""The page of simulated searches: hypervolume over time and over designs, by contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bbnas.bench.sampler.contest import DEFAULT
from bbnas.bench.sampler.efficiency import Trace
from bbnas.figures.theme import COLOURS, MUTED, RECOMMENDED, Spec, axes_layout, scatter
from bbnas.reporting.plain import write_figures

# Points of a curve.
PLACES = 160
# Percentiles: the ends of the band (the middle half of the searches) and the curve in it.
BAND = (25, 50, 75)


def write_sampler(
    path: str | Path,
    words: str,
    traces: Sequence[Trace],
    titles: Mapping[str, str],
    *,
    inline: bool = False,
) -> Path:
    """Write the page to ``path``; ``titles`` maps the names of contenders to their titles.

    Raises:
        UserError: a file cannot be written.
    """
    figures = [draw_volume(traces, titles, over) for over in ("seconds", "designs")]
    return write_figures(path, "How soon a search finds the front", words, figures, inline=inline)


def draw_volume(traces: Sequence[Trace], titles: Mapping[str, str], over: str) -> Spec:
    """The median share of the true hypervolume over ``seconds`` or ``designs``, by contender.

    The band holds the middle half of a contender's searches. A curve ends where the median search
    ends, since later values would be those of the longest searches only.
    """
    names = list(dict.fromkeys(trace.contender for trace in traces))
    data: list[Spec] = []
    for number, name in enumerate(names):
        title = escape(titles[name])
        searches = [trace for trace in traces if trace.contender == name]
        end = float(np.median([getattr(trace, over)[-1] for trace in searches]))
        x = np.linspace(0.0, end, PLACES)
        low, middle, high = np.percentile(
            [_at(trace, over, x) for trace in searches], BAND, axis=0
        )
        colour = RECOMMENDED if name == DEFAULT else COLOURS[number % len(COLOURS)]
        line = {
            "color": colour,
            "width": 3 if name == DEFAULT else 1.5,
            "dash": "solid" if number < len(COLOURS) else "dash",
            "shape": "hv",
        }
        hover = f"{title}<br>%{{x:.0f}}: %{{y:.3f}}<extra></extra>"
        for y, more in (
            (low, {"line": line | {"width": 0}, "hoverinfo": "skip", "showlegend": False}),
            (
                high,
                {
                    "line": line | {"width": 0},
                    "hoverinfo": "skip",
                    "showlegend": False,
                    "fill": "tonexty",
                    "fillcolor": f"{colour}1f",
                },
            ),
            (middle, {"line": line, "hovertemplate": hover}),
        ):
            data.append(scatter(title, x.tolist(), y.tolist(), "lines", legendgroup=name, **more))
    x_title = (
        "simulated training (s)" if over == "seconds" else "designs trained, in full or in part"
    )
    target = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": 0.95,
        "y1": 0.95,
        "line": {"color": MUTED, "dash": "dot", "width": 1},
    }
    layout = axes_layout(
        x_title, "share of the true hypervolume", 460, yaxis={"range": [0, 1.02]}, shapes=[target]
    )
    return {"data": data, "layout": layout}


def _at(trace: Trace, over: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The volume of a trace at each ``x``."""
    steps = np.array([0.0, *getattr(trace, over)])
    volume = np.array([0.0, *trace.volume])
    reached: NDArray[np.float64] = volume[np.searchsorted(steps, x, side="right") - 1]
    return reached
