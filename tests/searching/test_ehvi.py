"""What to train next: expected gains against sampled hypervolumes, and searches that use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quick import SPACE, Formula, price, quick_search
from scipy.integrate import quad
from scipy.stats import norm

from bbnas.analysis import recommend
from bbnas.analysis.hypervolume import hypervolume
from bbnas.searching import ehvi
from bbnas.searching.ehvi import expected_gain, expected_improvement
from bbnas.space import Space


def test_the_expected_gain_is_that_of_hypervolume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ehvi, "PLACES", 40_000)
    rng = np.random.default_rng(0)
    reached = np.array([24.0, 25.0, 25.5])
    paid = np.array([[0.0, 0.2], [1.0, 1.0], [2.0, 1.5]])
    mean, deviation = np.array([24.6, 25.2, 25.4, 24.2]), np.array([0.3, 0.1, 0.5, 0.05])
    costs = np.array([[0.5, 0.3], [1.5, 0.8], [1.9, 1.9], [2.0, 2.0]])
    everything = np.concatenate([costs, paid])
    low = everything.min(axis=0)
    high = low + np.ptp(everything, axis=0) * (1 + ehvi.MARGIN)

    def volume(psnr: np.ndarray, cost: np.ndarray) -> float:
        return hypervolume(np.column_stack([psnr - 24.0, high - cost]))

    before = volume(reached, paid)
    sampled = []
    for m, d, c in zip(mean, deviation, costs, strict=True):
        draws = rng.normal(m, d, 2000)
        gains = [volume(np.append(reached, p), np.vstack([paid, c])) - before for p in draws]
        sampled.append(np.mean(gains) / np.prod(high - low))
    found = expected_gain(mean, deviation, costs, reached, paid, rng)
    assert found == pytest.approx(np.array(sampled), rel=0.1, abs=6e-4)


@given(st.floats(-1.0, 1.0), st.floats(0.01, 1.0))
def test_the_expected_improvement_is_its_integral(ahead: float, deviation: float) -> None:
    expected, _ = quad(lambda x: x * norm.pdf(x, ahead, deviation), 0, 9, points=[max(ahead, 0)])
    found = expected_improvement(np.array([ahead]), np.array([deviation]))
    assert found[0] == pytest.approx(expected, abs=1e-6)


def found_after(folder: Path, sampler: str, seed: int) -> float:
    """PSNR of the best design with body and upsampling 1-bit, less what is best."""
    options = {"refine": False} if sampler == "ehvi" else {}
    result = quick_search(
        folder, 40, sampler=sampler, seed=seed, sampler_options=options, name=f"{sampler}{seed}"
    )
    evaluate = Formula()
    designs = [d for d in Space.from_dict(SPACE).enumerate() if len(d.binarize) == 2]
    best = max(p for d in designs if not np.isnan(p := evaluate(d).psnr))
    mine = [
        c.evaluation.psnr
        for c in result.study.candidates
        if c.evaluation.feasible and len(c.evaluation.design.binarize) == 2
    ]
    return best - max(mine, default=0.0)


def test_it_finds_more_than_chance(tmp_path: Path) -> None:
    ours = [found_after(tmp_path, "ehvi", seed) for seed in range(3)]
    chance = [found_after(tmp_path, "random", seed) for seed in range(3)]
    assert np.mean(ours) < np.mean(chance)
    assert np.mean(ours) < 0.01


def test_proposals_keep_counted_limits(tmp_path: Path) -> None:
    limit = sorted(price(d).ops for d in Space.from_dict(SPACE).enumerate())[60]
    settings: dict[str, Any] = {"sampler_options": {"n_startup_trials": 5, "refine": False}}
    result = quick_search(tmp_path, 25, max_ops=limit, **settings)
    assert all(c.evaluation.ops <= limit for c in result.study.candidates)
    assert recommend(result.study).candidate.evaluation.ops <= limit
