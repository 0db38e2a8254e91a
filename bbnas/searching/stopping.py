"""Early stopping: MO-ASHA with costs that are known exactly.

Successive halving for several objectives (MO-ASHA, Schmucker et al. 2021) sorts the candidates
that have reached a rung by non-dominated rank. OPs and Params are counted here, so only the PSNR
of a candidate is uncertain, and its standard deviation is known too.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbnas.analysis.estimates import Z95
from bbnas.analysis.pareto import useful
from bbnas.analysis.surrogate import FEWEST_GAINS, spread
from bbnas.evaluation import Evaluation
from bbnas.searching.standings import Standings
from bbnas.study import StudyConfig

# The reduction factor: one in three candidates at a rung is trained further. The first of several
# rungs has no reduction.
REDUCTION = 3.0
# The 95 % bound of the difference between two runs, in standard deviations of one run.
BEYOND_NOISE = Z95 * math.sqrt(2)
# The noise between seeds at a rung, relative to the noise at the end: seeds of the same designs
# differed by 0.02 to 0.07 dB at rungs, where the learning rate is high, and by 0.02 dB at the end.
ON_THE_WAY = 2.0


def next_rung(config: StudyConfig, last: Evaluation | None) -> int | None:
    """The rung at which a candidate is scored next, given its ``last`` evaluation; None if it is
    trained to the end.
    """
    reached = last.rungs[-1][0] if last is not None and last.rungs else 0
    rungs = config.protocol.rungs if config.early_stopping else ()
    return next((rung for rung in rungs if rung > reached), None)


def to_resume(
    config: StudyConfig, outcomes: Mapping[int, Evaluation], running: Container[int]
) -> int | None:
    """The number of the stopped candidate to train further, or None.

    A candidate at a rung is compared with all candidates that have reached that rung
    (:func:`worth_more`). The highest rung is decided first; at one rung the highest PSNR comes
    first. ``outcomes`` are the evaluations by number, without baselines; ``running`` are the
    numbers being evaluated now.
    """
    ladder = Ladder(config)
    for number, evaluation in outcomes.items():
        ladder.note(number, evaluation)
    return ladder.to_resume(running)


class _Rung:
    """The candidates that reached a rung, by number: their PSNR (dB) there with their costs, those
    that wait there, and the dB that useful ones won from there to the end.
    """

    def __init__(self, reduction: float) -> None:
        self.reduction = reduction
        self.standings = Standings(ranked=reduction > 1)
        self.waiting: set[int] = set()
        self.gains: dict[int, float] = {}
        self.passed: list[int] | None = None  # of those that wait, best first; None: undecided


class Ladder:
    """What :func:`to_resume` knows of all outcomes; a rung is decided again only after a change
    there.
    """

    def __init__(self, config: StudyConfig) -> None:
        self._config = config
        self._costs = [name for name in config.objectives if name != "psnr"]
        rungs = config.protocol.rungs
        # At the first of several rungs most networks have hardly learned, so that only dominated
        # candidates are stopped.
        first = rungs[:1] if len(rungs) > 1 else ()
        self._rungs = {rung: _Rung(1.0 if rung in first else REDUCTION) for rung in rungs}

    def note(self, number: int, evaluation: Evaluation) -> None:
        """Take in the latest outcome of a candidate."""
        # A candidate that diverged after the rung is not compared with.
        if evaluation.status not in ("ok", "stopped"):
            self.drop(number)
            return
        costs = [float(getattr(evaluation, name)) for name in self._costs]
        last = evaluation.rungs[-1][0] if evaluation.status == "stopped" else None
        for at, psnr in evaluation.rungs:
            if (rung := self._rungs.get(at)) is None:
                continue
            if rung.standings.put(number, psnr, *costs):
                rung.passed = None
            if at == last:
                rung.waiting.add(number)
            elif number in rung.waiting:
                rung.waiting.discard(number)
                if rung.passed is not None:
                    rung.passed = [n for n in rung.passed if n != number]
            if useful(self._config, evaluation) and psnr > self._config.floor:
                rung.gains[number], rung.passed = evaluation.psnr - psnr, None

    def drop(self, number: int) -> None:
        """Forget a candidate."""
        for rung in self._rungs.values():
            if rung.standings.drop(number):
                rung.passed = None
                rung.waiting.discard(number)
                rung.gains.pop(number, None)

    def to_resume(self, running: Container[int]) -> int | None:
        """The number of the stopped candidate to train further, or None."""
        for rung in reversed(self._rungs.values()):
            if rung.passed is None:
                rung.passed = self._decided(rung)
            for number in rung.passed:
                if number not in running:
                    return number
        return None

    def _decided(self, rung: _Rung) -> list[int]:
        if not rung.waiting or not self._config.early_stopping:
            return sorted(rung.waiting)
        noise = rung_noise(list(rung.gains.values()), self._config.protocol.noise)
        worth = np.flatnonzero(_worth_more(rung.standings, noise, rung.reduction))
        best_first = worth[np.argsort(-rung.standings.psnr[worth], kind="stable")]
        passed = rung.standings.numbers[best_first].tolist()
        return [number for number in passed if number in rung.waiting]


def worth_more(
    psnr: ArrayLike, costs: ArrayLike, noise: float, reduction: float
) -> NDArray[np.bool_]:
    """Which of the n candidates at a rung should be trained further.

    ``psnr`` (n) in dB at this rung; ``costs`` (n, d) exact, smaller is better; ``noise`` is a
    standard deviation in dB, see :func:`rung_noise`. A candidate is stopped

    - if it is dominated: another one costs no more and is ahead by more than ``BEYOND_NOISE``
      standard deviations, so that further training is unlikely to reverse their order;
    - or if it is not among the best ⌈n / ``reduction``⌉ by non-dominated rank, and within a rank
      by crowding distance, the largest first.
    """
    quality = np.asarray(psnr, dtype=np.float64)
    prices = np.asarray(costs, dtype=np.float64).reshape(len(quality), -1)
    standings = Standings()
    for number, (decibels, row) in enumerate(zip(quality, prices, strict=True)):
        standings.put(number, decibels, *row)
    return _worth_more(standings, noise, reduction)


def _worth_more(standings: Standings, noise: float, reduction: float) -> NDArray[np.bool_]:
    number = math.ceil(len(standings) / reduction)
    return standings.best(number) & ~(standings.behind > BEYOND_NOISE * noise)


def rung_noise(gains: Sequence[float], noise: float) -> float:
    """The standard deviation (dB) of PSNR at a rung as a prediction of PSNR at the end.

    It is the robust spread of ``gains``, the dB that candidates trained to the end won from the
    rung on, and at least ``ON_THE_WAY`` · ``noise``, the noise between seeds. With fewer than
    FEWEST_GAINS gains it is the latter.
    """
    return max(ON_THE_WAY * noise, spread(gains) if len(gains) >= FEWEST_GAINS else 0.0)
