"""Verdicts by contrasts within seeds, against textbook formulas and brute force."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bbnas.ablations.claims import (
    CONTRARY,
    OPEN,
    SAME,
    Claim,
    Scores,
    contrast,
    judge_claim,
    noise,
    peak,
    slope,
)
from bbnas.analysis.benefit import benefit

NAN = math.nan


def scores(psnr: dict[str, list[float]], floor: float = -math.inf, **series) -> Scores:  # type: ignore[no-untyped-def]
    return Scores(psnr, next(iter(psnr)), series, {}, floor)


def drawn(rows: int, seeds: int, sd: float = 0.02, seed: int = 0) -> dict[str, list[float]]:
    """Rows of equal PSNR; a seed does more to all of them than to one."""
    rng = np.random.default_rng(seed)
    table = 26 + rng.normal(0, 0.3, seeds) + rng.normal(0, sd, (rows, seeds))
    return {f"r{i}": values.tolist() for i, values in enumerate(table)}


def test_with_many_seeds_it_is_the_paired_t_test() -> None:
    psnr = drawn(2, 8)
    found = contrast(scores(psnr), {"r0": 1.0, "r1": -1.0})
    expected = stats.ttest_rel(psnr["r0"], psnr["r1"])
    assert (found.seeds, found.pooled) == (8, False)
    assert found.value == pytest.approx(np.mean(psnr["r0"]) - np.mean(psnr["r1"]))
    assert found[1:3] == pytest.approx(tuple(expected.confidence_interval()))


def test_with_few_seeds_it_is_the_randomised_block_design() -> None:
    """The residual variance by brute force: least squares on dummies of rows and seeds."""
    psnr = drawn(4, 3)
    table = np.array(list(psnr.values()))
    dummies = [np.eye(4)[i].tolist() + np.eye(3)[j].tolist() for i in range(4) for j in range(3)]
    _, _, rank, _ = np.linalg.lstsq(np.array(dummies), table.ravel(), rcond=None)
    fitted = np.array(dummies) @ np.linalg.lstsq(np.array(dummies), table.ravel(), rcond=None)[0]
    freedom = table.size - rank
    variance = ((table.ravel() - fitted) ** 2).sum() / freedom
    assert noise(scores(psnr)) == pytest.approx((math.sqrt(variance), freedom))
    found = contrast(scores(psnr), {"r0": 1.0, "r1": -1.0})
    half = stats.t.ppf(0.975, freedom) * math.sqrt(2 * variance / 3)
    assert found.pooled
    assert found.high - found.value == pytest.approx(half)


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.floats(0.1, 40))
def test_what_a_seed_does_to_all_rows_changes_nothing(shifts: list[float], floor: float) -> None:
    psnr = drawn(3, 4)
    moved = {
        row: [v + s for v, s in zip(values, shifts, strict=True)] for row, values in psnr.items()
    }
    weights = {"r0": 0.5, "r1": 0.5, "r2": -1.0}
    before, after = contrast(scores(psnr), weights), contrast(scores(moved), weights)
    assert after[:3] == pytest.approx(before[:3], abs=1e-9)


def test_verdicts_of_rows() -> None:
    psnr = {
        "best": [26.5, 26.6, 26.4, 26.7, 26.5],
        "same": [26.5, 26.59, 26.43, 26.68, 26.51],
        "worse": [26.3, 26.41, 26.2, 26.49, 26.32],
    }
    claim = Claim(kind="above", of="best", than=("same", "worse"))
    assert [j.verdict for j in judge_claim(claim, scores(psnr))] == [OPEN, SAME]
    turned = Claim(kind="above", of="worse", than=("best",))
    assert [j.verdict for j in judge_claim(turned, scores(psnr))] == [CONTRARY]
    assert judge_claim(claim, scores(psnr))[1].effect.value == pytest.approx(0.196)
    # One seed has no noise, so nothing is told.
    single = {row: values[:1] for row, values in psnr.items()}
    assert [j.verdict for j in judge_claim(claim, scores(single))] == [OPEN, OPEN]


def test_a_row_that_always_diverges_is_a_finding() -> None:
    psnr = {"a": [26.0, 26.1], "b": [NAN, NAN], "c": [26.2, NAN]}
    (found,) = judge_claim(Claim(kind="above", of="a", than=("b",)), scores(psnr))
    assert (found.verdict, found.note) == (SAME, "b diverges with every seed")
    (found,) = judge_claim(Claim(kind="above", of="b", than=("a",)), scores(psnr))
    assert found.verdict == CONTRARY
    # Its VC is the highest that there is, whichever way round the claim is.
    for claim, verdict in (
        (Claim(kind="above", of="b", than=("a",), figure="vc"), SAME),
        (Claim(kind="above", of="a", than=("b",), figure="vc"), CONTRARY),
    ):
        parts = {"a": (1e3, 1.0), "b": (1e3, 1.0)}
        (found,) = judge_claim(claim, replace(scores(psnr), reference="c", saved=parts))
        assert found.verdict == verdict
    # What diverged once is judged by the seeds that are left.
    (found,) = judge_claim(Claim(kind="above", of="c", than=("a",)), scores(psnr))
    assert (found.verdict, found.effect.seeds) == (OPEN, 1)


def test_networks_that_learned_nothing_tell_nothing_and_are_no_noise() -> None:
    psnr = drawn(3, 3) | {"dead": [3.0, 24.0, 11.0], "dead too": [4.0, 5.0, 4.0]}
    (found,) = judge_claim(Claim(kind="above", of="dead", than=("dead too",)), scores(psnr, 25.0))
    assert (found.verdict, found.note) == (OPEN, "none of these beats the global skip")
    assert noise(scores(psnr, 25.0)) == noise(scores(drawn(3, 3)))
    (found,) = judge_claim(Claim(kind="above", of="r0", than=("dead too",)), scores(psnr, 25.0))
    assert found.verdict == SAME


def test_falling_over_a_series_is_the_least_squares_slope() -> None:
    x = {"r0": 1.0, "r1": 2.0, "r2": 4.0, "r3": 8.0}
    psnr = {
        row: [v - 0.2 * math.log2(x[row]) for v in values] for row, values in drawn(4, 5).items()
    }
    (found,) = judge_claim(Claim(kind="falls", of="s"), scores(psnr, s=x))
    fits = [
        stats.linregress([0, 1, 2, 3], [psnr[row][seed] for row in x]).slope for seed in range(5)
    ]
    assert found.effect.value == pytest.approx(-np.mean(fits))
    assert found.verdict == SAME
    assert sum(slope(x).values()) == pytest.approx(0)
    flat = drawn(4, 5)
    both = psnr | {f"flat {row}": values for row, values in flat.items()}
    other = {f"flat {row}": value for row, value in x.items()}
    # Of a series that diverges but for a point there is no slope to fall less steeply than.
    gone = both | {row: [NAN] * 5 for row in other if row != "flat r0"}
    claim = Claim(kind="falls", of="s", than=("t",))
    (found,) = judge_claim(claim, scores(gone, s=x, t=other))
    assert found.verdict == OPEN
    (found,) = judge_claim(claim, scores(both, s=x, t=other))
    assert (found.verdict, found.words) == (SAME, "s falls more than t")


def test_flat_needs_proof_of_being_flat() -> None:
    x = {"r0": 1.0, "r1": 2.0, "r2": 4.0}
    claim = Claim(kind="flat", of="s", within=0.1)
    assert judge_claim(claim, scores(drawn(3, 5, 0.01), s=x))[0].verdict == SAME
    assert judge_claim(claim, scores(drawn(3, 5, 0.3), s=x))[0].verdict == OPEN
    steep = drawn(3, 5, 0.01)
    steep["r2"] = [value - 1 for value in steep["r2"]]
    found = judge_claim(claim, scores(steep, s=x))[0]
    assert (found.verdict, found.note) == (CONTRARY, "farthest: r2")


def hump(top: float, sd: float, seed: int = 0) -> tuple[dict[str, list[float]], dict[str, float]]:
    x = {f"r{i}": 2.0 ** (i - 3) for i in range(7)}
    noisy = drawn(7, 3, sd, seed)
    bent = {
        row: [v - 0.05 * math.log2(x[row] / top) ** 2 for v in values]
        for row, values in noisy.items()
    }
    return bent, x


def test_a_peak_is_found_where_it_is() -> None:
    found = peak(*hump(1.7, 1e-6))
    assert found[:3] == pytest.approx((1.7, 1.7, 1.7), abs=1e-3)
    psnr, x = hump(1.0, 0.01)
    claim = Claim(kind="peak", of="s", at=1)
    assert judge_claim(claim, scores(psnr, s=x))[0].verdict == SAME
    psnr, x = hump(4.0, 0.01)
    assert judge_claim(claim, scores(psnr, s=x))[0].verdict == CONTRARY
    noisy = judge_claim(claim, scores(drawn(7, 3), s=x))[0]  # no hump at all
    assert noisy.verdict == OPEN


def test_the_interval_of_a_peak_holds_it_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(300):
        found = peak(*hump(1.5, 0.05, seed))
        inside += found.low <= 1.5 <= found.high
    assert 0.91 <= inside / 300 <= 0.985


def test_vc_and_vp_are_those_of_equations_10_and_11() -> None:
    psnr = {"full": [28.6] * 5, "body": [28.38] * 5, "up": [28.59] * 5}
    for i in range(5):
        psnr["body"][i] += 0.001 * i
    saved = {"body": (67947.73 - 1061.68, 1179.65 - 36.86), "up": (76441.19 - 1194.39, 285.69)}
    found = Scores(psnr, "full", {}, saved)
    claim = Claim(kind="above", of="body", than=("up",), figure="vc")
    (judged,) = judge_claim(claim, found)
    ours, theirs = (
        benefit(28.6, float(np.mean(psnr[row])), saved[row][0] * 1e6, 0, saved[row][1] * 1e3, 0)
        for row in ("body", "up")
    )
    assert judged.effect.value == pytest.approx(ours.vc - theirs.vc)
    assert judged.verdict == SAME
    (judged,) = judge_claim(claim.model_copy(update={"figure": "vp"}), found)
    assert judged.effect.value == pytest.approx(ours.vp - theirs.vp)
