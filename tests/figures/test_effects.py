from __future__ import annotations

from dataclasses import replace

from bbnas.analysis import StudyFindings, findings
from bbnas.figures.effects import effects_figure


def test_effects_are_placed_in_order_of_value(synthetic_study):
    found = findings(synthetic_study(200))
    figure = effects_figure(found)
    bars = [bar for _, _, bars in figure.groups for bar in bars]
    assert {bar.finding for bar in bars} == set(found.effects)
    pairs = sorted((bar.finding.effect, bar.mark) for bar in bars)
    assert [mark for _, mark in pairs] == sorted(mark for _, mark in pairs)
    assert all(0 <= bar.low <= bar.mark <= bar.high <= 1 for bar in bars)
    assert all(0 <= place <= 1 for place, _ in figure.ticks)
    assert (figure.zero, "0") in figure.ticks
    for bar in bars:
        assert (bar.tone == "open") == (not bar.finding.settled)


def test_one_wild_interval_does_not_squeeze_the_others(synthetic_study):
    one = findings(synthetic_study(200)).effects[0]
    calm = [replace(one, choice=str(i), effect=-0.2, low=-0.25, high=-0.15) for i in range(12)]
    wild = replace(one, axis="width", effect=0.1, low=-40.0, high=40.0)
    figure = effects_figure(StudyFindings((*calm, wild), ()))
    calm_bar = figure.groups[0][2][0]
    assert calm_bar.high - calm_bar.low > 0.05
    assert figure.groups[1][2][0].high == 1.0


def test_no_effects_no_figure():
    assert effects_figure(StudyFindings((), ())) is None
