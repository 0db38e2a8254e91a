"""How much training a search needs to find the front of a fully evaluated space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bbnas.analysis.hypervolume import Box, hypervolume
from bbnas.analysis.knee import above_chord, knee
from bbnas.analysis.pareto import non_dominated
from bbnas.evaluation import Evaluation
from bbnas.study import DEFAULT_OBJECTIVES

# Shares of the true hypervolume for which the training needed is reported.
SHARES = (0.90, 0.95, 0.99)


class Truth:
    """The true front: that of ``evaluations``, which are the useful designs of the whole space.

    ``box`` is the one in which reports measure the front's hypervolume, ``knee`` the evaluation
    that they recommend.
    """

    def __init__(
        self,
        evaluations: Sequence[Evaluation],
        floor: float | None,
        objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    ) -> None:
        psnr = np.array([e.psnr for e in evaluations])
        costs = np.array([[e.ops, e.params] for e in evaluations])
        kept = np.flatnonzero(non_dominated(np.column_stack([-psnr, costs])))
        self.front = [evaluations[i] for i in kept.tolist()]
        self.box = Box.of(self.front, objectives)
        self.volume = hypervolume(self.box.scaled(self.front))
        self.knee = self.front[knee(psnr[kept], *costs[kept].T, floor=floor)]
        self._points = dict(
            zip((e.design.key for e in evaluations), self.box.scaled(evaluations), strict=True)
        )
        score = above_chord(psnr, costs, psnr[kept], costs[kept], floor)
        self._scores: dict[str, float] = dict(
            zip((e.design.key for e in evaluations), score.tolist(), strict=True)
        )

    def volumes(self, found: Sequence[str]) -> list[float]:
        """The share of the true hypervolume after each design of ``found`` (keys); a design that
        is not useful in truth adds nothing.
        """
        kept = np.empty((0, len(self.box.objectives)))
        share, shares = 0.0, []
        for key in found:
            point = self._points.get(key)
            if point is not None and not np.any(np.all(kept >= point, axis=1)):
                kept = np.concatenate([kept, point[None]])
                kept = kept[non_dominated(-kept)]
                share = hypervolume(kept) / self.volume
            shares.append(share)
        return shares

    def behind(self, key: str) -> float:
        """The height (dB) above the chord of the true knee minus that of the design; NaN for a
        design that is not useful in truth.
        """
        return self._scores[self.knee.design.key] - self._scores.get(key, math.nan)


@dataclass(frozen=True)
class Trace:
    """One search, with a step for each training that ended or was stopped.

    ``designs`` (begun so far), ``seconds`` (of training so far) and ``volume`` (share of the true
    hypervolume) are of equal length. ``recommended`` is the label of the final design, empty if
    there was none; ``differs`` holds its differences from BBCU (``bbcu_like``). ``psnr_loss`` (dB)
    is the true knee's PSNR minus its true PSNR, ``loss`` (dB) the same for heights above the
    chord, so that costs count; NaN where nothing useful was recommended.
    """

    contender: str
    seed: int
    designs: tuple[int, ...]
    seconds: tuple[float, ...]
    volume: tuple[float, ...]
    recommended: str
    differs: tuple[str, ...]
    psnr_loss: float
    loss: float

    def reached(self, share: float) -> tuple[float, float]:
        """(designs, seconds) needed for ``share`` of the hypervolume; infinite if not reached."""
        for designs, seconds, volume in zip(self.designs, self.seconds, self.volume, strict=True):
            if volume >= share:
                return float(designs), seconds
        return math.inf, math.inf


@dataclass(frozen=True)
class Middle:
    """The median of ``of`` values, of which ``reached`` are finite; the others are right-censored
    at infinity. ``low`` and ``high`` bound it with at least 95 % confidence (order statistics);
    they are NaN below 6 values.
    """

    median: float
    low: float
    high: float
    reached: int
    of: int

    @classmethod
    def of_values(cls, values: Sequence[float]) -> Middle:
        """Raises ValueError for no values."""
        from scipy.stats import quantile_test

        if not values:
            raise ValueError("no values")
        ordered = sorted(map(float, values))
        n = len(ordered)
        interval = quantile_test(ordered, p=0.5).confidence_interval(0.95)
        return cls(
            median=(ordered[(n - 1) // 2] + ordered[n // 2]) / 2,
            low=float(interval.low),
            high=float(interval.high),
            reached=sum(map(math.isfinite, ordered)),
            of=n,
        )
