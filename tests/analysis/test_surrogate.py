"""What all runs together tell: against the formulas written out, and against a planted truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from bbnas.analysis.surrogate import Runs, Surrogate, all_runs, discrepancy, runs_of
from bbnas.axes import k_star
from bbnas.design import Design
from bbnas.protocol import PROTOCOLS
from bbnas.study import StudyConfig

NOISE = 0.03


def designs() -> list[Design]:
    base = Design(binarize=("body", "upsampling"), k_ratio=1.0)
    axes = {
        "norm": ("none", "batchnorm"),
        "activation": ("rprelu", "relu", "none"),
        "k_ratio": (0.25, 1.0, 4.0),
        "convs_per_residual": (1, 2, 4),
        "width": (48, 64),
    }
    return [
        base.replace(**dict(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def planted(design: Design) -> float:
    """dB: main effects, and an interaction of normalisation with k."""
    psnr = 25.3 - 0.15 * (design.norm == "batchnorm") - 0.02 * math.log2(design.convs_per_residual)
    psnr -= {"rprelu": 0.0, "relu": 0.08, "none": 0.04}[design.activation]
    psnr -= 0.05 * (64 - design.width) / 16
    return psnr - 0.03 * abs(math.log2(design.k_ratio or 1.0)) * (design.norm == "none")


def runs(found: list[Design], seed: int = 0, noise: float = NOISE) -> Runs:
    rng = np.random.default_rng(seed)
    psnr = np.array([planted(d) for d in found]) + rng.normal(0, noise, len(found))
    return Runs(tuple(found), psnr, np.zeros(len(found)))


def by_hand(seen: Runs, asked: list[Design], theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rasmussen & Williams 2006, eq. 2.25–2.26, feature by feature, in PSNR's own units."""

    def distances(a: Design, b: Design) -> list[float]:
        a, b = a.canonical(), b.canonical()
        names = (
            "method", "norm", "activation", "activation_position", "weight_scale", "estimator",
            "redistribution", "upsampler", "tail_kernel", "head_kernel", "unshuffle",
        )  # fmt: skip
        return [
            *(float(a.binary(p) != b.binary(p)) for p in ("head", "body", "upsampling", "tail")),  # type: ignore[arg-type]
            *(float(getattr(a, name) != getattr(b, name)) for name in names),
            abs(math.log2(a.k / k_star(a.width)) - math.log2(b.k / k_star(b.width))),
            abs(math.log2(a.convs_per_residual or 64) - math.log2(b.convs_per_residual or 64)),
            abs(math.log2(a.width) - math.log2(b.width)),
            abs(math.log2(a.depth) - math.log2(b.depth)),
            0.0,  # none has groups
            abs(math.log2(a.hr_width) - math.log2(b.hr_width)),
            abs(math.log2(a.head_width) - math.log2(b.head_width)),
        ]

    def kernel(a: Design, b: Design) -> float:
        return math.exp(2 * theta[0] - float(np.exp(theta[2:]) @ distances(a, b)))

    best = seen.psnr.max()
    warped = best - 0.5 * np.log(1 + (best - seen.psnr) / 0.5)
    center = float(np.median(warped))
    own = np.array([[kernel(a, b) for b in seen.designs] for a in seen.designs])
    own += np.diag((math.exp(theta[1]) * NOISE) ** 2 + seen.doubt**2)
    cross = np.array([[kernel(a, b) for b in seen.designs] for a in asked])
    inverse = np.linalg.inv(own)
    mean = center + cross @ inverse @ (warped - center)
    covariance = np.array([[kernel(a, b) for b in asked] for a in asked])
    covariance -= cross @ inverse @ cross.T
    slope = np.exp((best - mean) / 0.5)
    return best - 0.5 * (slope - 1), slope[:, None] * covariance * slope[None, :]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 0.2))
