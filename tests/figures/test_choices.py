from __future__ import annotations

import random
from dataclasses import replace

import plotly.graph_objects as go

from bbnas.design import AXES, STRUCTURE, matters
from bbnas.figures.choices import IDLE, axes_of, chosen_by
from bbnas.figures.colouring import colourings
from bbnas.figures.front import draw_front, front_figure
from bbnas.space import load_space
from bbnas.tasks import get_task


def test_values_of_one_axis_are_alternatives_and_axes_conditions(synthetic_study):
    study = synthetic_study(120)
    axes = axes_of(study)
    designs = {c.number: c.evaluation.design for c in study.candidates}

    def where(rule):
        return {number for number, design in designs.items() if rule(design)}

    assert chosen_by(axes, ["width: 32"]) == where(lambda d: d.width == 32)
    assert chosen_by(axes, ["width: 32", "width: 64"]) == where(lambda d: d.width in (32, 64))
    found = chosen_by(axes, ["width: 32", "width: 64", "tail: 1-bit"])
    assert found == where(lambda d: d.width in (32, 64) and d.binary("tail"))
    assert chosen_by(axes, ["width: 33"]) == frozenset()
    # A choice that does not change the network is none of its values.
    assert chosen_by(axes, ["normalisation: none"]) == where(
        lambda d: d.binarize and d.norm == "none"
    )


def test_only_choices_that_differ_are_axes(synthetic_study):
    study = synthetic_study(120)
    for axis in axes_of(study):
        assert len(axis.values) > 1
        assert set(axis.made) == set(axis.values)
        assert set(axis.by_number) == set(range(120))


def test_how_the_parts_are_built_is_a_choice_in_words_that_colours(synthetic_study):
    """Every axis of the space device, groups of the body too."""
    rng, space = random.Random(0), load_space("device")
    study = synthetic_study(60)
    built = tuple(
        replace(c, evaluation=replace(c.evaluation, design=space.sample(rng)))
        for c in study.candidates
    )
    study = replace(study, candidates=built, config=replace(study.config, space=space))
    axes = {axis.title: axis for axis in axes_of(study)}
    fitting = [name for name in STRUCTURE if AXES[name].fits(get_task("sr4"))]
    for name in fitting:
        axis = axes[AXES[name].title]
        for candidate in built:
            design = candidate.evaluation.design
            value = AXES[name].words(getattr(design, name)) if matters(name, design) else IDLE
            assert axis.by_number[candidate.number] == value
    assert set(fitting) <= set(colourings(study))
    for name in fitting:
        go.Figure(draw_front(front_figure(study, 3, colour=name)))
