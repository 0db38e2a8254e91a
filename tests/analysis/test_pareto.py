from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bbnas.analysis import front, non_dominated
from bbnas.errors import UserError


def brute_force(points):
    return [
        not any(
            all(a <= b for a, b in zip(other, point, strict=True))
            and any(a < b for a, b in zip(other, point, strict=True))
            for other in points
        )
        for point in points
    ]


# Few distinct values: ties and equal rows in most examples.
@given(
    st.integers(1, 3).flatmap(
        lambda d: st.integers(0, 12).flatmap(
            lambda n: arrays(np.float64, (n, d), elements=st.integers(0, 4).map(float))
        )
    )
)
def test_non_dominated_is_its_definition(points):
    assert list(non_dominated(points)) == brute_force(points.tolist())


def test_equal_points_keep_each_other():
    assert list(non_dominated([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])) == [True, True, False]


def test_front_is_feasible_unbeaten_and_sorted_by_ops(synthetic_study):
    study = synthetic_study(300, diverged=0.2)
    found = front(study)
    feasible = [c for c in study.candidates if c.evaluation.feasible]
    points = [(-c.evaluation.psnr, c.evaluation.ops, c.evaluation.params) for c in feasible]
    expected = {c.number for c, keep in zip(feasible, brute_force(points), strict=True) if keep}
    assert {c.number for c in found} == expected
    assert [c.evaluation.ops for c in found] == sorted(c.evaluation.ops for c in found)


def test_front_follows_the_objectives(synthetic_study):
    study = synthetic_study(100)
    best = max(
        (c for c in study.candidates if c.evaluation.feasible), key=lambda c: c.evaluation.psnr
    )
    assert front(study, ["psnr"]) == [best]
    by_study = synthetic_study(100, objectives=("psnr", "ops"))
    assert front(by_study) == front(study, ["psnr", "ops"])
    with pytest.raises(UserError, match=r"unknown objective 'energy'.*psnr, ops, params, latency"):
        front(study, ["energy"])


def test_baselines_neither_enter_the_front_nor_push_others_off(synthetic_study):
    study = synthetic_study(50, baselines=("srresnet", "bbcu-l", "bbcu-m"), noise=0)
    assert not any(c.baseline for c in front(study))
    with_them = front(study, baselines=True)
    assert any(c.baseline for c in with_them)


def test_front_of_nothing(synthetic_study):
    assert front(synthetic_study(5, diverged=1.0)) == []


def test_ten_thousand_points_take_less_than_a_second():
    points = np.random.default_rng(0).random((10_000, 3))
    start = time.perf_counter()
    assert 50 < non_dominated(points).sum() < 1000
    assert time.perf_counter() - start < 1.0
