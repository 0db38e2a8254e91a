from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bbnas.analysis import Box, hypervolume, hypervolume_curve


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_hypervolume_is_the_share_of_random_points_that_it_dominates(dimensions, seed):
    rng = np.random.default_rng(seed)
    points = rng.random((15, dimensions))
    samples = rng.random((100_000, dimensions))
    inside = np.zeros(len(samples), dtype=bool)
    for point in points:
        inside |= np.all(samples <= point, axis=1)
    assert hypervolume(points) == pytest.approx(inside.mean(), abs=0.006)  # 4 sigma


def test_hypervolume_by_hand():
    # 1×1×1, and 2×0.5×0.5 of which 1×0.5×0.5 lies in the first box.
    assert hypervolume([[1, 1, 1], [2, 0.5, 0.5]]) == pytest.approx(1 + 0.25)
    assert hypervolume([[2.0, 1.0], [1.0, 2.0]]) == pytest.approx(3.0)
    assert hypervolume([[-1.0, 2.0]]) == 0.0
    assert hypervolume(np.empty((0, 3))) == 0.0


boxes = st.integers(1, 8).flatmap(
    lambda n: arrays(np.float64, (n, 3), elements=st.floats(0.0, 1.0, width=32))
)


@given(boxes, st.permutations([0, 1, 2]))
def test_hypervolume_does_not_depend_on_order_duplicates_or_dominated_points(points, order):
    volume = hypervolume(points)
    assert hypervolume(points[::-1][:, order]) == pytest.approx(volume)
    assert hypervolume(np.concatenate([points, points * 0.5])) == pytest.approx(volume)


def test_curve_rises_to_the_volume_of_the_final_front(synthetic_study):
    from bbnas.analysis import front

    study = synthetic_study(120, baselines=("srresnet", "bbcu-m"))
    curve = hypervolume_curve(study)
    assert len(curve.volume) == 120
    assert curve.volume[:2] == (0.0, 0.0)  # baselines were not found by the search
    assert all(a <= b + 1e-12 for a, b in zip(curve.volume, curve.volume[1:], strict=False))
    final = hypervolume(curve.box.scaled([c.evaluation for c in front(study)]))
    assert curve.volume[-1] == pytest.approx(final)
    assert 0 < final <= 1.05**3
    assert curve.seconds[-1] == 4 * 119


def test_curve_at_every_length_is_that_of_the_shorter_study(synthetic_study):
    from dataclasses import replace

    study = synthetic_study(60, objectives=("psnr", "ops"))
    curve = hypervolume_curve(study)
    for length in (1, 13, 40):
        shorter = replace(study, candidates=study.candidates[:length])
        again = hypervolume_curve(shorter, curve.box)
        assert again.volume == pytest.approx(curve.volume[:length])


def test_box_is_linear_in_decibels_and_logarithmic_in_costs(evaluated):
    from bbnas.design import Design

    corner = [
        evaluated(Design(), psnr=psnr, ops=ops, params=1e6)
        for psnr, ops in ((26.0, 1e9), (27.0, 1e11))
    ]
    box = Box.of(corner, ("psnr", "ops", "params"))
    assert box.ideal == pytest.approx((27.0, -9.0, -6.0))
    assert box.reference == pytest.approx((25.95, -11.1, -6.1))
    assert box.scaled([evaluated(Design(), psnr=27.0, ops=1e9, params=1e6)]) == pytest.approx(1.0)
    middle = box.scaled([evaluated(Design(), psnr=26.5, ops=1e10, params=1e6)])[0]
    assert middle[:2] == pytest.approx([0.55 / 1.05, 1.1 / 2.1])
    assert box.words() == "25.95 dB, 126 G OPs, 1.26 M Params"


def test_no_curve_without_a_feasible_candidate(synthetic_study):
    assert hypervolume_curve(synthetic_study(4, diverged=1.0)) is None
