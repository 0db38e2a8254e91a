from __future__ import annotations

from bbnas.analysis.effects import Effect, Fit, fit_effects
from bbnas.figures.effects import effects_figure


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