def test_beliefs_are_those_of_the_formula(seed: int, doubt: float) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(designs()).tolist()
    seen = runs(order[:12], seed)
    seen = Runs(seen.designs, seen.psnr, np.full(12, doubt))
    theta = np.concatenate([[math.log(0.3), 0.1], rng.normal(-1.6, 1.0, len(Surrogate.FEATURES))])
    surrogate = Surrogate(seen, NOISE, theta)
    beliefs = surrogate.believes(order[10:16])
    mean, covariance = by_hand(seen, order[10:16], theta)
    expected, deviation = surrogate.expects(order[10:16])
    assert expected == pytest.approx(mean, abs=1e-8)
    assert deviation == pytest.approx(np.sqrt(np.maximum(np.diag(covariance), 0)), abs=1e-6)
    assert beliefs.mean == pytest.approx(mean, abs=1e-8)
    assert beliefs.covariance == pytest.approx(covariance, abs=1e-8)
    gap = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert beliefs.error(0, 1) == pytest.approx(math.sqrt(gap), abs=1e-6)


def test_all_runs_know_more_than_one() -> None:
    found = designs()
    beliefs = Surrogate(runs(found), NOISE).believes(found)
    truth = np.array([planted(d) for d in found])
    off = beliefs.mean - truth
    assert float(np.sqrt(np.mean(off**2))) < NOISE / 2
    # The errors that it states are those that it makes.
    assert 0.5 < float(np.sqrt(np.mean((off / beliefs.deviation) ** 2))) < 2.0


def test_designs_never_run_are_predicted() -> None:
    found = designs()
    rng = np.random.default_rng(1)
    order = rng.permutation(len(found)).tolist()
    seen, unseen = [found[i] for i in order[:60]], [found[i] for i in order[60:]]
    beliefs = Surrogate(runs(seen, 1), NOISE).believes(unseen)
    truth = np.array([planted(d) for d in unseen])
    assert float(np.sqrt(np.mean((beliefs.mean - truth) ** 2))) < 1.5 * NOISE
    assert np.corrcoef(beliefs.mean, truth)[0, 1] > 0.9


def test_a_choice_that_does_nothing_is_found_to_do_nothing() -> None:
    base = Design(binarize=("body",), k_ratio=1.0)
    found = [
        base.replace(estimator=estimator, activation=activation, width=width)
        for estimator in ("clip", "quadratic", "ede")
        for activation in ("rprelu", "relu", "none")
        for width in (32, 48, 64)
    ]
    rng = np.random.default_rng(0)
    psnr = [25 - 0.3 * (d.activation == "relu") for d in found] + rng.normal(0, 0.01, len(found))
    surrogate = Surrogate(Runs(tuple(found), psnr, np.zeros(len(found))), 0.01)
    names = Surrogate.FEATURES
    rate = dict(zip(names, np.exp(surrogate.theta[2:]), strict=True))
    assert rate["estimator"] < rate["activation"] / 5


def test_how_deep_bad_designs_fall_does_not_blur_what_is_known_of_good_ones() -> None:
    found = designs()
    seen = runs(found)
    bad = [d.replace(weight_scale=False, convs_per_residual=0) for d in found[:20]]
    both = Runs(
        (*seen.designs, *bad),
        np.append(seen.psnr, [9.0 + i / 2 for i in range(20)]),
        np.zeros(128),
    )
    truth = np.array([planted(d) for d in found])
    off = Surrogate(both, NOISE).believes(found).mean - truth
    assert float(np.sqrt(np.mean(off**2))) < NOISE


def test_one_run_is_believed_as_far_as_it_goes() -> None:
    seen = runs(designs()[:1])
    beliefs = Surrogate(seen, NOISE).believes(designs()[:2])
    assert beliefs.mean[0] == pytest.approx(seen.psnr[0])
    assert beliefs.deviation[0] < NOISE < beliefs.deviation[1]


