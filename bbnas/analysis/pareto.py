"""The Pareto front of a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbnas.errors import unknown
from bbnas.evaluation import Bar, Evaluation, Outcome
from bbnas.study import OBJECTIVES, Candidate, Study


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """A mask of the rows of ``points`` (n, d) that no other row dominates; columns are minimised.

    A row dominates another if it is nowhere worse and somewhere better, so equal rows do not
    dominate each other. O(n · front) comparisons.
    """
    values = np.asarray(points, dtype=np.float64)
    kept: list[int] = []
    # In lexicographic order a row is only dominated by earlier rows.
    left = np.lexsort(values.T[::-1])
    while len(left):
        kept.append(int(left[0]))
        others, point = values[left], values[left[0]]
        beaten = np.all(others >= point, axis=1) & np.any(others > point, axis=1)
        left = left[1:][~beaten[1:]]
    mask = np.zeros(len(values), dtype=bool)
    mask[kept] = True
    return mask


def minimised(evaluations: Sequence[Evaluation], objectives: Sequence[str]) -> NDArray[np.float64]:
    """(n, d) objective values, signs turned so that smaller is better.

    Raises:
        UserError: an unknown objective.
    """
    for name in objectives:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES)
    signs = [-1.0 if OBJECTIVES[name] == "maximize" else 1.0 for name in objectives]
    rows = [[float(getattr(e, name)) for name in objectives] for e in evaluations]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(objectives)) * signs


def useful(config: Bar, evaluation: Outcome) -> bool:
    """Whether it has a PSNR above the floor: that of the global skip, which costs nothing, plus
    seed noise. Networks that learn nothing end close to the skip's PSNR, on either side.
    """
    return evaluation.feasible and evaluation.psnr > config.floor


def front(
    study: Study, objectives: Sequence[str] | None = None, *, baselines: bool = False
) -> list[Candidate]:
    """The non-dominated useful candidates, fewest OPs first.

    ``objectives`` are the study's own unless given. The network's global skip costs nothing and
    so dominates every candidate at or below its PSNR. Baselines neither enter the front nor
    dominate candidates unless ``baselines``.
    """
    candidates = [
        candidate
        for candidate in study.candidates
        if useful(study.config, candidate.evaluation) and (baselines or not candidate.baseline)
    ]
    if not candidates:
        return []
    points = minimised([c.evaluation for c in candidates], objectives or study.config.objectives)
    kept = [c for c, keep in zip(candidates, non_dominated(points), strict=True) if keep]
    return sorted(kept, key=lambda c: (c.evaluation.ops, c.evaluation.params, c.number))


def places(study: Study, recommended: int | None = None) -> dict[int, str]:
    """What each candidate is among all, by its number; ``recommended`` is the number of the
    recommended one. Empty for a design that is only beaten.
    """
    members = {c.number for c in front(study)}

    def place(candidate: Candidate) -> str:
        if candidate.number == recommended:
            return "recommended"
        if not candidate.evaluation.feasible:
            return candidate.evaluation.status
        if candidate.baseline:
            return f"baseline {candidate.baseline}"
        return "front" if candidate.number in members else ""

    return {c.number: place(c) for c in study.candidates}
