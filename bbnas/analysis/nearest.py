"""The candidates of a large study that are worth estimating.

A Gaussian process takes time with the cube of its runs: 400 take a second, 2,500 four minutes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bbnas.analysis.pareto import minimised, non_dominated
from bbnas.study import Candidate, Study

# Most candidates that are estimated together.
ESTIMATED = 400


def nearest(study: Study, most: int) -> Study:
    """``study`` with at most so many candidates: fronts are taken off one after the other until
    there are enough, and those that were confirmed stay. Designs without a PSNR, and those at or
    below the floor, go first.
    """
    if len(study.candidates) <= most:
        return study
    again = {e.design.key for e in study.confirmations}
    kept = [c for c in study.candidates if c.evaluation.design.key in again]
    left = [c for c in study.own() if c.evaluation.design.key not in again]
    while left and len(kept) < most:
        points = minimised([c.evaluation for c in left], study.config.objectives)
        first = non_dominated(np.nan_to_num(points, nan=np.inf))
        kept += [c for c, on in zip(left, first, strict=True) if on]
        left = [c for c, on in zip(left, first, strict=True) if not on]
    numbers = {c.number for c in kept[: max(most, len(again))]}
    return replace(study, candidates=tuple(_only(study.candidates, numbers)))


def _only(candidates: tuple[Candidate, ...], numbers: set[int]) -> list[Candidate]:
    return [c for c in candidates if c.number in numbers]
