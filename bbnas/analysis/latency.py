"""Counted operations compared with measured latency."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bbnas.study import Candidate, Study


@dataclass(frozen=True)
class TimeAgreement:
    """Rank agreement of OPs (paper's convention) and latency over the designs of a study.

    ``pairs_reversed`` is the share of pairs in which the design with fewer OPs takes longer, of
    the pairs that differ in both. ``slowest`` and ``fastest`` have the largest and the smallest
    ratio (``*_factor``) of latency to that predicted from OPs by a log-log linear fit.
    """

    designs: int
    spearman: float
    kendall: float
    pairs_reversed: float
    slowest: Candidate
    slowest_factor: float
    fastest: Candidate
    fastest_factor: float


def timed(study: Study) -> list[Candidate]:
    """The candidates whose latency is known."""
    return [c for c in study.candidates if math.isfinite(c.evaluation.latency)]


def time_agreement(study: Study) -> TimeAgreement | None:
    """None with fewer than three different OPs or two different latencies."""
    from scipy.stats import kendalltau, spearmanr

    found = timed(study)
    ops = np.array([c.evaluation.ops for c in found])
    seconds = np.array([c.evaluation.latency for c in found])
    if len(set(ops)) < 3 or len(set(seconds)) < 2:
        return None
    signs = np.sign(np.subtract.outer(ops, ops) * np.subtract.outer(seconds, seconds))
    slope, start = np.polyfit(np.log(ops), np.log(seconds), 1)
    factors = seconds / np.exp(start + slope * np.log(ops))
    slowest, fastest = int(factors.argmax()), int(factors.argmin())
    return TimeAgreement(
        designs=len(found),
        spearman=float(spearmanr(ops, seconds).statistic),
        kendall=float(kendalltau(ops, seconds).statistic),
        pairs_reversed=float((signs < 0).sum() / max(1, (signs != 0).sum())),
        slowest=found[slowest],
        slowest_factor=float(factors[slowest]),
        fastest=found[fastest],
        fastest_factor=float(factors[fastest]),
    )
