from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bbnas.analysis import front, recommend, study_benefit
from bbnas.analysis.effects import Effect, Fit, fit_effects
from bbnas.reporting import figures
from bbnas.reporting.figures import benefit_lengths, curves, effects_figure, front_figure


def test_every_candidate_is_one_dot_of_its_kind(synthetic_study):
    study = synthetic_study(200, baselines=("srresnet", "bbcu-m"))
    chosen = recommend(study).candidate.number
    figure = front_figure(study, chosen)
    kinds = {dot.number: dot.kind for dot in figure.dots}
    assert list(kinds) == [c.number for c in study.candidates]
    for candidate in study.candidates:
        kind = kinds[candidate.number]
        assert (kind == "infeasible") == (not candidate.evaluation.feasible)
        assert (kind == "baseline") == bool(candidate.baseline)
        assert (kind == "recommended") == (candidate.number == chosen)
    members = {c.number for c in front(study)}
    # A tie with the knee may be recommended, and that need not be on the front.
    assert {n for n, k in kinds.items() if k == "front"} == members - {chosen}


def test_the_envelope_is_the_best_psnr_for_the_ops(synthetic_study):
    study = synthetic_study(150)
    figure = front_figure(study, None)
    feasible = [dot for dot in figure.dots if dot.kind != "infeasible"]
    for ops, psnr in figure.envelope:
        assert psnr == max(dot.psnr for dot in feasible if dot.ops <= ops)


def test_a_few_hopeless_candidates_do_not_squeeze_the_axis(synthetic_study):
    study = synthetic_study(100, diverged=0)
    beaten = [d.number for d in front_figure(study, None).dots if d.kind == "beaten"][:2]
    sunk = tuple(
        replace(c, evaluation=replace(c.evaluation, psnr=8.0)) if c.number in beaten else c
        for c in study.candidates
    )
    figure = front_figure(replace(study, candidates=sunk), None)
    assert figure.bottom > 20
    assert figure.below == sum(dot.psnr < figure.bottom for dot in figure.dots) >= 2
    assert all(d.psnr > figure.bottom for d in figure.dots if d.kind == "front")


def test_published_designs_need_bicubic_on_the_same_images(synthetic_study):
    study = synthetic_study(20)
    assert front_figure(study, None).overlay == ()
    overlaid = front_figure(study, None, bicubic=25.0)
    assert {row.method for row in overlaid.overlay} >= {"SRResNet", "BBCU-L", "BBCU-M"}


def test_a_front_of_nothing(synthetic_study):
    assert front_figure(replace(synthetic_study(1), candidates=()), None) is None
    lost = front_figure(synthetic_study(4, diverged=1.0), None)
    assert {dot.kind for dot in lost.dots} == {"infeasible"}
    assert lost.envelope == ()


def test_hover_names_design_and_escapes_what_users_wrote(synthetic_study):
    candidate = synthetic_study(3, diverged=0).candidates[0]
    text = figures.hover(replace(candidate, baseline="<b>mine</b>"))
    assert f"{candidate.evaluation.psnr:.2f} dB" in text
    assert candidate.evaluation.design.label().split(", ")[0] in text
    assert "&lt;b&gt;mine" in text


def test_curves_are_bounded_and_keep_what_matters(synthetic_study):
    study = synthetic_study(400, diverged=0.1)
    chosen = recommend(study).candidate.number
    found = curves(study, chosen)
    kinds = [curve.kind for curve in found]
    assert kinds.count("recommended") == 1
    assert kinds.count("front") == min(figures.BOLD_CURVES, len(front(study)) - 1)
    assert kinds.count("other") == figures.FAINT_CURVES
    assert kinds.count("diverged") == figures.DIVERGED_CURVES
    for curve in found:
        assert len(curve.loss) == len(curve.iterations) <= figures.CURVE_POINTS
        assert all(map(math.isfinite, curve.loss))
    (mine,) = [curve for curve in found if curve.kind == "recommended"]
    whole = next(c for c in study.candidates if c.number == chosen).evaluation.curve
    assert (mine.iterations[0], mine.loss[0]) == whole[0]
    assert (mine.iterations[-1], mine.loss[-1]) == whole[-1]


def test_no_curves_no_figure(synthetic_study):
    study = synthetic_study(3)
    bare = tuple(replace(c, evaluation=replace(c.evaluation, curve=())) for c in study.candidates)
    assert curves(replace(study, candidates=bare), 0) == []


def test_effects_are_placed_in_order_of_value(synthetic_study):
    fit = fit_effects(synthetic_study(200))
    figure = effects_figure(fit)
    bars = [bar for _, _, bars in figure.groups for bar in bars]
    assert len(bars) == len(fit.effects)
    pairs = sorted(
        (effect.effect, bar.mark) for effect, bar in zip(fit.effects, bars, strict=True)
    )
    assert [mark for _, mark in pairs] == sorted(mark for _, mark in pairs)
    assert all(0 <= bar.low <= bar.mark <= bar.high <= 1 for bar in bars)
    assert all(0 <= place <= 1 for place, _ in figure.ticks)
    assert (figure.zero, "0") in figure.ticks
    for effect, bar in zip(fit.effects, bars, strict=True):
        assert (bar.tone == "open") == (effect.low <= 0 <= effect.high)


def test_one_wild_interval_does_not_squeeze_the_others():
    calm = [Effect("norm", str(i), "none", -0.2, -0.25, -0.15, 9, 9, 0.01) for i in range(12)]
    wild = Effect("width", "16", "64", 0.1, -40.0, 40.0, 3, 9, 0.9)
    figure = effects_figure(Fit((*calm, wild), 30, 0.5))
    calm_bar = figure.groups[0][2][0]
    assert calm_bar.high - calm_bar.low > 0.05
    assert figure.groups[1][2][0].texts == ("+0.10", "−40.00 to +40.00", "3")


def test_no_effects_no_figure():
    assert effects_figure(Fit((), 2, 0.0)) is None


def test_benefit_bars_are_logarithmic(synthetic_study):
    rows = study_benefit(synthetic_study(1))
    rows = [replace(r, vc=v) for r, v in zip(rows, (1000.0, 10.0, 1.0, -3.0), strict=True)]
    assert benefit_lengths(rows, "vc") == pytest.approx([1.0, 0.5, 0.25, None])
    lost = [replace(r, vp=math.nan) for r in rows]
    assert benefit_lengths(lost, "vp") == [None] * 4
