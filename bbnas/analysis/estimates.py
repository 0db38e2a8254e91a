"""The PSNR of the candidates of a study, estimated from all of its runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bbnas.analysis.surrogate import Array, Beliefs, Surrogate, discrepancy, runs_of
from bbnas.evaluation import Evaluation
from bbnas.protocol import Protocol
from bbnas.study import Candidate, StudyConfig

# Standard errors on each side of a normal estimate's 95 % confidence interval.
Z95 = 1.96


@dataclass(frozen=True)
class Estimates:
    """The posterior PSNR (dB) of ``candidates``.

    ``confirmed`` marks candidates that a longer protocol trained again: their differences are
    those under longer training.
    """

    candidates: tuple[Candidate, ...]
    psnr: Array
    covariance: Array
    confirmed: tuple[bool, ...]

    @property
    def deviation(self) -> Array:
        """The standard error (dB) of each."""
        return Beliefs(self.psnr, self.covariance).deviation

    def error(self, i: int, j: int) -> float:
        """The standard error (dB) of the difference between two of them."""
        return Beliefs(self.psnr, self.covariance).error(i, j)

    def place(self, candidate: Candidate) -> int | None:
        """Where ``candidate`` stands among them, None if it is not one of them."""
        numbers = [c.number for c in self.candidates]
        return numbers.index(candidate.number) if candidate.number in numbers else None

    def of(self, candidate: Candidate) -> tuple[float, float] | None:
        """The PSNR of ``candidate`` and its standard error (dB), None if it is not estimated."""
        i = self.place(candidate)
        if i is None:
            return None
        return float(self.psnr[i]), math.sqrt(max(float(self.covariance[i, i]), 0.0))

    def only(self, kept: Sequence[int]) -> Estimates:
        """The estimates of some of the candidates."""
        return Estimates(
            tuple(self.candidates[i] for i in kept),
            self.psnr[list(kept)],
            self.covariance[np.ix_(kept, kept)],
            tuple(self.confirmed[i] for i in kept),
        )


def estimate(
    config: StudyConfig,
    candidates: Sequence[Candidate],
    everything: Iterable[Evaluation],
    confirmations: Sequence[Evaluation] = (),
    surrogate: Surrogate | None = None,
) -> Estimates:
    """Estimates of ``candidates`` from ``everything`` evaluated under the study's protocol and
    from ``confirmations`` under others; ``surrogate`` is conditioned on ``everything``.
    """
    if surrogate is None:
        surrogate = Surrogate(runs_of(config, list(everything)), config.protocol.noise)
    beliefs = surrogate.believes([c.evaluation.design for c in candidates])
    mean, covariance = beliefs.mean.copy(), beliefs.covariance.copy()
    confirmed = [False] * len(candidates)
    place = {c.evaluation.design.key: i for i, c in enumerate(candidates)}
    broken = {e.design.key for e in confirmations if not e.feasible}
    for table in confirmations_by_protocol(confirmations).values():
        own = [place[key] for key in table if key in place and key not in broken]
        rows = [table[candidates[i].evaluation.design.key] for i in own]
        for i in own:  # a design that diverges under longer training is not confirmed
            confirmed[i] = len(own) > 1 or bool(broken)
        if len(own) < 2:  # nothing to compare with
            continue
        # A seed shifts all designs alike, so only seeds that all of them have are compared.
        seeds = sorted(set.intersection(*map(set, rows)))
        if not seeds:
            continue
        psnr = np.array([np.mean([row[seed] for seed in seeds]) for row in rows])
        noise = _paired_noise(rows) or config.protocol.noise
        variance = np.full(len(rows), noise**2 / len(seeds))
        seen = np.ix_(own, own)
        prior = covariance[seen] + discrepancy([candidates[i].evaluation.design for i in own])
        mean[own], covariance[seen] = _update(mean[own], prior, psnr, variance)
    return Estimates(tuple(candidates), mean, covariance, tuple(confirmed))


def _update(mean: Array, prior: Array, psnr: Array, variance: Array) -> tuple[Array, Array]:
    """The posterior after observing ``psnr`` under another protocol.

    psnr = PSNR under the study's protocol + shift + noise. The shift is common to all designs and
    has a flat prior (universal kriging), so only differences between designs are learned.
    """
    inverse = np.linalg.inv(prior + np.diag(variance))
    ones = np.ones(len(mean))
    weight = float(ones @ inverse @ ones)
    shift = float(ones @ inverse @ (psnr - mean)) / weight
    gain = prior @ inverse
    moved = gain @ ones  # the derivative of the mean by the shift
    return (
        mean + gain @ (psnr - mean - shift),
        prior - gain @ prior + np.outer(moved, moved) / weight,
    )


def confirmations_by_protocol(
    confirmations: Sequence[Evaluation],
) -> dict[Protocol, dict[str, dict[int, float]]]:
    """For each protocol but its seed, PSNR (dB) by the key of the design and by seed."""
    tables: dict[Protocol, dict[str, dict[int, float]]] = {}
    for e in confirmations:
        if e.feasible:
            table = tables.setdefault(e.protocol.with_seed(0), {})
            table.setdefault(e.design.key, {})[e.protocol.seed] = e.psnr
    return tables


def _paired_noise(rows: Sequence[dict[int, float]]) -> float:
    """The residual standard deviation (dB) of runs after design and seed effects; 0 with too few
    runs to estimate it.
    """
    seeds = sorted(set.intersection(*(set(row) for row in rows)))
    freedom = (len(rows) - 1) * (len(seeds) - 1)
    if freedom < 1:
        return 0.0
    table = np.array([[row[seed] for seed in seeds] for row in rows])
    rest = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    return math.sqrt(float((rest**2).sum()) / freedom)
