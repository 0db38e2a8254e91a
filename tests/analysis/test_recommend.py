from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbnas.analysis import knee, recommend
from bbnas.analysis.estimates import Z95, estimate
from bbnas.analysis.evidence import MatchedPool, gap, without
from bbnas.analysis.findings import findings
from bbnas.analysis.reasons import passed_over, reasons
from bbnas.analysis.surrogate import discrepancy
from bbnas.cost import count as count_cost
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.study import Candidate
from bbnas.tasks import Part, get_task
from bbnas.text import count


def test_knee_is_the_point_farthest_above_the_chord_over_roots_of_costs():
    # The chord runs from (0, 26) to (100, 28) over the root: 0.02 dB each. Up to 30, more.
    root = np.array([0.0, 10.0, 30.0, 60.0, 100.0])
    psnr = np.array([26.0, 27.0, 27.6, 27.8, 28.0])
    above = psnr - (26.0 + 0.02 * root)
    assert knee(psnr, root**2, root**2) == int(np.argmax(above)) == 2


def test_the_floor_is_what_psnr_is_measured_from():
    # From 26 the cheap point gains nothing; from 20, most of what there is to gain.
    psnr, ops = [26.0, 26.5], [1.0, 2.0]
    assert knee([*psnr, 27.0], [*ops, 16.0]) == 1
    assert knee([*psnr, 27.0], [*ops, 16.0], floor=20.0) == 0


def test_knee_of_one_point_and_of_equal_points():
    assert knee([26.0], [1e9], [1e6]) == 0
    assert knee([26.0] * 3, [1e9] * 3, [1e6] * 3) == 0
    assert knee([26.0, 27.0]) == 1  # no costs: the best PSNR


def test_a_tie_goes_to_the_higher_psnr():
    # Two extremes: psnr_n − cost_n is 0 at both.
    assert knee([26.0, 28.0], [1.0, 5.0], [1.0, 9.0]) == 1


values = st.integers(1, 20).map(float)


@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=10), st.integers(1, 9))
def test_knee_does_not_depend_on_units(points, factor):
    psnr, ops, params = np.array(points).T
    assert knee(psnr * factor + 3, ops * 7, params * factor) == knee(psnr, ops, params)


@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=10))
def test_no_point_lies_farther_above_the_chord_than_the_knee(points):
    psnr, ops, params = np.array(points).T
    best = knee(psnr, ops, params)

    def scaled(x):
        return (x - x.min()) / (np.ptp(x) or 1)

    score = scaled(psnr) - (scaled(np.sqrt(ops)) + scaled(np.sqrt(params))) / 2
    assert score[best] == pytest.approx(score.max())


def test_the_knee_that_all_runs_tell_is_recommended(synthetic_study):
    study = synthetic_study(300)
    answer = recommend(study)
    # The planted study follows the paper: keep head and tail, binarize body and upsampling.
    assert answer.candidate.evaluation.design.binarize == (Part.BODY, Part.UPSAMPLING)
    assert answer.pick == "knee"
    # What is known of it from all runs is more than its own run tells.
    assert 0 < answer.error < study.config.protocol.noise
    assert answer.psnr == pytest.approx(answer.candidate.evaluation.psnr, abs=0.1)
    assert answer.candidate.number not in {c.number for c in answer.ties}
    assert answer.rival.candidate.number not in {c.number for c in answer.ties}
    assert answer.rival.errors >= Z95
    text = " ".join(reasons(study, answer, findings(study)))
    assert f"{answer.rival.errors:.1f} standard errors" in text
    assert f"trial {answer.rival.candidate.number} (" in text


