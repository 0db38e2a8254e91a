"""A Gaussian process over the choices of a design: PSNR estimated from all runs of a study.

A single run has the noise of its seed, and the best of many runs is biased upwards. Designs that
share choices have correlated PSNR, so every run also informs the estimates of its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from bbnas.analysis.pareto import useful
from bbnas.design import ABLATED, AXES, Design
from bbnas.evaluation import Bar, Outcome
from bbnas.tasks import Part
from bbnas.threads import one_blas_thread

Array = NDArray[np.float64]

_CHOSEN = {name: axis for name, axis in AXES.items() if name not in ("binarize", *ABLATED)}
# The choices whose values are names, with their values, and those whose values form a scale.
_NAMES: dict[str, tuple[Any, ...]] = {
    name: get_args(Design.model_fields[name].annotation) or (False, True)
    for name, axis in _CHOSEN.items()
    if axis.measure is None
}
_MEASURES = {name: axis.measure for name, axis in _CHOSEN.items() if axis.measure is not None}
# s in dB of the warping best − s·ln(1 + (best − PSNR)/s). It is linear near the best PSNR and
# compresses low ones, so that collapsed designs do not dominate the fit.
_SCALE = 0.5
# Broad normal priors (mean, standard deviation) of the logarithms of the amplitude (dB), of the
# noise relative to the protocol's, and of the rates.
_AMPLITUDE, _NOISE, _RATE = (math.log(0.3), 1.0), (0.0, 0.5), (math.log(0.2), 1.5)
# Completed candidates needed to estimate the gain from a rung to the end.
FEWEST_GAINS = 5
# Prior of the discrepancy between the proxy and training twelve times longer: its standard
# deviation (dB) and its rate in the kernel. They maximise the likelihood over the 10 designs of
# which both were measured; one differing choice then gives a standard deviation of about 0.09 dB.
_SHIFT, _SHIFT_RATE = 0.2, 0.1


@dataclass(frozen=True)
class Runs:
    """Observations: designs, their PSNR (dB, n), and the standard deviation (dB, n) of their error
    beyond seed noise.
    """

    designs: tuple[Design, ...]
    psnr: Array
    doubt: Array

    def __len__(self) -> int:
        return len(self.designs)

    def part(self, rows: NDArray[np.intp]) -> Runs:
        """Those in ``rows``."""
        return Runs(tuple(self.designs[i] for i in rows), self.psnr[rows], self.doubt[rows])


def runs_of(config: Bar, evaluations: Sequence[Outcome]) -> Runs:
    """The evaluations above the floor. A design stopped at a rung above the floor counts as well,
    with the median gain of completed designs from that rung added to its PSNR.
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
    """``runs_of`` and the designs at or below the floor, which a search has to avoid.

    A design stopped at or below the floor is given the median final PSNR of the designs that were
    trained on from there, if at least FEWEST_GAINS were.
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
    """Gains in PSNR (dB) from ``rung`` to the end, of useful designs already above the floor at
    that rung.
    """
    return [
        e.psnr - there
        for e in evaluations
        if useful(config, e) and (there := dict(e.rungs).get(rung, -math.inf)) > config.floor
    ]


def spread(values: Sequence[float]) -> float:
    """A robust standard deviation: 1.4826 times the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(np.asarray(values) - np.median(values))))


