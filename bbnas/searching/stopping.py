"""Which candidates at a rung are worth more training: MO-ASHA, with costs that are known exactly.

Successive halving for several objectives (Schmucker et al. 2021) sorts the candidates that have
reached a rung by non-dominated rank. Here OPs and Params need no training, so of two candidates
the cheaper one is known; only PSNR is in doubt, and by how much is known too.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbnas.analysis.estimates import Z95
from bbnas.analysis.pareto import non_dominated
from bbnas.analysis.surrogate import FEWEST_GAINS, gains_from, spread
from bbnas.evaluation import Evaluation
from bbnas.study import StudyConfig

# One in so many of the candidates at a rung goes on, but for the first of several rungs.
REDUCTION = 3.0
# Two runs differ by less than so many standard deviations of one in 95 of 100 cases.
BEYOND_NOISE = Z95 * math.sqrt(2)
# At a rung, the learning rate still high, runs differ by so much more than at the end: seeds of
# the same designs differed by 0.02 to 0.07 dB there, by 0.02 dB at the end.
ON_THE_WAY = 2.0


def next_rung(config: StudyConfig, known: Evaluation | None) -> int | None:
    """The rung at which a candidate is looked at next, given what is ``known`` of it; None if it
    is trained to the end.
    """
    last = known.rungs[-1][0] if known is not None and known.rungs else 0
    rungs = config.protocol.rungs if config.early_stopping else ()
    return next((rung for rung in rungs if rung > last), None)


def to_resume(
    config: StudyConfig, found: Mapping[int, Evaluation], busy: Container[int]
) -> int | None:
    """The number of a stopped candidate that is worth more training, as all those at its rung now
    stand: of the highest rung first. None if there is none that is not ``busy``.
    """
    waiting = {n for n, e in found.items() if e.status == "stopped" and n not in busy}
    if not waiting:
        return None
    costs = [name for name in config.objectives if name != "psnr"]
    rungs = config.protocol.rungs
    for rung in reversed(rungs):
        # What diverged later is no rival of those that are under way.
        alive = {n: e for n, e in found.items() if e.status in ("ok", "stopped")}
        there = {n: dict(e.rungs)[rung] for n, e in alive.items() if rung in dict(e.rungs)}
        here = [n for n in waiting & there.keys() if found[n].rungs[-1][0] == rung]
        if not here:
            continue
        if not config.early_stopping:
            return min(here)
        points = [[getattr(found[n], name) for name in costs] for n in there]
        gains = gains_from(config, rung, found.values())
        noise = rung_noise(gains, config.protocol.noise)
        # At the first of several, most have hardly started: it only stops what is beaten.
        reduction = 1.0 if len(rungs) > 1 and rung == rungs[0] else REDUCTION
        worth = worth_more(list(there.values()), points, noise, reduction)
        passed = [n for n, kept in zip(there, worth, strict=True) if kept and n in here]
        if passed:
            return max(passed, key=lambda n: there[n])
    return None


def worth_more(
    psnr: Sequence[float], costs: ArrayLike, noise: float, reduction: float
) -> NDArray[np.bool_]:
    """Which of the n candidates at a rung should go on.

    ``psnr`` (n) in dB at this rung; ``costs`` (n, d) exact, smaller is better; ``noise`` is a
    standard deviation in dB, see :func:`rung_noise`; one in ``reduction`` goes on. Stopped is

    - who is beaten: another that costs no more is ahead by more than the noise allows
      (``BEYOND_NOISE`` standard deviations), so no further training is likely to turn them;
    - of the others, who is not among the best ⌈n / reduction⌉ by non-dominated rank, and within
      a rank by crowding distance, the loneliest first.
    """
    quality = np.asarray(psnr, dtype=np.float64)
    prices = np.asarray(costs, dtype=np.float64).reshape(len(quality), -1)
    number = math.ceil(len(quality) / reduction)
    kept = np.full(len(quality), number == len(quality))
    if number < len(quality):
        kept[_best(np.column_stack([-quality, prices]), number)] = True
    beaten = behind(quality, prices) > BEYOND_NOISE * noise
    return kept & ~beaten


def rung_noise(gains: Sequence[float], noise: float) -> float:
    """How far (dB, a standard deviation) PSNR at a rung may mislead of PSNR at the end.

    ``gains`` are what those trained to the end won from the rung on: some learn later than others.
    At least ON_THE_WAY times ``noise``, that between seeds; that alone before a few have ended.
    """
    return max(ON_THE_WAY * noise, spread(gains) if len(gains) >= FEWEST_GAINS else 0.0)


def behind(psnr: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much (dB) each candidate is behind the best of those that cost no more."""
    no_more = np.all(costs[None, :, :] <= costs[:, None, :], axis=2)
    ahead: NDArray[np.float64] = np.where(no_more, psnr[None, :], -np.inf).max(axis=1) - psnr
    return ahead


def _best(points: NDArray[np.float64], number: int) -> list[int]:
    """So many rows of ``points``, all columns minimised: by rank, and then the loneliest."""
    left = np.arange(len(points))
    best: list[int] = []
    while len(left) and len(best) < number:
        first = non_dominated(points[left])
        rank = left[first]
        best += rank[np.argsort(-crowding(points[rank]), kind="stable")].tolist()
        left = left[~first]
    return best[:number]


def crowding(points: NDArray[np.float64]) -> NDArray[np.float64]:
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
