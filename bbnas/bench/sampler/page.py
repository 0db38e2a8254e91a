"""The page of simulated searches: hypervolume over what it took, by contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bbnas.bench.sampler.contest import DEFAULT
from bbnas.bench.sampler.efficiency import Trace
from bbnas.reporting.draw import MUTED, RECOMMENDED, Spec, axes_layout
from bbnas.reporting.plain import write_figures

# Distinct from the default's, which stands out.
COLOURS = (
    *("#1c7ed6", "#74c0fc", "#2f9e44", "#7048e8", "#f08c00", "#d6336c", "#15aabf", "#868e96"),
    "#a0522d",
)
PLACES = 160
# The middle half of the searches.
BAND = (25, 50, 75)


def write_sampler(
    path: str | Path, words: str, traces: Sequence[Trace], titles: Mapping[str, str]
) -> Path:
    """Write the page to ``path``; ``titles`` are those of the contenders by name.

    Raises:
        UserError: the file cannot be written.
    """
    figures = [draw_volume(traces, titles, over) for over in ("seconds", "designs")]
    return write_figures(path, "How soon a search finds the front", words, figures)


def draw_volume(traces: Sequence[Trace], titles: Mapping[str, str], over: str) -> Spec:
    """The median share of the true hypervolume over ``seconds`` or ``designs``, by contender, with
    the band that the middle half of its searches lies in.

    A curve ends where the median search does: beyond that there is nothing to compare.
    """
    names = list(dict.fromkeys(trace.contender for trace in traces))
    data: list[Spec] = []
    for number, name in enumerate(names):
        title = escape(titles[name])
        own = [trace for trace in traces if trace.contender == name]
        end = float(np.median([getattr(trace, over)[-1] for trace in own]))
        x = np.linspace(0.0, end, PLACES)
        low, middle, high = np.percentile([_at(trace, over, x) for trace in own], BAND, axis=0)
        colour = RECOMMENDED if name == DEFAULT else COLOURS[number % len(COLOURS)]
        line = {"color": colour, "width": 3 if name == DEFAULT else 1.5, "shape": "hv"}
        shared = {"type": "scatter", "mode": "lines", "legendgroup": name, "x": x.tolist()}
        edge = shared | {"line": line | {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        data += [
            edge | {"y": low.tolist()},
            edge | {"y": high.tolist(), "fill": "tonexty", "fillcolor": f"{colour}1f"},
            shared
            | {
                "name": title,
                "y": middle.tolist(),
                "line": line,
                "hovertemplate": f"{title}<br>%{{x:.0f}}: %{{y:.3f}}<extra></extra>",
            },
        ]
    x_title = "simulated training (s)" if over == "seconds" else "designs trained, be it in part"
    layout = axes_layout(x_title, "share of the true hypervolume", 460, yaxis={"range": [0, 1.02]})
    layout["shapes"] = [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0.95, "y1": 0.95}
        | {"line": {"color": MUTED, "dash": "dot", "width": 1}}
    ]
    return {"data": data, "layout": layout}


def _at(trace: Trace, over: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The volume of a trace at each ``x``."""
    steps = np.array([0.0, *getattr(trace, over)])
    volume = np.array([0.0, *trace.volume])
    found: NDArray[np.float64] = volume[np.searchsorted(steps, x, side="right") - 1]
    return found