@dataclass(frozen=True)
class Beliefs:
    """The posterior of the PSNR (dB) of n designs: ``mean`` (n) and ``covariance`` (n, n)."""

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
    """A Gaussian process conditioned on ``runs``; ``noise`` (dB) is the expected seed noise.

    The kernel is a²·exp(−Σ_f r_f·d_f): d_f is 1 where two designs differ in the choice f, and for
    k, width, depth and convolutions per residual the doublings between them. Amplitude a, rates
    r_f and the noise are the most probable ones given the runs and broad priors (MAP; Rasmussen &
    Williams 2006, §5.4), or ``theta``, those of an earlier surrogate of the same study: the
    logarithms of a, of the noise relative to ``noise``, and of the rates of FEATURES.
    """

    FEATURES = (*map(str, Part), *_NAMES, *_MEASURES)

    @one_blas_thread
    def __init__(self, runs: Runs, noise: float, theta: Array | None = None) -> None:
        self._runs = runs
        self._features = _features(runs.designs)
        self._best = float(runs.psnr.max())
        warped = self._warp(runs.psnr)
        self._center = float(np.median(warped))
        y = warped - self._center
        noise = max(noise, 1e-3)
        if theta is None:
            theta = _fit(y, _distances(self._features, self._features), noise, runs.doubt)
        self.theta = theta
        kernel = _covariance(theta, self._features, self._features)
        kernel[np.diag_indices_from(kernel)] += _variance(theta, noise, runs.doubt)
        self._factor = np.linalg.cholesky(kernel)
        self._weights = solve_triangular(self._factor, y, lower=True, check_finite=False)

    @one_blas_thread
    def believes(self, designs: Sequence[Design]) -> Beliefs:
        """The joint posterior of ``designs``, evaluated or not."""
        asked = _features(designs)
        mean, slope, half = self._given(asked)
        covariance = _covariance(self.theta, asked, asked) - half.T @ half
        return Beliefs(mean, slope[:, None] * covariance * slope[None, :])

    @one_blas_thread
    def expects(self, designs: Sequence[Design]) -> tuple[Array, Array]:
        """The mean and the standard error (dB) of each of many ``designs``."""
        mean, slope, half = self._given(_features(designs))
        variance = math.exp(2 * self.theta[0]) - (half**2).sum(axis=0)
        return mean, slope * np.sqrt(np.maximum(variance, 0.0))

    def _given(self, asked: Array) -> tuple[Array, Array, Array]:
        """The mean (dB), the derivative of PSNR by warped PSNR there, and the factor of the
        covariance that the runs explain.
        """
        cross = _covariance(self.theta, self._features, asked)
        half = solve_triangular(self._factor, cross, lower=True, check_finite=False)
        drop = (self._best - self._center - half.T @ self._weights) / _SCALE
        return self._best - _SCALE * np.expm1(drop), np.exp(drop), half

    def _warp(self, psnr: Array) -> Array:
        return self._best - _SCALE * np.log1p((self._best - psnr) / _SCALE)


def discrepancy(designs: Sequence[Design]) -> Array:
    """The covariance (n, n) in dB² of the change that longer training makes to ``designs``.

    The change common to all is removed. Designs that share choices change together, because some
    choices learn later than others (Kennedy & O'Hagan 2000).
    """
    features = _features(designs)
    shift = _SHIFT**2 * np.exp(-_SHIFT_RATE * _distances(features, features).sum(axis=0))
    rows = shift - shift.mean(axis=0)
    centred: Array = rows - rows.mean(axis=1, keepdims=True)
    return centred


def _features(designs: Sequence[Design]) -> Array:
    """(n, features); those of a categorical choice are indices, see _IS_NAME."""
    return np.array([_row(design) for design in designs], dtype=np.float64)


@lru_cache(maxsize=1 << 16)
def _row(design: Design) -> tuple[float, ...]:
    return (
        *(float(design.binary(part)) for part in Part),
        *(float(values.index(getattr(design, name))) for name, values in _NAMES.items()),
        *(measure(design) for measure in _MEASURES.values()),
    )


_IS_NAME = np.array([name not in _MEASURES for name in Surrogate.FEATURES])


def _distances(a: Array, b: Array) -> Array:
    """(features, n, m)."""
    gaps = np.abs(a.T[:, :, None] - b.T[:, None, :])
    return np.where(_IS_NAME[:, None, None], np.minimum(gaps, 1.0), gaps)


def _covariance(theta: Array, a: Array, b: Array) -> Array:
    """The kernel (n, m) between designs by their features, without their distances one by one."""
    rates = np.exp(theta[2:])
    names, measures = rates[_IS_NAME], rates[~_IS_NAME]
    # Many designs differ in their measures alone.
    one, of_a = np.unique(a[:, _IS_NAME], axis=0, return_inverse=True)
    two, of_b = np.unique(b[:, _IS_NAME], axis=0, return_inverse=True)
    differing = (cdist(one, two, "hamming", w=names) * names.sum())[np.ix_(of_a, of_b)]
    apart = cdist(a[:, ~_IS_NAME], b[:, ~_IS_NAME], "cityblock", w=measures)
    covariance: Array = np.exp(2 * theta[0] - differing - apart)
    return covariance


def _kernel(theta: Array, distances: Array) -> Array:
    kernel: Array = np.exp(2 * theta[0] - np.tensordot(np.exp(theta[2:]), distances, 1))
    return kernel


def _variance(theta: Array, noise: float, doubt: Array) -> Array:
    variance: Array = (math.exp(theta[1]) * noise) ** 2 + doubt**2
    return variance


def _fit(y: Array, distances: Array, noise: float, doubt: Array) -> Array:
    """The logarithms of amplitude, relative noise and rates of the highest posterior density."""
    priors = [_AMPLITUDE, _NOISE] + [_RATE] * len(distances)
    centre, width = np.array(priors).T
    # A feature in which no two runs differ has no information on its rate.
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
