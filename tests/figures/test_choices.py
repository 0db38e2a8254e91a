from __future__ import annotations

from bbnas.figures.choices import axes_of, chosen_by


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
