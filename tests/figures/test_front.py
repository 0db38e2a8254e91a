from __future__ import annotations

from dataclasses import replace

import plotly.graph_objects as go
import pytest

from bbnas.analysis import front, recommend
from bbnas.design import TITLES
from bbnas.figures.front import draw_front, front_figure
from bbnas.figures.hover import hover


@pytest.mark.parametrize(("candidates", "diverged"), [(120, 0.05), (1, 0.0), (3, 1.0)])
def test_plotly_accepts_every_front(synthetic_study, candidates, diverged):
    study = synthetic_study(candidates, diverged=diverged)
    chosen = 0 if diverged == 0 else None
    spec = draw_front(front_figure(study, chosen, bicubic=25.0))
    go.Figure(spec)  # raises on a name or value that Plotly does not know
    assert spec["data"]


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
    text = hover(replace(candidate, baseline="<b>mine</b>"))
    assert f"{candidate.evaluation.psnr:.2f} dB" in text
    assert candidate.evaluation.design.label().split(", ")[0] in text
    assert "&lt;b&gt;mine" in text


def test_each_dot_is_drawn_once_in_each_colouring(synthetic_study):
    study = synthetic_study(150, baselines=("srresnet", "bbcu-m"))
    chosen = recommend(study).candidate.number
    spec = draw_front(front_figure(study, chosen))
    for colouring in ("params", "parts"):
        numbers = [
            number
            for trace in spec["data"]
            if trace["meta"]["mode"] in ("always", colouring)
            and "customdata" in trace  # else an entry of the legend, or a line
            for number in trace["customdata"]
        ]
        assert sorted(numbers) == [c.number for c in study.candidates]


def test_methods_are_colours_of_their_own_and_come_first(methods_study):
    study = methods_study({(m, w): 25.0 + w / 64 for m in TITLES for w in (32, 64)})
    figure = front_figure(study, None)
    assert figure.colours == ("methods", "params")  # of denoising all have one 1-bit part
    spec = draw_front(figure)
    go.Figure(spec)
    shown = [trace for trace in spec["data"] if trace["visible"]]
    assert {trace["meta"]["mode"] for trace in shown} == {"always", "methods"}
    assert not spec["layout"]["coloraxis"]["showscale"]
    drawn = {t["name"]: t["customdata"] for t in shown if "customdata" in t}
    assert sorted(n for numbers in drawn.values() for n in numbers) == list(range(2 * len(TITLES)))
    for candidate in study.candidates:
        title = TITLES[candidate.evaluation.design.published]
        assert candidate.number in drawn[title]
    styles = [(t["marker"]["color"], t["marker"]["symbol"][0]) for t in shown if "customdata" in t]
    assert len(set(styles)) == len(styles)


def test_published_designs_are_hidden_until_asked_for(synthetic_study):
    study = synthetic_study(20)
    (overlay,) = [
        trace
        for trace in draw_front(front_figure(study, None, 25.0))["data"]
        if trace["meta"]["mode"] == "published"
    ]
    assert overlay["visible"] is False
    assert max(overlay["y"]) == pytest.approx(32.16 - 28.63)  # SRResNet over bicubic, Set5


def test_the_colour_bar_spans_the_candidates(synthetic_study):
    study = synthetic_study(100, diverged=0)
    axis = draw_front(front_figure(study, None))["layout"]["coloraxis"]
    params = [c.evaluation.params for c in study.candidates]
    assert 10 ** axis["cmin"] == pytest.approx(min(params))
    assert 10 ** axis["cmax"] == pytest.approx(max(params))
    assert axis["colorbar"]["ticktext"] == ["10 K", "100 K", "1 M"]
    one = draw_front(front_figure(synthetic_study(1, diverged=0), None))
    assert len(one["layout"]["coloraxis"]["colorbar"]["tickvals"]) == 1
