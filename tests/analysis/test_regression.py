from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from bbnas.analysis.regression import Effect, fit_effects
from bbnas.design import TITLES, Design
from bbnas.presets import load_design
from bbnas.space import load_space
from bbnas.study import Candidate
from bbnas.tasks import Part, get_task


def effects(study):
    """The effects of the fit as a table, one row a choice."""
    return pd.DataFrame(fit_effects(study).effects, columns=list(Effect._fields))


def row(table, axis, choice):
    found = table[(table["axis"] == axis) & (table["choice"] == choice)]
    assert len(found) == 1, f"{axis}={choice}: {len(found)} rows"
    return found.iloc[0]


def test_planted_effects_are_found_within_their_intervals(synthetic_study):
    study = synthetic_study(600, noise=0.02)
    table = effects(study)
    planted = {
        ("upsampling", "1-bit"): -0.02,
        ("tail", "1-bit"): -0.80,
        ("weight scale", "off"): -0.10,
        ("activation", "hardtanh"): -0.20,
        ("width", "16"): -0.50,
        ("depth", "16"): -0.10,
        ("estimator", "ede"): 0.0,
    }
    for (axis, choice), effect in planted.items():
        found = row(table, axis, choice)
        assert found["effect"] == pytest.approx(effect, abs=0.06)
        assert found["low"] < found["effect"] < found["high"]
    fit = fit_effects(study)
    assert fit.candidates == sum(c.evaluation.feasible for c in study.candidates)
    assert 0.9 < fit.r2 < 1.0


def two_groups(evaluated, synthetic_study, a, b):
    """A study that varies only the normalisation."""
    design = Design(binarize=(Part.BODY,), k_ratio=1.0)
    designs = [design] * len(a) + [design.replace(norm="batchnorm")] * len(b)
    candidates = tuple(
        Candidate(i, evaluated(d, psnr=float(p)))
        for i, (d, p) in enumerate(zip(designs, [*a, *b], strict=True))
    )
    return replace(synthetic_study(1), candidates=candidates)


def test_one_axis_alone_is_the_difference_of_means_with_its_hc3_interval(
    evaluated, synthetic_study
):
    rng = np.random.default_rng(1)
    a, b = rng.normal(26.5, 0.05, 9), rng.normal(26.1, 0.30, 14)
    table = effects(two_groups(evaluated, synthetic_study, a, b))
    assert len(table) == 1
    found = table.iloc[0]
    assert (found["axis"], found["choice"], found["reference"]) == (
        "normalisation",
        "batchnorm",
        "none",
    )
    assert (found["n"], found["n_reference"]) == (14, 9)
    assert found["effect"] == pytest.approx(b.mean() - a.mean())
    # HC3 of two groups in closed form: s_a²/(n_a − 1) + s_b²/(n_b − 1).
    half = t.ppf(0.975, 21) * np.sqrt(a.var(ddof=1) / 8 + b.var(ddof=1) / 13)
    assert found["high"] - found["effect"] == pytest.approx(half)


def test_the_interval_covers_the_truth_about_as_often_as_it_says(evaluated, synthetic_study):
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        a, b = rng.normal(0, 0.05, 10), rng.normal(-0.2, 0.2, 10)
        found = effects(two_groups(evaluated, synthetic_study, a, b)).iloc[0]
        covered += found["low"] <= -0.2 <= found["high"]
    assert 180 <= covered <= 199


def test_fewer_than_three_are_not_spoken_of(evaluated, synthetic_study):
    psnr = [26.0, 26.1, 26.2, 26.3]
    assert effects(two_groups(evaluated, synthetic_study, psnr, psnr[:2])).empty
    assert effects(two_groups(evaluated, synthetic_study, psnr[:2], psnr)).empty
    assert len(effects(two_groups(evaluated, synthetic_study, psnr, psnr[:3]))) == 1


