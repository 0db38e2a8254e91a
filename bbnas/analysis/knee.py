"""The knee of a front, and the order in which a study recommends its candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbnas.analysis.estimates import Estimates
from bbnas.analysis.pareto import non_dominated
from bbnas.analysis.surrogate import Array
from bbnas.study import OBJECTIVES, StudyConfig


def knee(psnr: ArrayLike, *costs: ArrayLike, floor: float | None = None) -> int:
    """The index of the knee of a front: ``knee(psnr, ops, params)``, arrays of equal length.

    PSNR is scaled linearly to 0..1 from ``floor`` (the PSNR of the global skip; the front's
    lowest without it) to the front's best, and the square root of each cost to 0..1 between the
    front's extremes. OPs and Params grow with the square of a network's width, so the root is
    proportional to the width of a full-precision network of equal cost. The knee has the largest
    psnr_n − mean(cost_n): it lies farthest above the chord between the extremes. Ties go to the
    higher PSNR, then to the lower costs, then to the first.
    """
    quality = np.asarray(psnr, dtype=np.float64)
    prices = np.array(costs, dtype=np.float64).reshape(len(costs), len(quality)).T
    return int(_by_score(quality, prices, above_chord(quality, prices, quality, prices, floor))[0])


def above_chord(
    psnr: Array, costs: Array, front_psnr: Array, front_costs: Array, floor: float | None
) -> Array:
    """How far (dB) points lie above the chord of a front; see :func:`knee`."""
    low = front_psnr.min() if floor is None else floor
    span = front_psnr.max() - low
    widths, extremes = np.sqrt(costs), np.sqrt(front_costs)
    spans = np.ptp(extremes, axis=0) if extremes.size else np.ones(0)
    shares = (widths - extremes.min(axis=0)) / np.where(spans > 0, spans, np.inf)
    score: Array = psnr - low - (span * shares.mean(axis=1) if shares.shape[1] else 0.0)
    return score


def _by_score(psnr: Array, costs: Array, score: Array) -> NDArray[np.intp]:
    # Rounded, so that the last bit of a sum does not decide a tie.
    return np.lexsort([*costs.T[::-1], -psnr, -np.round(score, 12)])


@dataclass(frozen=True)
class Standing:
    """Candidates, best first, with how far (dB) each lies above the chord; see :func:`knee`."""

    estimates: Estimates
    score: Array


def standing(config: StudyConfig, estimates: Estimates) -> Standing:
    """The candidates in the order in which a study recommends them.

    If candidates were confirmed by a longer protocol, only these are ranked. The chord is still
    that of all candidates.
    """
    names = [name for name in config.objectives if OBJECTIVES[name] == "minimize"]
    rows = [[getattr(c.evaluation, name) for name in names] for c in estimates.candidates]
    costs = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    psnr = estimates.psnr
    kept = non_dominated(np.column_stack([-psnr, costs]))
    score = above_chord(psnr, costs, psnr[kept], costs[kept], config.skip_psnr)
    order = _by_score(psnr, costs, score)
    if any(estimates.confirmed):
        order = order[np.array(estimates.confirmed)[order]]
    else:  # a dominated candidate is never the knee
        order = np.concatenate([order[kept[order]], order[~kept[order]]])
    return Standing(estimates.only(order.tolist()), score[order])