def test_the_rows_of_a_recommendation_hold_its_figures(synthetic_study):
    study = synthetic_study(60, skip_psnr=24.0, bicubic_psnr=24.5)
    answer = recommend(study)
    here, rows = answer.candidate.evaluation, dict(answer.rows())
    assert rows["PSNR"].startswith(f"{answer.psnr:.2f} dB ± {Z95 * answer.error:.2f}")
    assert f"{here.psnr:.2f} dB, SSIM {here.ssim:.4f}" in rows["PSNR"]
    assert rows["gain"] == (
        f"+{answer.psnr - 24.5:.2f} dB over bicubic interpolation (24.50 dB) and "
        f"+{answer.psnr - 24.0:.2f} dB over bilinear interpolation (24.00 dB)"
    )
    full = count_cost(here.design.replace(binarize=()), get_task("sr4"))
    assert rows["OPs"].startswith(f"{count(here.ops)}, {full.ops / here.ops:.3g}×")
    for tie in answer.ties[:1]:
        assert (
            f"trial {tie.number} ({estimated(study, tie, answer.candidate)})"
            in (rows["statistically indistinguishable from"])
        )
    best = answer.alternatives["best PSNR"]
    assert f"(trial {best.number})" in rows["against the best of the front"]
    gap = estimated(study, answer.candidate, best)
    assert rows["against the best of the front"].startswith(gap)
    full_precision = Candidate(-1, evaluated_in_full(here))
    assert rows["against full precision"].startswith(
        estimated(study, answer.candidate, full_precision)
    )


def estimated(study, one, other):
    """PSNR of ``one`` less that of ``other``, with its 95 % half width, by the estimates."""
    among = [*study.own(), other]
    found = estimate(study.config, among, study.evaluations(), study.confirmations)
    i = [c.number for c in among].index(one.number)
    gap, half = found.psnr[i] - found.psnr[-1], Z95 * found.error(i, len(among) - 1)
    return f"{gap:+.2f} ± {half:.2f} dB".replace("-", "−").replace("+0.00", "0.00")


def evaluated_in_full(evaluation):
    return replace(evaluation, design=evaluation.design.replace(binarize=()).canonical())


def test_a_recommendation_shows_itself_in_a_notebook(synthetic_study):
    answer = recommend(synthetic_study(60))
    html = replace(answer, untrained={"<b>": 20.0})._repr_html_()
    assert html.count("<tr>") == 1 + len(replace(answer, untrained={"<b>": 20.0}).rows())
    assert "&lt;b&gt;" in html


def test_a_lucky_run_is_not_recommended(evaluated, synthetic_study):
    """Two choices that do nothing, 32 designs, one of them with a run of +0.12 dB."""
    base = Design(binarize=("body", "upsampling"), k_ratio=1.0)
    designs = [
        base.replace(estimator=estimator, norm=norm, activation=activation, k_ratio=k)
        for estimator in ("clip", "quadratic")
        for norm in ("none", "batchnorm")
        for activation in ("rprelu", "relu")
        for k in (0.25, 0.5, 1.0, 2.0)
    ]
    rng = np.random.default_rng(1)
    truth = [-0.06 * (d.norm == "batchnorm") - 0.04 * (d.activation == "relu") for d in designs]
    psnr = 25.3 + np.array(truth) + rng.normal(0, 0.02, len(designs))
    worst = int(np.argmin(truth))
    psnr[worst] = 25.42
    found = [
        Candidate(i, evaluated(d, float(p)))
        for i, (d, p) in enumerate(zip(designs, psnr, strict=True))
    ]
    study = replace(synthetic_study(3, references=False), candidates=tuple(found))
    chosen = recommend(study).candidate.evaluation.design
    assert (chosen.norm, chosen.activation) == ("none", "rprelu")
    assert recommend(study, "trial 1").psnr < 25.42


def test_best_psnr(synthetic_study):
    study = synthetic_study(100)
    answer = recommend(study, "best-psnr")
    best = max(c.evaluation.psnr for c in study.candidates if c.evaluation.feasible)
    assert best - answer.candidate.evaluation.psnr < 0.1
    assert answer.psnr == pytest.approx(best, abs=0.1)


def test_limits_filter_before_the_pick(synthetic_study):
    study = synthetic_study(300)
    answer = recommend(study, "best-psnr", max_ops=5e9, max_params=60e3)
    within = [
        c.evaluation.psnr
        for c in study.candidates
        if c.evaluation.feasible and c.evaluation.ops <= 5e9 and c.evaluation.params <= 60e3
    ]
    assert answer.candidate.evaluation.ops <= 5e9
    assert answer.candidate.evaluation.params <= 60e3
    assert max(within) - answer.candidate.evaluation.psnr < 0.1
    # Under a limit on Params, points that two objectives would have hidden come up.
    narrow = replace(study, config=replace(study.config, objectives=("psnr", "ops")))
    assert recommend(narrow, max_params=20e3).candidate.evaluation.params <= 20e3


