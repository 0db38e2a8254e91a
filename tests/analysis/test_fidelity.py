from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bbnas.analysis import agreement, seed_noise
from bbnas.protocol import PROTOCOLS

PROXY = PROTOCOLS["proxy"]


def other_seed(evaluation, seed, psnr):
    return replace(evaluation, psnr=psnr, protocol=PROXY.model_copy(update={"seed": seed}))


def test_seed_noise_is_the_pooled_standard_deviation(synthetic_study):
    study = synthetic_study(10, diverged=0)
    first, second = (c.evaluation for c in study.candidates[:2])
    repeats = [
        other_seed(first, 1, first.psnr + 0.1),
        other_seed(first, 2, first.psnr - 0.1),
        other_seed(second, 1, second.psnr + 0.3),
        first,  # the study's own evaluation again is no new seed
        replace(first, psnr=99.0, protocol=PROTOCOLS["paper"]),
    ]
    noise = seed_noise(study, repeats)
    a, b = np.array([0.0, 0.1, -0.1]), np.array([0.0, 0.3])
    pooled = np.sqrt((2 * a.var(ddof=1) + b.var(ddof=1)) / 3)
    assert noise.sd == pytest.approx(pooled)
    assert (noise.designs, noise.evaluations) == (2, 5)


def test_no_repeats_no_noise(synthetic_study):
    assert seed_noise(synthetic_study(10), []) is None


def test_agreement_is_kendall_s_tau_over_shared_designs(synthetic_study):
    study = synthetic_study(8, diverged=0, references=False)
    ordered = sorted(study.candidates, key=lambda c: c.evaluation.psnr)
    ranks = [0, 2, 1, 3, 4, 5]  # one swap of 15 pairs
    longer = [
        replace(c.evaluation, psnr=27.0 + rank, protocol=PROTOCOLS["paper"])
        for c, rank in zip(ordered, ranks, strict=False)
    ]
    (found,) = agreement(study, longer)
    assert found.tau == pytest.approx((14 - 1) / 15)
    assert found.designs == 6
    assert found.protocol.name == "paper"
    assert agreement(study, longer[:4]) == []