def test_choices_that_always_come_together_are_not_told_apart(evaluated, synthetic_study):
    plain = Design(binarize=(Part.BODY,), k_ratio=1.0)
    both = plain.replace(norm="batchnorm", estimator="ede")
    candidates = tuple(
        Candidate(i, evaluated(d, psnr=26 - 0.1 * i)) for i, d in enumerate([plain, both] * 5)
    )
    assert effects(replace(synthetic_study(1), candidates=candidates)).empty


def test_an_axis_counts_only_where_it_changes_the_network(evaluated, synthetic_study):
    designs = [Design(width=w) for w in range(30, 40)]
    designs += [Design(binarize=(Part.HEAD,), norm=n) for n in ("none", "batchnorm")] * 3
    candidates = tuple(
        Candidate(i, evaluated(d, psnr=26 + 0.01 * (i % 4))) for i, d in enumerate(designs)
    )
    table = effects(replace(synthetic_study(1), candidates=candidates))
    found = row(table, "normalisation", "batchnorm")
    assert (found["n"], found["n_reference"]) == (3, 3)  # the ten full-precision ones do not count


def test_without_its_default_an_axis_is_measured_against_its_commonest_choice(
    evaluated, synthetic_study
):
    design = Design(binarize=(Part.BODY,), k_ratio=1.0)
    designs = [design.replace(estimator="ede")] * 5 + [design.replace(estimator="clip")] * 4
    candidates = tuple(
        Candidate(i, evaluated(d, psnr=26 + 0.01 * i)) for i, d in enumerate(designs)
    )
    table = effects(replace(synthetic_study(1), candidates=candidates))
    assert row(table, "estimator", "clip")["reference"] == "ede"


@pytest.mark.parametrize(
    ("k_ratio", "choice"),
    [
        (1 / 64, "below 1/8"),
        (1 / 8, "1/8 to 1/2"),
        (1.0, "1/2 to 2"),
        (8.0, "2 to 8"),
        (9, "above 8"),
    ],
)
def test_alignment_is_binned_relative_to_k_star(evaluated, synthetic_study, k_ratio, choice):
    designs = [Design(binarize=(Part.BODY,), k_ratio=k) for k in (None, k_ratio)] * 4
    candidates = tuple(
        Candidate(i, evaluated(d, psnr=26 + 0.01 * i)) for i, d in enumerate(designs)
    )
    table = effects(replace(synthetic_study(1), candidates=candidates))
    assert row(table, "alignment k / k*", choice)["reference"] == "off"


def test_chance_is_that_of_the_interval(synthetic_study):
    """p is 0.05 where the interval ends at 0, by the same t distribution."""
    for e in fit_effects(synthetic_study(60)).effects:
        half = (e.high - e.low) / 2
        assert (e.p < 0.05) == (abs(e.effect) > half)
        assert 0 <= e.p <= 1


def test_nothing_feasible_has_no_effects(synthetic_study):
    study = synthetic_study(5, diverged=1.0)
    assert fit_effects(study).candidates == 0
    assert list(effects(study).columns)[:3] == ["axis", "choice", "reference"]
    assert effects(study).empty


def test_in_a_space_of_methods_each_is_told_against_bbcu(evaluated, synthetic_study):
    rng = np.random.default_rng(2)
    planted = {"bbcu": 0.0, "reactnet": -0.25, "bnn": -4.0, "irnet": -0.4}
    evaluations = [
        evaluated(
            load_design(method, get_task("sr4")).replace(width=width),
            psnr=26.5 + worth + width / 100 + rng.normal(0, 0.01),
        )
        for method, worth in planted.items()
        for width in (32, 48, 64)
        for _ in range(3)
    ]
    study = replace(
        synthetic_study(1),
        candidates=tuple(Candidate(i, e) for i, e in enumerate(evaluations)),
    )
    space = load_space("methods")
    table = effects(replace(study, config=replace(study.config, space=space)))
    assert set(table["axis"]) == {"method", "width"}
    for method, worth in planted.items():
        if method != "bbcu":
            found = row(table, "method", TITLES[method])
            assert found["reference"] == "BBCU"
            assert found["low"] < worth < found["high"]
    assert not any(effects(study)["axis"] == "method")