def test_limits_that_nothing_keeps_name_the_smallest(synthetic_study):
    study = synthetic_study(50)
    feasible = [c.evaluation for c in study.candidates if c.evaluation.feasible]
    with pytest.raises(UserError, match=r"at most 1\.00 M OPs and 10 Params") as caught:
        recommend(study, max_ops=1e6, max_params=10)
    smallest = min(e.params for e in feasible) / 1e3
    assert f"{smallest:.2f} K Params" in str(caught.value)


@pytest.mark.parametrize("pick", ["trial 7", "7", "trial #7"])
def test_a_trial_by_number(synthetic_study, pick):
    study = synthetic_study(20, diverged=0)
    answer = recommend(study, pick)
    assert answer.candidate.number == 7
    assert "statistically indistinguishable from" not in dict(answer.rows())


def test_a_baseline_is_recommended_only_by_number(synthetic_study):
    study = synthetic_study(30, baselines=("bbcu-m",), diverged=0)
    assert recommend(study, "trial 0").candidate.baseline == "bbcu-m"
    better = tuple(
        replace(c, evaluation=replace(c.evaluation, psnr=40.0, ops=1.0, params=1.0))
        if c.baseline
        else c
        for c in study.candidates
    )
    assert not recommend(replace(study, candidates=better)).candidate.baseline


@pytest.mark.parametrize(
    ("settings", "pick", "message"),
    [
        ({"candidates": 6, "diverged": 1.0}, "knee", r"all 6 candidates failed \(6 diverged"),
        ({"candidates": 2, "baselines": ("srresnet", "bbcu-m")}, "knee", "only 2 baselines"),
        ({"candidates": 6}, "elbow", "unknown pick 'elbow': choose from knee, best-psnr, trial N"),
        ({"candidates": 6}, "trial 6", "no trial 6: numbers run from 0 to 5"),
        ({"candidates": 6, "diverged": 1.0}, "trial 5", "trial 5: diverged"),
    ],
)
def test_what_cannot_be_picked_is_a_clear_error(synthetic_study, settings, pick, message):
    with pytest.raises(UserError, match=message):
        recommend(synthetic_study(**settings), pick)


def test_an_empty_study_says_so(synthetic_study):
    with pytest.raises(UserError, match="no candidates yet: run the search first"):
        recommend(replace(synthetic_study(1), candidates=()))


def test_reasons_carry_the_study_s_own_figures(synthetic_study):
    study = synthetic_study(300)
    answer = recommend(study)
    sentences = reasons(study, answer, findings(study))
    here, text = answer.candidate.evaluation, " ".join(sentences)
    cheaper = answer.alternatives["next cheaper"].evaluation
    assert f"saves another {count(here.ops - cheaper.ops)} OPs" in text
    for part in ("head", "body", "upsampling", "tail"):
        assert any(part in sentence and " OPs" in sentence for sentence in sentences)
    (norm,) = [f for f in findings(study).settled if f.choice == "batchnorm"]
    told = f"batchnorm has {norm.effect:+.2f} dB".replace("-", "−")
    assert any(told in sentence for sentence in sentences)


def test_a_front_of_one_point(synthetic_study):
    study = synthetic_study(1, diverged=0, references=False)
    answer = recommend(study)
    assert answer.alternatives == {}
    assert len(reasons(study, answer, findings(study))) == 1 + 4  # its place, and four parts


def test_matched_pairs_differ_in_one_part_alone(synthetic_study, evaluated):
    design = Design(binarize=(Part.BODY, Part.UPSAMPLING), k_ratio=1.0, convs_per_residual=4)
    study = synthetic_study(1, diverged=0, references=False)
    others = [
        design,
        design.replace(binarize=(Part.BODY,)),
        design.replace(binarize=("upsampling",)),
    ]
    candidates = tuple(Candidate(i, evaluated(d, psnr=26.0)) for i, d in enumerate(others))
    study = replace(study, candidates=candidates)
    assert [
        (a.design, b.design)
        for a, b in MatchedPool.of(study).compared(without(Part.UPSAMPLING))[0]
    ] == [(others[1], design)]
    # Without a 1-bit body the convolutions per residual are idle: still the same network.
    assert [
        (a.design, b.design) for a, b in MatchedPool.of(study).compared(without(Part.BODY))[0]
    ] == [(others[2], design)]
    assert MatchedPool.of(study).compared(without(Part.HEAD))[0] == []


