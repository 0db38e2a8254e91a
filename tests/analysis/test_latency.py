from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from bbnas.analysis import frame, front, hypervolume_curve, recommend, time_agreement
from bbnas.analysis.findings import findings
from bbnas.analysis.reasons import reasons
from bbnas.evaluation import LatencySetting
from bbnas.study import Study

HERE = LatencySetting((320, 180), 1, "avx2", "a processor", "abc")


def timed(study: Study, seconds: Callable[[float, int], float]) -> Study:
    """``seconds`` of (OPs, trial number) as the latency of each candidate."""
    candidates = tuple(
        replace(c, evaluation=replace(c.evaluation, latency=seconds(c.evaluation.ops, c.number)))
        for c in study.candidates
    )
    return replace(study, candidates=candidates, latency=HERE)


def test_agreement_against_a_brute_force(synthetic_study: Callable[..., Study]) -> None:
    noise = np.random.default_rng(0).lognormal(0, 0.7, 60)
    study = timed(synthetic_study(60), lambda ops, n: ops**0.5 * 1e-6 * float(noise[n]))
    found = time_agreement(study)
    assert found is not None
    points = [(c.evaluation.ops, c.evaluation.latency) for c in study.candidates]
    signs = [np.sign((a[0] - b[0]) * (a[1] - b[1])) for a, b in combinations(points, 2)]
    assert found.pairs_reversed == pytest.approx(signs.count(-1) / np.count_nonzero(signs))
    ranks = [np.unique(column, return_inverse=True)[1] for column in zip(*points, strict=True)]
    mean_ranks = []
    for rank in ranks:
        order = np.argsort(np.argsort(rank, kind="stable"), kind="stable").astype(float)
        mean_ranks.append([order[rank == r].mean() for r in rank])
    assert found.spearman == pytest.approx(np.corrcoef(mean_ranks)[0, 1])
    ops, seconds = (np.log(column) for column in zip(*points, strict=True))
    design = np.stack([np.ones_like(ops), ops], axis=1)
    rest = seconds - design @ np.linalg.lstsq(design, seconds, rcond=None)[0]
    assert found.slowest == study.candidates[int(rest.argmax())]
    assert found.fastest == study.candidates[int(rest.argmin())]
    assert found.slowest_factor == pytest.approx(np.exp(rest.max()))
    assert found.fastest_factor == pytest.approx(np.exp(rest.min()))


def test_time_that_follows_operations_agrees_wholly(
    synthetic_study: Callable[..., Study],
) -> None:
    found = time_agreement(timed(synthetic_study(40), lambda ops, n: ops * 1e-11))
    assert found is not None
    assert (found.spearman, found.kendall) == (pytest.approx(1), pytest.approx(1))
    assert found.pairs_reversed == 0
    assert found.slowest_factor == pytest.approx(1)


def test_nothing_is_told_of_nothing(synthetic_study: Callable[..., Study]) -> None:
    assert time_agreement(synthetic_study(20)) is None
    assert time_agreement(timed(synthetic_study(20), lambda ops, n: 1.0)) is None


def test_latency_counts_in_front_knee_and_hypervolume(
    synthetic_study: Callable[..., Study],
) -> None:
    plain = synthetic_study(60, objectives=("psnr", "ops"))
    study = timed(
        synthetic_study(60, objectives=("psnr", "ops", "latency")), lambda ops, n: 1e-3 * (1 + n)
    )
    assert {c.number for c in front(plain)} < {c.number for c in front(study)}
    volume = hypervolume_curve(study)
    assert volume is not None
    assert volume.box.words().endswith("ms")
    chosen = recommend(study)
    assert any(" ms" in reason for reason in reasons(study, chosen, findings(study)))
    fast = recommend(study, "best-psnr", max_latency=0.01)
    assert fast.candidate.evaluation.latency <= 0.01
    assert frame(study)["latency"].notna().all()
