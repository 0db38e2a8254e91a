"""Tables of candidates, as ``bbnas search`` and ``bbnas studies show`` print them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bbnas.cli.console import print_table
from bbnas.text import plural

if TYPE_CHECKING:
    from bbnas.analysis import Recommendation
    from bbnas.study import Candidate, Study

# Most points of the front that are printed, evenly spaced; the report shows all.
FRONT_ROWS = 12


def print_front(study: Study, recommendation: Recommendation | None) -> None:
    """The points of the front; nothing where there are none."""
    from bbnas.analysis import front

    if points := front(study):
        step = max(1, -(-len(points) // FRONT_ROWS))
        shown = points[::-1][::step][::-1]
        title = f"front: {len(shown)} of {plural(len(points), 'point')}"
        print_candidates(shown, title, recommendation)


def print_candidates(
    shown: Sequence[Candidate], title: str, recommendation: Recommendation | None
) -> None:
    """PSNR of each one's own run, its estimate from all runs, and costs."""
    timed = any(math.isfinite(c.evaluation.latency) for c in shown)
    columns = [
        "trial",
        "own run (dB)",
        "estimate ± se (dB)",
        "SSIM",
        "OPs (G)",
        "Params (K)",
        "design",
    ]
    if timed:
        columns.insert(-1, "latency (ms)")
    print_table(columns, [_figures(c, recommendation, timed) for c in shown], title)


def _figures(
    candidate: Candidate, recommendation: Recommendation | None, timed: bool
) -> tuple[float | str, ...]:
    e = candidate.evaluation
    known = None if recommendation is None else recommendation.estimates.of(candidate)
    estimate = "" if known is None else f"{known[0]:.2f} ± {known[1]:.2f}"
    figures = (candidate.number, e.psnr, estimate, f"{e.ssim:.4f}", e.ops / 1e9, e.params / 1e3)
    latency = (e.latency * 1e3,) if timed else ()
    chosen = recommendation is not None and candidate == recommendation.candidate
    return (*figures, *latency, f"{e.design.label()}{' (recommended)' if chosen else ''}")
