"""What all runs of a study together say of a design: a Gaussian process over its choices.

One run tells how good a design is to within the noise of one run, and the best of many runs is
the luckiest. Designs that share choices share what those are worth, so that every run tells
something of its neighbours too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bbnas.analysis.pareto import useful
from bbnas.design import Activation, ActivationPosition, Design, Estimator, Method, Norm, k_star
from bbnas.evaluation import Bar, Outcome
from bbnas.tasks import Part

Array = NDArray[np.float64]

_CATEGORIES = {
    "method": get_args(Method),
    "norm": get_args(Norm),
    "activation": get_args(Activation),
    "activation_position": get_args(ActivationPosition),
    "estimator": get_args(Estimator),
}
_MEASURES = ("k_ratio", "convs_per_residual", "width", "depth")
# A network without residual connections is as far from one with them as so long a span.
_NO_RESIDUAL = 64
# PSNR is seen through best − s·ln(1 + (best − PSNR)/s): near the best as it is, and how deep a
# bad design falls does not blur what is known of good ones.
_SCALE = 0.5
# Broad normal priors of the logarithms of the amplitude (dB), of the noise relative to the one
# expected, and of the rates: (mean, standard deviation). What few runs leave open stays moderate.
_AMPLITUDE, _NOISE, _RATE = (math.log(0.3), 1.0), (0.0, 0.5), (math.log(0.2), 1.5)
# So many candidates trained to the end tell what the last iterations are worth.
FEWEST_GAINS = 5
# By how much training twelve times longer moves designs against each other (dB), and how soon
# that differs between designs: of the 10 near which both were known, the likelihood is highest
# around these. A choice sets designs some 0.09 dB apart that the proxy does not tell.
_SHIFT, _SHIFT_RATE = 0.2, 0.1


@dataclass(frozen=True)
class Runs:
    """What was seen: designs, their PSNR (dB, n) and by how much more than the noise between
    seeds it may be off (standard deviations in dB, n).
    """

    designs: tuple[Design, ...]
    psnr: Array
    doubt: Array

    def __len__(self) -> int:
        return len(self.designs)


def runs_of(config: Bar, evaluations: Sequence[Outcome]) -> Runs:
    """The evaluations that beat the network's global skip; those stopped at a rung where they beat
    it as well, with what those trained to the end gained from there on, and the doubt of that.
    """
    ended = [e for e in evaluations if useful(config, e)]
    seen = [(e.design, e.psnr, 0.0) for e in ended]
    for rung in config.protocol.rungs:
        gains = gains_from(config, rung, evaluations)
        if len(gains) < FEWEST_GAINS:
            continue
        gain, doubt = float(np.median(gains)), spread(gains)
        seen += [
            (e.design, e.rungs[-1][1] + gain, doubt)
            for e in evaluations
            if e.status == "stopped" and e.rungs[-1][0] == rung and e.rungs[-1][1] > config.floor
        ]
    columns = list(zip(*seen, strict=True)) or [(), (), ()]
    return Runs(columns[0], np.array(columns[1], float), np.array(columns[2], float))


def all_runs(config: Bar, evaluations: Sequence[Outcome]) -> Runs:
    """``runs_of``, and beside them what learned nothing, level with the global skip: a search must
    know where not to look.

    What was stopped before it had learned anything is taken to end as those did that were trained
    on from there, if there are enough of them to tell.
    """
    runs, floor = runs_of(config, evaluations), config.floor
    if not math.isfinite(floor):
        return runs

    def end(e: Outcome) -> float:
        return max(e.psnr, floor) if e.feasible else floor

    ended = [e for e in evaluations if e.feasible or e.status == "diverged"]
    lost = [(e.design, floor, 0.0) for e in ended if not useful(config, e)]
    for rung in config.protocol.rungs:
        late = [end(e) for e in ended if dict(e.rungs).get(rung, math.inf) <= floor]
        if len(late) < FEWEST_GAINS:
            continue
        middle, doubt = float(np.median(late)), float(np.std(late, ddof=1))
        lost += [
            (e.design, middle, doubt)
            for e in evaluations
            if e.status == "stopped" and e.rungs[-1][0] == rung and e.rungs[-1][1] <= floor
        ]
    designs, psnr, doubts = zip(*lost, strict=True) if lost else ((), (), ())
    return Runs(
        (*runs.designs, *designs),
        np.concatenate([runs.psnr, np.array(psnr, float)]),
        np.concatenate([runs.doubt, np.array(doubts, float)]),
    )


def gains_from(config: Bar, rung: int, evaluations: Iterable[Outcome]) -> list[float]:
    """What (dB) those that were trained to a useful end won from ``rung`` on, where they beat the
    global skip at it: what only starts later says nothing of what those win that are under way.
    """
    return [
        e.psnr - there
        for e in evaluations
        if useful(config, e) and (there := dict(e.rungs).get(rung, -math.inf)) > config.floor
    ]


def spread(values: Sequence[float]) -> float:
    """A standard deviation that a few odd values do not change: 1.4826 times the median absolute
    deviation (equal to it for a normal distribution).
    """
    return 1.4826 * float(np.median(np.abs(np.asarray(values) - np.median(values))))


@dataclass(frozen=True)
class Beliefs:
    """PSNR (dB) of some designs, as all runs together tell it: ``mean`` (n), ``covariance``."""

    mean: Array
    covariance: Array

    @property
    def deviation(self) -> Array:
        """The standard error (dB) of each."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    def error(self, i: int, j: int) -> float:
        """The standard error (dB) of the difference between two of the designs."""
        c = self.covariance
        return math.sqrt(max(float(c[i, i] + c[j, j] - 2 * c[i, j]), 0.0))


