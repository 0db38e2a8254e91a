from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bbnas.analysis import agreement, seed_noise
from bbnas.analysis.fidelity import fidelity
from bbnas.errors import UserError
from bbnas.protocol import PROTOCOLS
from bbnas.tasks import get_task

PROXY = PROTOCOLS["proxy"]


def other_seed(evaluation, seed, psnr):
    return replace(evaluation, psnr=psnr, protocol=PROXY.with_seed(seed))


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


def two_protocols(evaluated, synthetic_study, noise, seeds=3, n=30):
    """Evaluations by a proxy with ``noise`` (dB), and the truth; all with ``seeds`` seeds."""
    rng = np.random.default_rng(0)
    designs = [c.evaluation.design for c in synthetic_study(n, diverged=0).candidates]
    long = PROXY.model_copy(update={"iterations": 9000})
    made = {"proxy": [], "long": []}
    for design in designs:
        for seed in range(seeds):
            for name, protocol, sd in (("proxy", PROXY, noise), ("long", long, 0.01)):
                base = evaluated(design)
                with_seed = protocol.with_seed(seed)
                psnr = base.psnr + float(rng.normal(0, sd))
                made[name].append(replace(base, psnr=psnr, protocol=with_seed))
    return made["proxy"], made["long"]


def test_fidelity_is_what_other_libraries_say(evaluated, synthetic_study):
    proxy, long = two_protocols(evaluated, synthetic_study, 0.3)
    found = fidelity(proxy, long, get_task("sr4"), resamples=300)
    x = [e.psnr for e in proxy if e.protocol.seed == 0]
    y = [e.psnr for e in long if e.protocol.seed == 0]
    assert found.designs == len(x) == 30
    assert found.kendall_tau.value == pytest.approx(stats.kendalltau(x, y).statistic)
    assert found.spearman_rho.value == pytest.approx(stats.spearmanr(x, y).statistic)
    for interval in (found.kendall_tau, found.spearman_rho):
        assert -1 <= interval.low < interval.value < interval.high <= 1
    ops = [e.ops for e in long if e.protocol.seed == 0]
    assert found.baselines["OPs"].value == pytest.approx(stats.kendalltau(ops, y).statistic)
    assert found.proxy_noise == pytest.approx(0.3, rel=0.25)
    assert found.long_noise == pytest.approx(0.01, rel=0.25)
    gap = 1.96 * np.sqrt(2) * found.long_noise
    pairs = [(i, j) for i in range(30) for j in range(i) if abs(y[i] - y[j]) > gap]
    right = sum((x[i] - x[j]) * (y[i] - y[j]) > 0 for i, j in pairs)
    assert (found.pairs, found.ordered_pairs) == (len(pairs), pytest.approx(right / len(pairs)))
    best = [set(np.argsort(values)[-6:]) for values in (x, y)]
    assert found.top == pytest.approx(len(best[0] & best[1]) / 6)


def test_a_proxy_that_is_the_truth_is_perfect(evaluated, synthetic_study):
    _, long = two_protocols(evaluated, synthetic_study, 0.0)
    found = fidelity(long, long, get_task("sr4"), resamples=100)
    assert found.kendall_tau.value == found.spearman_rho.value == pytest.approx(1)
    assert found.ordered_pairs == found.top == 1
    assert not any(bias.significant for bias in found.biases)


def test_what_diverged_is_last(evaluated, synthetic_study):
    proxy, long = two_protocols(evaluated, synthetic_study, 0.05, seeds=1)
    worst = min(range(len(long)), key=lambda i: long[i].psnr)
    lost = {"status": "diverged", "psnr": np.nan}
    told = fidelity(proxy, long, get_task("sr4"), resamples=50)
    long[worst] = replace(long[worst], **lost)
    proxy[worst] = replace(proxy[worst], **lost)
    found = fidelity(proxy, long, get_task("sr4"), resamples=50)
    assert found.designs == told.designs
    assert found.kendall_tau.value >= told.kendall_tau.value - 1e-9
    with pytest.raises(UserError, match="at least 5 are needed"):
        fidelity(proxy[:4], long[:4], get_task("sr4"))
