from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest

from bbnas.analysis import front, recommend
from bbnas.design import TITLES
from bbnas.figures.parallel import LINES, OTHERS, SPREAD, draw_parallel, parallel_figure


def value_at(axis, place):
    """The value whose band of the axis holds a place."""
    nearest = int(np.argmin([abs(place - at) for at in axis.places]))
    assert abs(place - axis.places[nearest]) <= SPREAD / len(axis.values) + 1e-9
    return axis.values[nearest]


def test_a_line_passes_through_the_choices_of_its_design(synthetic_study):
    study = synthetic_study(150)
    figure = parallel_figure(study, None)
    titles = [axis.title for axis in figure.axes]
    assert titles[0] == "head"
    assert titles[-1] == "PSNR (dB)"
    feasible = {c.number: c.evaluation for c in study.candidates if c.evaluation.feasible}
    assert sorted(line.number for line in figure.lines) == sorted(feasible)
    width = next(axis for axis in figure.axes if axis.title == "width")
    assert width.values == ("16", "32", "48", "64")  # in the order of their size
    for line in figure.lines:
        design = feasible[line.number].design
        made = dict(zip(titles, line.places, strict=True))
        found = {axis.title: value_at(axis, made[axis.title]) for axis in figure.axes[:-1]}
        assert found["width"] == str(design.width)
        assert found["body"] == ("1-bit" if design.binary("body") else "full")
        expected = design.estimator if design.binarize else "–"  # idle in full precision
        assert found["estimator"] == expected
    by_psnr = sorted(figure.lines, key=lambda line: line.psnr)
    heights = [line.places[-1] for line in by_psnr]
    assert heights == sorted(heights)
    assert heights[-1] == 1
    counts = np.bincount([line.quarter for line in figure.lines])
    assert max(counts) - min(counts) <= 1


def test_the_recommended_design_and_a_selection(synthetic_study):
    study = synthetic_study(80)
    chosen = recommend(study).candidate.number
    spec = draw_parallel(parallel_figure(study, chosen))
    assert set(spec["data"][-1]["customdata"]) == {chosen}
    numbers = [c.number for c in study.candidates if c.evaluation.feasible][:9]
    some = parallel_figure(study, chosen, numbers)
    assert sorted(line.number for line in some.lines if line.selected) == sorted(numbers)
    # Axes, places and colours are those of all designs, so that a selection moves nothing.
    whole = {line.number: line for line in parallel_figure(study, chosen).lines}
    assert some.axes == parallel_figure(study, chosen).axes
    for line in some.lines:
        assert line._replace(selected=True) == whole[line.number]
    pale, *coloured = draw_parallel(some)["data"]
    assert pale["name"] == "not selected"
    drawn = {n for trace in coloured for n in trace["customdata"]}
    assert drawn == {*numbers, chosen}
    assert parallel_figure(replace(study, candidates=()), None) is None


def test_values_can_be_clicked_where_a_brush_is_offered(synthetic_study):
    figure = parallel_figure(synthetic_study(80), None)
    labels = draw_parallel(figure, ["width: 32"])["layout"]["annotations"]
    (chosen,) = [label for label in labels if label.get("name") == "width: 32"]
    other = next(label for label in labels if label.get("name") == "width: 64")
    assert chosen["bgcolor"] != other["bgcolor"]
    named = {label["name"] for label in labels if label.get("captureevents")}
    assert named == {name for axis in figure.axes for name in axis.names}
    plain = draw_parallel(figure)["layout"]["annotations"]
    assert not any("captureevents" in label for label in plain)


def test_a_large_study_is_sampled_and_keeps_its_front(synthetic_study):
    study = synthetic_study(LINES + 200)
    figure = parallel_figure(study, None)
    feasible = sum(c.evaluation.feasible for c in study.candidates)
    assert figure.left_out == feasible - len(figure.lines) > 0
    assert {c.number for c in front(study)} <= {line.number for line in figure.lines}
    few = set(range(700, 720))
    marked = parallel_figure(study, None, few)
    assert {line.number for line in marked.lines if line.selected} == {
        c.number for c in study.candidates if c.number in few and c.evaluation.feasible
    }
    assert marked.left_out == 0
    assert sum(not line.selected for line in marked.lines) == OTHERS


@pytest.mark.parametrize("kind", ["axes", "methods"])
def test_plotly_draws_the_lines_as_svg(synthetic_study, methods_study, kind):
    methods = {(m, w): 25.0 + w / 64 for m in TITLES for w in (32, 64)}
    study = synthetic_study(60) if kind == "axes" else methods_study(methods)
    figure = parallel_figure(study, 0)
    spec = draw_parallel(figure)
    go.Figure(spec)
    assert {trace["type"] for trace in spec["data"]} == {"scatter"}  # parcoords needs unsafe-eval
    texts = {label["text"] for label in spec["layout"]["annotations"]}
    assert texts == {value for axis in figure.axes for value in axis.values}
    if kind == "methods":
        assert [axis.title for axis in figure.axes] == ["method", "width", "PSNR (dB)"]