class Surrogate:
    """A Gaussian process that has seen ``runs``; ``noise`` (dB) between seeds is expected.

    The kernel is a²·exp(−Σ_f r_f·d_f): d_f is 1 where two designs differ in the choice f, and for
    k, width, depth and convolutions per residual the doublings between them. Amplitude a, rates
    r_f and the noise are the most probable ones given the runs and broad priors (MAP; Rasmussen &
    Williams 2006, §5.4), or ``theta``, those of an earlier surrogate of the same study: the
    logarithms of a, of the noise relative to ``noise``, and of the rates of FEATURES.
    """

    FEATURES = (*map(str, Part), "weight_scale", *_CATEGORIES, *_MEASURES)

    def __init__(self, runs: Runs, noise: float, theta: Array | None = None) -> None:
        self._runs = runs
        self._features = _features(runs.designs)
        self._best = float(runs.psnr.max())
        warped = self._warp(runs.psnr)
        self._center = float(np.median(warped))
        y = warped - self._center
        own = _distances(self._features, self._features)
        noise = max(noise, 1e-3)
        self.theta = _fit(y, own, noise, runs.doubt) if theta is None else theta
        kernel = _kernel(self.theta, own) + np.diag(_variance(self.theta, noise, runs.doubt))
        self._factor = np.linalg.cholesky(kernel)
        self._weights = np.linalg.solve(self._factor, y)

    def believes(self, designs: Sequence[Design]) -> Beliefs:
        """What is known of ``designs``, seen or not, together."""
        asked = _features(designs)
        mean, slope, half = self._given(asked)
        covariance = _kernel(self.theta, _distances(asked, asked)) - half.T @ half
        return Beliefs(mean, slope[:, None] * covariance * slope[None, :])

    def expects(self, designs: Sequence[Design]) -> tuple[Array, Array]:
        """The mean and the standard error (dB) of each of many ``designs``."""
        mean, slope, half = self._given(_features(designs))
        variance = math.exp(2 * self.theta[0]) - (half**2).sum(axis=0)
        return mean, slope * np.sqrt(np.maximum(variance, 0.0))

    def _given(self, asked: Array) -> tuple[Array, Array, Array]:
        """The mean (dB), the dB that one of the warped scale stands for there, and the factor of
        what the runs take away from the covariance.
        """
        cross = _kernel(self.theta, _distances(self._features, asked))
        half = np.linalg.solve(self._factor, cross)
        drop = (self._best - self._center - half.T @ self._weights) / _SCALE
        return self._best - _SCALE * np.expm1(drop), np.exp(drop), half

    def _warp(self, psnr: Array) -> Array:
        return self._best - _SCALE * np.log1p((self._best - psnr) / _SCALE)