def test_a_study_in_which_nothing_is_useful_recommends_by_number_only(synthetic_study):
    study = synthetic_study(4, references=False, skip_psnr=60.0)
    with pytest.raises(UserError, match="has nothing to recommend"):
        recommend(study)
    picked = next(c for c in study.candidates if c.evaluation.feasible)
    answer = recommend(study, f"trial {picked.number}")
    assert answer.candidate is picked
    assert np.isnan(answer.error)
    assert "nan" not in " ".join(
        [*dict(answer.rows()).values(), *reasons(study, answer, findings(study))]
    )


def test_evidence_is_matched_pairs_or_else_the_fit(synthetic_study, evaluated):
    study = synthetic_study(1, references=False)
    candidates = []
    for i, loss in enumerate([0.1, 0.2, 0.3]):
        full = Design(width=20 + 20 * i)
        candidates.append(Candidate(2 * i, evaluated(full, psnr=26.0 + i)))
        one = full.replace(binarize=(Part.TAIL,))
        candidates.append(Candidate(2 * i + 1, evaluated(one, psnr=26.0 + i - loss)))
    study = replace(study, candidates=tuple(candidates))
    evidence = findings(study).part(Part.TAIL)
    assert evidence.effect == pytest.approx(-0.2)
    # t(0.975, 2) = 4.303; sd 0.1 / √3
    assert evidence.high == pytest.approx(-0.2 + 4.303 * 0.1 / np.sqrt(3), abs=1e-3)
    assert evidence.basis == "3 matched pairs"
    wide = synthetic_study(200, references=False)
    assert findings(wide).part(Part.TAIL).source == "fit"


def test_what_diverges_when_trained_longer_is_not_recommended(evaluated, synthetic_study):
    base = Design(binarize=("body", "upsampling"), k_ratio=1.0)
    designs = [base, base.replace(activation="none"), base.replace(norm="batchnorm")]
    figures = zip(designs, (25.40, 25.30, 25.20), strict=True)
    found = [Candidate(i, evaluated(d, psnr)) for i, (d, psnr) in enumerate(figures)]
    study = replace(synthetic_study(3, references=False), candidates=tuple(found))
    assert recommend(study).candidate.number == 0
    protocol = study.config.protocol.model_copy(update={"iterations": 5000})

    def again(design, psnr, seed, **changes):
        longer = protocol.with_seed(seed)
        return replace(evaluated(design, psnr), protocol=longer, **changes)

    for lost in (1, 2):  # of two seeds one, or both
        confirmations = [again(designs[1], 25.9, seed) for seed in (1, 2)]
        confirmations += [again(designs[0], 26.0, seed) for seed in range(1, 3 - lost)]
        confirmations += [
            again(designs[0], np.nan, seed, status="diverged") for seed in range(3 - lost, 3)
        ]
        answer = recommend(replace(study, confirmations=tuple(confirmations)))
        assert answer.candidate.number == 1


def test_the_error_of_a_confirmed_design_is_that_of_the_textbook(evaluated, synthetic_study):
    """Universal kriging as least squares: the shift of all is one more unknown, with no prior."""
    base = Design(binarize=("body", "upsampling"), k_ratio=1.0)
    designs = [base.replace(width=w) for w in (32, 48, 64)]
    figures = zip(designs, (25.1, 25.2, 25.3), strict=True)
    found = [Candidate(i, evaluated(d, psnr)) for i, (d, psnr) in enumerate(figures)]
    study = replace(synthetic_study(3, references=False), candidates=tuple(found))
    config, everything = study.config, study.evaluations()
    before = estimate(config, found, everything)
    again = [
        replace(
            evaluated(d, psnr),
            protocol=config.protocol.model_copy(update={"iterations": 5000, "seed": 1}),
        )
        for d, psnr in zip(designs, (26.0, 26.3, 26.2), strict=True)
    ]
    after = estimate(config, found, everything, again)
    prior = before.covariance + discrepancy(designs)
    broad = 1e6 * np.ones((3, 3))  # the shift, before anything is seen
    seen = prior + broad + config.protocol.noise**2 * np.eye(3)
    expected = prior - prior @ np.linalg.solve(seen, prior)
    assert after.covariance == pytest.approx(expected, abs=1e-5)