def test_what_was_stopped_counts_with_what_others_gained(evaluated) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    protocol = PROTOCOLS["proxy"].model_copy(update={"rungs": (100, 250)})
    config = StudyConfig("s", {}, "sr4", protocol, "d", "d", skip_psnr=24.0)
    ended = [
        replace(evaluated(d, 25.0 + i / 10), rungs=((100, 24.5), (250, 24.8 + i / 10)))
        for i, d in enumerate(designs()[:6])
    ]
    stopped = replace(evaluated(designs()[7], math.nan), status="stopped", rungs=((100, 24.3),))
    lost = replace(evaluated(designs()[8], math.nan), status="stopped", rungs=((100, 23.0),))
    later = replace(
        evaluated(designs()[9], math.nan), status="stopped", rungs=((100, 24.4), (250, 24.6))
    )
    found = runs_of(config, [*ended, stopped, lost, later])
    assert [d.key for d in found.designs[6:]] == [stopped.design.key, later.design.key]
    gains = [e.psnr - 24.5 for e in ended]
    assert found.psnr[6] == pytest.approx(24.3 + np.median(gains))
    assert found.doubt[6] == pytest.approx(median_abs_deviation(gains, scale="normal"), 1e-4)
    assert found.psnr[7] == pytest.approx(24.8)  # each gained 0.2 dB from there
    assert found.doubt[7] == pytest.approx(0.0, abs=1e-9)
    # Too few to tell what the rest is worth: left out.
    assert len(runs_of(config, [*ended[:3], stopped])) == 3


def test_a_search_is_told_what_learned_nothing(evaluated) -> None:  # type: ignore[no-untyped-def]
    from dataclasses import replace

    protocol = PROTOCOLS["proxy"].model_copy(update={"rungs": (100,), "noise": 0.05})
    config = StudyConfig("s", {}, "sr4", protocol, "d", "d", skip_psnr=24.0)
    good, *dead, late, waiting, broken = designs()[:9]
    rungs = ((100, 23.5),)
    ended = [replace(evaluated(good, 25.0), rungs=((100, 24.5),))]
    ended += [replace(evaluated(d, 24.01), rungs=rungs) for d in dead]
    ended += [replace(evaluated(late, 24.6), rungs=rungs)]
    stopped = replace(evaluated(waiting, math.nan), status="stopped", rungs=rungs)
    diverged = replace(evaluated(broken, math.nan), status="diverged")
    everything = [*ended, stopped, diverged]
    assert {d.key for d in runs_of(config, everything).designs} == {good.key, late.key}
    found = all_runs(config, everything)
    seen = {d.key: (p, s) for d, p, s in zip(found.designs, found.psnr, found.doubt, strict=True)}
    assert seen.keys() == {e.design.key for e in everything}
    for design in (*dead, broken):
        assert seen[design.key] == (pytest.approx(24.05), 0.0)  # the skip, and the noise
    # It ends as those that had learned as little there: most of them never do, one did.
    ends = [24.05] * len(dead) + [24.6]
    assert seen[waiting.key] == pytest.approx((24.05, np.std(ends, ddof=1)))
    # Where the skip's PSNR is not known nothing is known to be useless.
    unknown = replace(config, skip_psnr=None)
    assert len(all_runs(unknown, everything)) == len(runs_of(unknown, everything))


def test_longer_training_moves_designs_apart_by_what_they_choose_differently() -> None:
    base = Design(binarize=("body", "upsampling"), k_ratio=1.0)
    near, far = base.replace(activation="none"), base.replace(activation="none", norm="batchnorm")
    shift = discrepancy([base, near, far, base])

    def apart(i: int, j: int) -> float:
        return math.sqrt(max(shift[i, i] + shift[j, j] - 2 * shift[i, j], 0.0))

    assert apart(0, 3) == pytest.approx(0.0, abs=1e-7)
    # 0.2 dB of what exp(−0.1) leaves in common, by hand.
    assert apart(0, 1) == pytest.approx(0.2 * math.sqrt(2 - 2 * math.exp(-0.1)))
    assert apart(0, 2) == pytest.approx(0.2 * math.sqrt(2 - 2 * math.exp(-0.2)))
    # What moves all alike is no difference.
    assert shift.sum(axis=0) == pytest.approx(np.zeros(4), abs=1e-12)
    assert np.linalg.eigvalsh(shift).min() > -1e-12