def discrepancy(designs: Sequence[Design]) -> Array:
    """The covariance (n, n) in dB² of what longer training changes between ``designs``.

    What it does to all alike is left out. Some choices learn later than others, so that designs
    which share choices move together (Kennedy & O'Hagan 2000).
    """
    features = _features(designs)
    shift = _SHIFT**2 * np.exp(-_SHIFT_RATE * _distances(features, features).sum(axis=0))
    rows = shift - shift.mean(axis=0)
    centred: Array = rows - rows.mean(axis=1, keepdims=True)
    return centred


def _features(designs: Sequence[Design]) -> Array:
    """(n, features); those of a choice are mere names, see _IS_NAME."""
    return np.array([_row(design) for design in designs], dtype=np.float64)


@lru_cache(maxsize=8192)
def _row(design: Design) -> tuple[float, ...]:
    return (
        *(float(design.binary(part)) for part in Part),
        float(design.weight_scale),
        *(float(values.index(getattr(design, axis))) for axis, values in _CATEGORIES.items()),
        math.log2(design.k / k_star(design.width)),
        math.log2(design.convs_per_residual or _NO_RESIDUAL),
        math.log2(design.width),
        math.log2(design.depth),
    )


_IS_NAME = np.array([name not in _MEASURES for name in Surrogate.FEATURES])


def _distances(a: Array, b: Array) -> Array:
    """(features, n, m)."""
    gaps = np.abs(a.T[:, :, None] - b.T[:, None, :])
    return np.where(_IS_NAME[:, None, None], np.minimum(gaps, 1.0), gaps)


def _kernel(theta: Array, distances: Array) -> Array:
    kernel: Array = np.exp(2 * theta[0] - np.tensordot(np.exp(theta[2:]), distances, 1))
    return kernel


def _variance(theta: Array, noise: float, doubt: Array) -> Array:
    variance: Array = (math.exp(theta[1]) * noise) ** 2 + doubt**2
    return variance


def _fit(y: Array, distances: Array, noise: float, doubt: Array) -> Array:
    """The logarithms of amplitude, relative noise and rates of the highest posterior density."""
    from scipy.linalg import cho_factor, cho_solve
    from scipy.optimize import minimize

    priors = [_AMPLITUDE, _NOISE] + [_RATE] * len(distances)
    centre, width = np.array(priors).T
    # What no two runs differ in tells nothing of its rate.
    live = np.flatnonzero(distances.any(axis=(1, 2)))
    unit = np.eye(len(y))

    def loss(theta: Array) -> tuple[float, Array]:
        signal = _kernel(theta, distances)
        try:
            factor = cho_factor(
                signal + np.diag(_variance(theta, noise, doubt)), lower=True, check_finite=False
            )
        except np.linalg.LinAlgError:
            return math.inf, np.zeros_like(theta)
        weights = cho_solve(factor, y)
        inner = np.outer(weights, weights) - cho_solve(factor, unit)
        shared = inner * signal
        off = (theta - centre) / width
        slopes = off / width
        slopes[0] -= shared.sum()
        slopes[1] -= (math.exp(theta[1]) * noise) ** 2 * np.trace(inner)
        for f in live:
            slopes[2 + f] += 0.5 * math.exp(theta[2 + f]) * np.sum(shared * distances[f])
        value = 0.5 * y @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
        return float(value), slopes

    bounds = [(c - 4 * w, c + 4 * w) for c, w in zip(centre, width, strict=True)]
    found = minimize(loss, centre, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x, dtype=np.float64)
