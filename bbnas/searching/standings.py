"""How candidates at a rung stand among each other, kept up to date by one candidate at a time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bbnas.analysis.pareto import non_dominated

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]


# Once one in so many candidates has changed, all are ranked again instead of one by one.
MANY = 8


class Standings:
    """n candidates by number, as points to be minimised: −PSNR (dB), then d costs.

    ``ranked``: their non-dominated ranks are kept, which ``best`` needs. To take in a change takes
    O(n) and some steps for each rank that it reaches, instead of all ranks again.
    """

    def __init__(self, ranked: bool = True) -> None:
        self._rows: dict[int, tuple[float, ...]] = {}
        self._changed: set[int] = set()  # since the following was right
        self._numbers = np.empty(0, dtype=np.intp)  # ascending
        self._points = np.empty((0, 1))
        self._reached = np.empty(0)  # the lowest −PSNR of those that cost no more
        self._ranks = np.empty(0, dtype=np.intp) if ranked else None

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, number: int, psnr: float, *costs: float) -> bool:
        """Take in a candidate; whether it is new, or other than before."""
        row = (-psnr, *costs)
        if self._rows.get(number) == row:
            return False
        self._rows[number] = row
        self._changed.add(number)
        return True

    def drop(self, number: int) -> bool:
        """Forget a candidate; whether it was there."""
        if self._rows.pop(number, None) is None:
            return False
        self._changed.add(number)
        return True

    @property
    def numbers(self) -> Numbers:
        """(n): those of the candidates, ascending, to which the other results belong."""
        self._settle()
        return self._numbers

    @property
    def psnr(self) -> Floats:
        """(n) in dB."""
        self._settle()
        return -self._points[:, 0]

    @property
    def behind(self) -> Floats:
        """(n): by how much (dB) each is behind the best of those that cost no more."""
        self._settle()
        behind: Floats = self._points[:, 0] - self._reached
        return behind

    def best(self, number: int) -> NDArray[np.bool_]:
        """(n): which are the best ``number`` by rank, and within a rank by crowding distance."""
        self._settle()
        if number >= len(self):
            return np.ones(len(self), dtype=bool)
        assert self._ranks is not None
        upto = np.cumsum(np.bincount(self._ranks))
        cut = int(np.searchsorted(upto, number, side="right"))
        kept: NDArray[np.bool_] = self._ranks < cut
        last = np.flatnonzero(self._ranks == cut)
        order = np.argsort(-crowding(self._points[last]), kind="stable")
        kept[last[order[: number - int(kept.sum())]]] = True
        return kept

    def _settle(self) -> None:
        """Take the changes in."""
        if MANY * len(self._changed) > len(self):
            rows = sorted(self._rows.items())
            self._numbers = np.array([number for number, _ in rows], dtype=np.intp)
            width = len(rows[0][1]) if rows else 1
            self._points = np.array([row for _, row in rows]).reshape(len(rows), width)
            self._reached = _reached(self._points, self._points)
            if self._ranks is not None:
                self._ranks = _ranks(self._points)
        else:
            for number in self._changed:
                at = int(np.searchsorted(self._numbers, number))
                if at < len(self._numbers) and self._numbers[at] == number:
                    self._remove(at)
                if number in self._rows:
                    self._insert(at, number)
        self._changed.clear()

    def _insert(self, at: int, number: int) -> None:
        points, point = self._points, np.array(self._rows[number], dtype=np.float64)
        costs = point[1:]
        no_more = np.all(points[:, 1:] <= costs, axis=1)
        no_less = np.all(points[:, 1:] >= costs, axis=1)
        self._reached[no_less] = np.minimum(self._reached[no_less], point[0])
        reached = points[no_more, 0].min(initial=point[0])
        if self._ranks is not None:
            above = self._ranks[_beaten(point[None], points, axis=0)]
            rank = int(above.max(initial=-1)) + 1
            self._push(rank, point[None])
            self._ranks = np.insert(self._ranks, at, rank)
        self._numbers = np.insert(self._numbers, at, number)
        self._points = np.insert(points, at, point, axis=0)
        self._reached = np.insert(self._reached, at, reached)

    def _push(self, rank: int, comers: Floats) -> None:
        """Those of ``rank`` that ``comers`` dominate come to the next one, and so on."""
        assert self._ranks is not None
        while len(comers):
            there = np.flatnonzero(self._ranks == rank)
            pushed = there[_beaten(self._points[there], comers)]
            rank += 1
            self._ranks[pushed] = rank
            comers = self._points[pushed]

    def _remove(self, at: int) -> None:
        point = self._points[at]
        self._numbers = np.delete(self._numbers, at)
        self._points = np.delete(self._points, at, axis=0)
        self._reached = np.delete(self._reached, at)
        no_less = np.all(self._points[:, 1:] >= point[1:], axis=1)
        led = no_less & (self._reached == point[0])
        self._reached[led] = _reached(self._points[led], self._points)
        if self._ranks is not None:
            rank = int(self._ranks[at])
            self._ranks = np.delete(self._ranks, at)
            self._pull(rank, point[None])

    def _pull(self, rank: int, gone: Floats) -> None:
        """Those of the next rank that only what is ``gone`` dominated come to ``rank``."""
        assert self._ranks is not None
        while len(gone):
            below = np.flatnonzero(self._ranks == rank + 1)
            below = below[_beaten(self._points[below], gone)]
            left = self._points[self._ranks == rank]
            pulled = below[~_beaten(self._points[below], left)]
            self._ranks[pulled] = rank
            gone = self._points[pulled]
            rank += 1


def _beaten(points: Floats, others: Floats, axis: int = 1) -> NDArray[np.bool_]:
    """Which of the ``points`` any of ``others`` dominates; or, with ``axis`` 0, which of the
    ``others`` dominate any of the ``points``.
    """
    a, b = points[:, None], others[None]
    beaten: NDArray[np.bool_] = np.any(np.all(b <= a, axis=2) & np.any(b < a, axis=2), axis=axis)
    return beaten


def _reached(points: Floats, others: Floats) -> Floats:
    """(n): the lowest −PSNR of those of ``others`` that cost no more than each of the ``points``,
    or infinity.
    """
    best = others[non_dominated(others)]  # one of these is the best of those that cost no more
    no_more = np.all(best[None, :, 1:] <= points[:, None, 1:], axis=2)
    reached: Floats = np.where(no_more, best[None, :, 0], math.inf).min(axis=1, initial=math.inf)
    return reached


def _ranks(points: Floats) -> Numbers:
    """(n): 0 for those that none dominates, 1 for those that none of the rest dominates, …."""
    ranks = np.zeros(len(points), dtype=np.intp)
    left, rank = np.arange(len(points)), 0
    while len(left):
        first = non_dominated(points[left])
        ranks[left[first]] = rank
        left, rank = left[~first], rank + 1
    return ranks


def crowding(points: Floats) -> Floats:
    """The crowding distance of each row (Deb et al. 2002, NSGA-II): infinite at the extremes."""
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        span = ordered[-1] - ordered[0]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return distance
