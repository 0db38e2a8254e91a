"""The neighbours of a design, against a comparison of YAML and the study's own estimates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from bbnas.analysis.estimates import estimate
from bbnas.analysis.neighbours import neighbours
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.study import Candidate, Study


def differing(one: Design, other: Design) -> int:
    """Fields that differ, a part each."""
    a, b = one.to_dict(), other.to_dict()
    parts = set(a.pop("binarize")) ^ set(b.pop("binarize"))
    return len(parts) + sum(a[name] != b[name] for name in a)


def test_nearest_first_with_the_choices_that_differ(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(candidates=60)
    for candidate in study.candidates[:5]:
        found = neighbours(study, candidate)
        own = candidate.evaluation.design
        wanted = sorted(
            differing(own, c.evaluation.design)
            for c in study.candidates
            if c.number != candidate.number
        )
        assert [len(n.changes) for n in found] == wanted[:12]
        for neighbour in found:
            other = neighbour.candidate.evaluation.design
            assert differing(own, other) == len(neighbour.changes)
            assert all(change.here != change.there for change in neighbour.changes)


def test_differences_are_the_estimates_of_the_study(synthetic_study: Callable[..., Study]) -> None:
    study = synthetic_study(candidates=40)
    candidate = study.candidates[3]
    for neighbour in neighbours(study, candidate, most=3):
        pair = [neighbour.candidate, candidate]
        found = estimate(study.config, pair, study.evaluations(), study.confirmations)
        wanted = found.psnr[0] - found.psnr[1], found.error(0, 1)
        assert (neighbour.difference, neighbour.error) == pytest.approx(wanted, abs=1e-4)


def test_differences_are_those_of_the_recommendation(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(candidates=40, diverged=0.0)
    longer = study.config.protocol.longer(4)
    again = tuple(
        replace(c.evaluation, protocol=longer, psnr=c.evaluation.psnr + 0.1 * (i % 3))
        for i, c in enumerate(study.candidates[:6])
    )
    study = replace(study, confirmations=again)
    candidate = study.candidates[2]
    everything = estimate(study.config, study.candidates, study.evaluations(), again)
    place = {c.number: i for i, c in enumerate(everything.candidates)}
    for neighbour in neighbours(study, candidate, most=3):
        i, j = place[neighbour.candidate.number], place[candidate.number]
        wanted = everything.psnr[i] - everything.psnr[j]
        assert neighbour.difference == pytest.approx(wanted, abs=1e-4)
        assert neighbour.error == pytest.approx(everything.error(i, j), abs=1e-4)


def test_one_choice_has_the_measured_difference_too(
    synthetic_study: Callable[..., Study], evaluated: Callable[..., Evaluation]
) -> None:
    study = synthetic_study(candidates=20)
    mine = Design(binarize=("body",), k_ratio=1.0)
    pairs = [(mine, 25.5), (mine.replace(binarize=("body", "tail")), 25.1)]
    pairs += [(mine.replace(width=48, k_ratio=4.0), 25.3)]
    added = [Candidate(900 + i, evaluated(d, psnr)) for i, (d, psnr) in enumerate(pairs)]
    study = replace(study, candidates=(*study.candidates, *added))
    found = {n.candidate.number: n for n in neighbours(study, added[0])}
    assert [(c.choice, c.here, c.there) for c in found[901].changes] == [
        ("tail", "full precision", "1-bit")
    ]
    assert found[901].measured == pytest.approx(-0.4)
    assert math.isnan(found[902].measured)
    assert {(c.choice, c.here, c.there) for c in found[902].changes} == {
        ("width", "64", "48"),
        ("alignment", "1 k*", "4 k*"),
    }


def test_a_method_is_one_choice(methods_study: Callable[..., Study]) -> None:
    study = methods_study(
        {("bbcu", 64): 26.0, ("reactnet", 64): 25.0, ("bbcu", 32): 25.5, ("xnornet", 48): 24.0}
    )
    found = neighbours(study, study.candidates[0])
    names = {change.choice for n in found for change in n.changes}
    assert names == {"method", "width"}
    assert [len(n.changes) for n in found] == [1, 1, 2]
    assert found[0].changes[0].there == "ReActNet"


def test_a_design_alone_has_none(
    synthetic_study: Callable[..., Study], evaluated: Callable[..., Evaluation]
) -> None:
    study = synthetic_study(candidates=5)
    alone = Candidate(0, evaluated(Design(binarize=("body",))))
    assert neighbours(replace(study, candidates=(alone,)), alone) == []
