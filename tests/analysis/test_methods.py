from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbnas.analysis import methods_frame, rank_methods
from bbnas.analysis.regression import fit_effects
from bbnas.design import TITLES
from bbnas.presets import load_design

# Of denoise25 at the proxy, in round numbers; IR-Net is known at one width only.
FOUND = {
    ("bbcu", 32): 26.4,
    ("bbcu", 48): 26.6,
    ("bbcu", 64): 26.7,
    ("reactnet", 32): 22.8,
    ("reactnet", 48): 24.1,
    ("reactnet", 64): 25.1,
    ("bireal", 48): 23.8,
    ("bireal", 64): 24.3,
    ("irnet", 64): 25.9,
    ("bnn", 32): 20.1,
    ("bnn", 48): math.nan,
    ("bnn", 64): 22.8,
}


def test_methods_are_compared_at_equal_parts_and_size_only(methods_study):
    ranking = rank_methods(methods_study(FOUND, skip_psnr=20.7))
    assert ranking.reference == "BBCU"
    assert [str(size) for size in ranking.sizes] == ["body, 32×18", "body, 48×18", "body, 64×18"]
    rows = {row.method: row for row in ranking.rows}
    assert list(rows) == ["bbcu", "irnet", "reactnet", "bireal", "bnn"]
    assert rows["bbcu"].against == 0.0
    # By its mean PSNR IR-Net would be ahead of BBCU: it was only tried at the largest width.
    assert rows["irnet"].against == pytest.approx(25.9 - 26.7)
    assert rows["reactnet"].against == pytest.approx((22.8 + 24.1 + 25.1 - 26.4 - 26.6 - 26.7) / 3)
    assert rows["bireal"].against == pytest.approx((23.8 + 24.3 - 26.6 - 26.7) / 2)
    assert rows["bnn"].against == pytest.approx((20.1 + 22.8 - 26.4 - 26.7) / 2)
    assert [row.pairs for row in ranking.rows] == [3, 1, 3, 2, 2]
    # One no better than the noisy image, one diverged.
    assert [row.collapsed for row in ranking.rows] == [0, 0, 0, 0, 2]
    assert rows["bnn"].best == 22.8


def test_the_table_has_a_column_a_size(methods_study):
    table = methods_frame(rank_methods(methods_study(FOUND)))
    assert list(table.columns[:4]) == [
        "method",
        "against BBCU (dB)",
        "sizes compared",
        "best (dB)",
    ]
    by_title = table.set_index("method")
    for (method, width), psnr in FOUND.items():
        assert by_title.loc[TITLES[method], f"body, {width}×18"] == pytest.approx(
            psnr, nan_ok=True
        )
    assert math.isnan(by_title.loc["IR-Net", "body, 32×18"])
    many = {(method, width): 25.0 for method in ("bbcu", "bnn") for width in range(10, 20)}
    assert len(methods_frame(rank_methods(methods_study(many))).columns) == 4


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(("bbcu", "bnn", "reactnet", "btm")), st.sampled_from((32, 64))),
        st.floats(15, 35),
        min_size=1,
    )
)
def test_a_ranking_holds_every_design_once_and_falls(methods_study, found):
    ranking = rank_methods(methods_study(found))
    if ranking is None:
        # No two methods share a width, or there are not two.
        reference = "bbcu" if any(m == "bbcu" for m, _ in found) else None
        widths = [{w for m, w in found if m == method} for method in {m for m, _ in found}]
        own = {w for m, w in found if m == reference}
        assert len(widths) < 2 or reference is None or sum(bool(w & own) for w in widths) < 2
        return
    assert sum(len(row.psnr) for row in ranking.rows) == len(found)
    gaps = [row.against for row in ranking.rows if row.pairs]
    assert gaps == sorted(gaps, reverse=True)


def test_of_a_space_of_axes_only_baselines_are_compared(synthetic_study):
    assert rank_methods(synthetic_study(60)) is None
    named = rank_methods(synthetic_study(60, baselines=("srresnet", "reactnet", "bbcu-l")))
    assert [row.title for row in named.rows] == ["BBCU", "ReActNet"]
    assert [row.pairs for row in named.rows] == [1, 1]


def test_one_method_alone_is_no_ranking(methods_study):
    assert rank_methods(methods_study({("bbcu", 32): 26.0, ("bbcu", 64): 26.5})) is None
    assert rank_methods(methods_study({})) is None


def test_the_method_is_one_choice_against_bbcu(methods_study):
    worth = {"bbcu": 0.0, "reactnet": -0.5, "bnn": -2.0}
    psnr = {
        (method, width): 26 + worth[method] + width / 64
        for method in worth
        for width in (16, 32, 48, 64)
    }
    fit = fit_effects(methods_study(psnr))
    found = {(e.axis, e.choice): e for e in fit.effects}
    assert {axis for axis, _ in found} == {"method", "width"}  # and none of the unit's axes
    for method in ("reactnet", "bnn"):
        effect = found["method", TITLES[method]]
        assert (effect.reference, effect.n) == ("BBCU", 4)
        assert effect.effect == pytest.approx(worth[method])


def test_what_collapsed_is_left_out_of_the_fit_and_counted(methods_study):
    psnr = {
        (method, width): 26 - 0.5 * (method == "reactnet") + 0.01 * (width % 7)
        for method in ("bbcu", "reactnet")
        for width in range(20, 30 if method == "reactnet" else 36)
    }
    broken = {("reactnet", width): 15.0 for width in range(30, 36)}
    whole = fit_effects(methods_study(psnr, skip_psnr=20.7))
    fit = fit_effects(methods_study(psnr | broken, skip_psnr=20.7))
    assert fit == replace(whole, left_out=6)
    assert fit.candidates == 26
    # Without the floor the broken ones make it several dB.
    worst = next(e for e in fit_effects(methods_study(psnr | broken)).effects)
    assert worst.effect < -3 < next(e for e in fit.effects if e.axis == "method").effect


def test_a_baseline_of_another_method_is_no_reference_of_any_axis(synthetic_study, evaluated):
    study = synthetic_study(60, diverged=0)
    stranger = replace(
        study.candidates[0], baseline="bnn", evaluation=evaluated(load_design("bnn"), psnr=21.0)
    )
    with_it = replace(study, candidates=(stranger, *study.candidates[1:]))
    without = replace(study, candidates=study.candidates[1:])
    assert fit_effects(with_it) == fit_effects(without)