def test_confirmations_decide_between_what_they_trained_again(evaluated, synthetic_study):
    base = Design(binarize=("body", "upsampling"), k_ratio=1.0)
    designs = [base, base.replace(activation="none"), base.replace(norm="batchnorm")]
    figures = zip(designs, (25.30, 25.33, 25.28), strict=True)
    found = [Candidate(i, evaluated(d, psnr)) for i, (d, psnr) in enumerate(figures)]
    study = replace(synthetic_study(3, references=False), candidates=tuple(found))
    assert recommend(study).candidate.number == 1
    protocol = study.config.protocol.model_copy(update={"iterations": 5000})
    again = [
        replace(evaluated(d, psnr + seed / 10), protocol=protocol.with_seed(seed))
        for d, psnr in ((designs[0], 26.0), (designs[1], 25.8))
        for seed in (1, 2)
    ]
    answer = recommend(replace(study, confirmations=tuple(again)))
    assert answer.candidate.number == 0
    found = answer.confirmation
    assert (found.psnr, found.place, found.of) == (pytest.approx(26.15), 1, 2)
    assert "26.15 dB after 5 times the training" in dict(answer.rows())["confirmed"]
    # Trial 1 is better by its own run and costs no more: it is said why it was not chosen.
    assert answer.passed.candidate.number == 1
    assert answer.passed.own == pytest.approx(0.03)
    assert answer.passed.gap.psnr < 0
    why = f"it is {-answer.passed.gap.psnr:.2f} ± {Z95 * answer.passed.gap.error:.2f} dB lower"
    assert f"0.03 dB higher; over all runs and its confirmation {why}" in passed_over(
        answer.passed
    )
    # The third was not trained again, so it is no longer recommended, nor compared.
    assert 2 not in {c.number for c in answer.ties}
    # What longer training gives to all alike changes nothing.
    shifted = tuple(replace(e, psnr=e.psnr + 3.0) for e in again)
    other = recommend(replace(study, confirmations=shifted))
    assert other.candidate.number == 0
    assert other.psnr == pytest.approx(answer.psnr)
    assert other.error == pytest.approx(answer.error)


@pytest.mark.parametrize(
    ("task", "words"),
    [("sr4", "bilinear interpolation"), ("denoise25", "the degraded image")],
)
def test_what_costs_nothing_is_named_as_the_task_has_it(task, words, synthetic_study):
    study = synthetic_study(20, task=task, skip_psnr=20.0)
    assert f"over {words} (20.00 dB)" in dict(recommend(study).rows())["gain"]
    with pytest.raises(UserError, match=rf"beats {words} \(99.00 dB\)"):
        recommend(synthetic_study(20, task=task, skip_psnr=99.0))


def test_the_losers_of_early_stopping_count_in_matched_pairs(synthetic_study, evaluated):
    study = synthetic_study(1, references=False)
    study = replace(study, config=replace(study.config, skip_psnr=24.0))
    rungs = ((125, 24.6), (500, 24.9))
    full = [Design(width=20 + 20 * i) for i in range(4)]
    whole = [replace(evaluated(d, psnr=25.2), rungs=rungs) for d in full]
    one = [d.replace(binarize=(Part.TAIL,)) for d in full]
    stopped = [
        replace(evaluated(d, psnr=float("nan")), status="stopped", rungs=own)
        for d, own in zip(
            one,
            (((125, 24.5), (500, 24.7)), ((125, 24.3),), ((125, 24.2),), ((125, 20.0),)),
            strict=True,
        )
    ]
    found = [Candidate(i, e) for i, e in enumerate([*whole, *stopped])]
    study = replace(study, candidates=tuple(found))
    pairs = MatchedPool.of(study).compared(without(Part.TAIL))[0]
    # At the last rung that both reached; what was below the global skip there is no pair.
    assert sorted(round(gap(*pair), 6) for pair in pairs) == [-0.4, -0.3, -0.2]
    evidence = findings(study).part(Part.TAIL)
    assert evidence.effect == pytest.approx(-0.3)
    assert evidence.basis == "3 matched pairs, 3 of them at a rung"
