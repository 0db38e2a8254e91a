"""Planted effects are found by matched pairs; what is noise is not told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_1samp

from bbnas.analysis.evidence import FDR
from bbnas.analysis.findings import Finding, findings, summary
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.study import Candidate, Study
from bbnas.tasks import Part

PLANTED = {"batchnorm": -0.30, "tail": -0.60, "ede": 0.0}


def a_study(
    make: Callable[..., Evaluation],
    study: Study,
    noise: float,
    designs: Sequence[Design],
    psnr: Callable[[Design], float],
    seed: int = 0,
) -> Study:
    rng = np.random.default_rng(seed)
    candidates = tuple(
        Candidate(i, make(d.canonical(), psnr(d) + float(rng.normal(0, noise))))
        for i, d in enumerate(designs)
    )
    return replace(study, candidates=candidates, references=())


def factorial() -> list[Design]:
    axes = product(
        ((Part.BODY,), (Part.BODY, Part.TAIL)), ("none", "batchnorm"), (0.25, 1.0, 4.0),
        ("quadratic", "ede"), (48, 64),
    )  # fmt: skip
    return [
        Design(binarize=parts, norm=norm, k_ratio=k, estimator=e, width=w)
        for parts, norm, k, e, w in axes
    ]


def planted(design: Design) -> float:
    psnr = 27.0 + (PLANTED["batchnorm"] if design.norm == "batchnorm" else 0)
    psnr += PLANTED["tail"] if design.binary(Part.TAIL) else 0
    return psnr - 0.1 * abs(float(np.log2(design.k_ratio or 1.0)))


@pytest.fixture
def study(evaluated, synthetic_study) -> Study:
    return a_study(evaluated, synthetic_study(3), 0.02, factorial(), planted, seed=1)


def by_choice(found: Sequence[Finding], axis: str, choice: str) -> Finding:
    (one,) = [f for f in found if (f.axis, f.choice) == (axis, choice)]
    return one


def test_planted_effects_are_told_with_their_intervals(study: Study) -> None:
    found = findings(study)
    norm = by_choice(found.settled, "normalisation", "batchnorm")
    assert norm.low < PLANTED["batchnorm"] < norm.high
    assert norm.n == 24
    tail = by_choice(found.settled, "tail", "1-bit")
    assert tail.effect == pytest.approx(PLANTED["tail"], abs=0.02)
    assert tail.n == 24
    # Values of k are compared with k*.
    for choice in ("0.25 k*", "4 k*"):
        k = by_choice(found.settled, "alignment k / k*", choice)
        assert k.reference == "1 k*"
        assert k.low < -0.2 < k.high
    assert by_choice(found.open, "estimator", "ede").n == 24
    assert by_choice(found.open, "width", "48").n == 24
    assert [f.words for f in found.settled] == summary(found)[:-1]


def test_what_is_compared_with_is_no_result(evaluated, synthetic_study) -> None:
    """4 k* is best, and still compared with k*, as every other value is."""

    def psnr(design: Design) -> float:
        return planted(design) + (0.3 if design.k_ratio == 4 else 0.0)

    found = findings(a_study(evaluated, synthetic_study(3), 0.02, factorial(), psnr))
    for choice, effect in (("4 k*", 0.1), ("0.25 k*", -0.2)):
        k = by_choice(found.settled, "alignment k / k*", choice)
        assert k.reference == "1 k*"
        assert k.effect == pytest.approx(effect, abs=0.02)


def test_where_pairs_are_few_the_fit_tells_either_way_round(evaluated, synthetic_study) -> None:
    """Off was never tried where k* was: only the fit can tell, and knows k* in a range."""
    designs = dict.fromkeys(
        d.replace(k_ratio=None) if (d.width == 48) == (d.norm == "batchnorm") else d
        for d in factorial()
    )

    def psnr(design: Design) -> float:
        return planted(design) - (0.5 if design.k_ratio is None else 0.0)

    found = findings(a_study(evaluated, synthetic_study(3), 0.02, list(designs), psnr))
    off = by_choice((*found.settled, *found.open), "alignment k / k*", "off")
    assert (off.reference, off.source) == ("1/2 to 2", "fit")
    assert off.n == sum(d.k_ratio is None for d in designs)
    assert off.low < -0.5 < off.high < 0


def test_an_effect_is_the_t_test_of_the_pairs(study: Study) -> None:
    found = by_choice(findings(study).settled, "normalisation", "batchnorm")
    psnr = {c.evaluation.design.key: c.evaluation.psnr for c in study.candidates}
    gaps = [
        psnr[d.canonical().key] - psnr[d.replace(norm="none").canonical().key]
        for d in factorial()
        if d.norm == "batchnorm"
    ]
    expected = ttest_1samp(gaps, 0)
    assert found.effect == pytest.approx(np.mean(gaps))
    assert found.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_noise_alone_is_seldom_a_finding(evaluated, synthetic_study) -> None:
    told = 0
    for seed in range(40):
        noise = a_study(
            evaluated, synthetic_study(3), 0.05, factorial(), lambda design: 27.0, seed
        )
        found = findings(noise)
        told += bool(found.settled)
        p = [f.p for f in (*found.settled, *found.open)]
        assert len(found.settled) == (false_discovery_control(p) <= FDR).sum()
    assert told <= 6  # 2 expected of 40; more than 6 has a probability below 0.4 %


def test_collapsed_designs_are_counted_and_not_averaged(evaluated, synthetic_study) -> None:
    def psnr(design: Design) -> float:
        lost = design.norm == "batchnorm" and design.width == 48
        return 9.0 if lost else planted(design)

    base = synthetic_study(3, skip_psnr=24.0)
    found = findings(a_study(evaluated, base, 0.02, factorial(), psnr))
    norm = by_choice(found.settled, "normalisation", "batchnorm")
    assert norm.n == 12
    assert norm.collapsed == 12
    assert norm.effect == pytest.approx(PLANTED["batchnorm"], abs=0.02)


def test_what_was_tried_too_seldom_is_named(evaluated, synthetic_study) -> None:
    designs = [*factorial(), Design(binarize=(Part.BODY,), activation="relu", k_ratio=1.0)]
    found = findings(a_study(evaluated, synthetic_study(3), 0.02, designs, planted))
    assert found.untested == (("activation", "relu"),)
    assert "activation: relu" in summary(found)[-1]


def test_methods_are_an_axis_in_their_own_space(methods_study) -> None:
    rng = np.random.default_rng(0)
    level = {"bbcu": 26.0, "bnn": 24.0, "bireal": 25.0}
    psnr = {
        (m, w): v + 0.01 * w / 16 + float(rng.normal(0, 0.01))
        for m, v in level.items()
        for w in (16, 32, 48, 64)
    }
    found = findings(methods_study(psnr))
    assert {f.axis for f in found.settled} <= {"method", "width"}
    bnn = by_choice(found.settled, "method", "BNN")
    assert bnn.reference == "BBCU"
    assert bnn.effect == pytest.approx(-2.0, abs=0.05)


def test_nothing_is_said_of_nothing(synthetic_study) -> None:
    empty = replace(synthetic_study(3), candidates=(), references=())
    assert summary(findings(empty)) == []
