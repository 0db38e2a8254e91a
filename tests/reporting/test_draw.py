from __future__ import annotations

import plotly.graph_objects as go
import pytest

from bbnas.analysis import hypervolume_curve, recommend
from bbnas.design import TITLES
from bbnas.reporting import draw, figures


@pytest.mark.parametrize(("candidates", "diverged"), [(120, 0.05), (1, 0.0), (3, 1.0)])
def test_plotly_accepts_every_figure(synthetic_study, candidates, diverged):
    study = synthetic_study(candidates, diverged=diverged)
    chosen = 0 if diverged == 0 else None
    specs = [draw.draw_front(figures.front_figure(study, chosen, bicubic=25.0))]
    specs.append(draw.draw_curves(figures.curves(study, chosen)))
    volume = hypervolume_curve(study)
    if volume:
        specs.append(draw.draw_hypervolume(volume))
    for spec in specs:
        go.Figure(spec)  # raises on a name or value that Plotly does not know
        assert spec["data"]


def test_each_dot_is_drawn_once_in_each_colouring(synthetic_study):
    study = synthetic_study(150, baselines=("srresnet", "bbcu-m"))
    chosen = recommend(study).candidate.number
    spec = draw.draw_front(figures.front_figure(study, chosen))
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
    figure = figures.front_figure(study, None)
    assert figure.colours == ("methods", "params")  # of denoising all have one 1-bit part
    spec = draw.draw_front(figure)
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
        for trace in draw.draw_front(figures.front_figure(study, None, 25.0))["data"]
        if trace["meta"]["mode"] == "published"
    ]
    assert overlay["visible"] is False
    assert max(overlay["y"]) == pytest.approx(32.16 - 28.63)  # SRResNet over bicubic, Set5


def test_the_colour_bar_spans_the_candidates(synthetic_study):
    study = synthetic_study(100, diverged=0)
    axis = draw.draw_front(figures.front_figure(study, None))["layout"]["coloraxis"]
    params = [c.evaluation.params for c in study.candidates]
    assert 10 ** axis["cmin"] == pytest.approx(min(params))
    assert 10 ** axis["cmax"] == pytest.approx(max(params))
    assert axis["colorbar"]["ticktext"] == ["10 K", "100 K", "1 M"]
    one = draw.draw_front(figures.front_figure(synthetic_study(1, diverged=0), None))
    assert len(one["layout"]["coloraxis"]["colorbar"]["tickvals"]) == 1
