"""Which candidates are trained again: those among which the best is likely to be."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from bbnas.runs.confirm import promising

scores = st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=6)


def expected_best_of_two(m: float, n: float, variance: float) -> float:
    """Clark 1961, eq. 2: of two normals whose difference has this variance."""
    a = math.sqrt(variance)
    z = (m - n) / a
    return float(m * norm.cdf(z) + n * norm.cdf(-z) + a * norm.pdf(z))


@given(scores, st.integers(0, 99))
@settings(max_examples=30)
def test_each_adds_most_to_the_expected_best(score: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(0, 0.1, (len(score), len(score)))
    covariance = root @ root.T + 1e-4 * np.eye(len(score))
    first, second = promising(np.array(score), covariance, 2, rng)
    # What is sampled is within a few of its errors of what is so by formula.
    slack = 0.02
    assert score[first] > max(score) - slack

    def expected(j: int) -> float:
        c = covariance
        variance = c[first, first] + c[j, j] - 2 * c[first, j]
        return expected_best_of_two(score[first], score[j], variance)

    best = max(expected(j) for j in range(len(score)) if j != first)
    assert expected(second) > best - slack


def test_what_is_as_good_but_another_comes_before_what_is_the_same() -> None:
    score = np.array([0.10, 0.099, 0.08])
    alike = 0.01 * np.array([[1.0, 0.999, 0.0], [0.999, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert promising(score, alike, 2, np.random.default_rng(0)) == [0, 2]
    # Without doubt there is nothing but the order.
    assert promising(score, 1e-12 * np.eye(3), 2, np.random.default_rng(0)) == [0, 1]
    assert sorted(promising(score, alike, 9, np.random.default_rng(0))) == [0, 1, 2]
