from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from bbnas.bench.sampler.contest import check_rules, contest_rows
from bbnas.bench.sampler.efficiency import Middle, Trace, Truth
from bbnas.design import Design
from bbnas.tasks import Part

INF = math.inf


def trace(
    contender: str, seed: int, seconds: float, volume: float = 1.0, end: float = 100.0
) -> Trace:
    """One that reaches ``volume`` at once, after ``seconds``."""
    return Trace(
        *(contender, seed, (3, 9), (seconds, end), (volume, volume)),
        *("BBCU", (), 0.1, 0.0),
    )


@pytest.fixture
def truth(evaluated) -> Truth:  # type: ignore[no-untyped-def]
    subsets = [s for n in range(5) for s in itertools.combinations(Part, n)]
    designs = [
        Design(binarize=s, width=w, k_ratio=1.0 if s else None) for s in subsets for w in (32, 64)
    ]
    return Truth([evaluated(d) for d in designs], floor=24.0)


def test_the_volume_of_a_search_is_that_of_counted_points(truth: Truth) -> None:
    designs = [e.design for e in truth.front]
    random.Random(0).shuffle(designs)
    shares = truth.volumes([d.key for d in designs])
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)

    rng = np.random.default_rng(1)
    dots = rng.random((40_000, 3))

    def share(keys: set[str]) -> float:
        points = truth.box.scaled([e for e in truth.front if e.design.key in keys])
        return float(np.any(np.all(points[:, None] >= dots[None], axis=2), axis=0).mean())

    whole = share({d.key for d in designs})
    for n in (1, 2, len(designs) // 2):
        some = share({d.key for d in designs[:n]}) / whole
        assert shares[n - 1] == pytest.approx(some, abs=0.02)


def test_what_is_no_design_of_the_table_or_useless_adds_nothing(truth: Truth) -> None:
    best = truth.front[0].design.key
    assert truth.volumes(["", best, "", best]) == [0.0, *[truth.volumes([best])[0]] * 3]


def test_the_knee_loses_nothing_and_everything_on_the_front_more(truth: Truth) -> None:
    assert truth.behind(truth.knee.design.key) == 0.0
    assert all(truth.behind(e.design.key) >= 0 for e in truth.front)
    assert math.isnan(truth.behind("nothing"))


@pytest.mark.parametrize(
    ("values", "median", "reached"),
    [
        ([3.0, 1.0, 2.0], 2.0, 3),
        ([3.0, INF, 2.0], 3.0, 2),
        ([3.0, 1.0, INF, INF], INF, 2),  # between 3 and what was not reached
        ([INF, 1.0, INF], INF, 1),
        ([4.0, 1.0, 2.0, INF], 3.0, 3),
    ],
)
def test_a_median_counts_what_was_not_reached_as_last(
    values: list[float], median: float, reached: int
) -> None:
    found = Middle.of_values(values)
    assert (found.median, found.reached, found.of) == (median, reached, len(values))
    assert math.isnan(found.low)  # too few for an interval


def test_the_interval_is_that_of_the_sign_test() -> None:
    # Of 20, the 6th and the 15th: the table of the sign test, 95.9 %.
    found = Middle.of_values([*map(float, range(1, 18)), INF, INF, INF])
    assert (found.low, found.high) == (6.0, 15.0)
    assert Middle.of_values([*map(float, range(1, 15)), *[INF] * 6]).high == INF
    # Of 6 the extremes: 1 - 2/64.
    assert Middle.of_values([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).low == 1.0


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [Middle.of_values(rng.exponential(size=11).tolist()) for _ in range(2000)]
    inside = np.mean([m.low <= math.log(2) <= m.high for m in found])
    assert inside > 0.94


def test_the_rules_by_hand() -> None:
    ours = [trace("default", s, 10.0 + s) for s in range(3)]
    slow = [trace("random", s, 60.0 + s) for s in range(3)]
    tpe = [trace("tpe", s, 12.0 + s) for s in range(3)]
    first, second = check_rules([*ours, *slow, *tpe])
    assert (first.value, first.passed, first.bound) == (pytest.approx(61 / 11), True, False)
    assert (second.against, second.value) == ("tpe", pytest.approx(13 / 11))
    assert second.passed

    first, second = check_rules([*ours, *(trace("random", s, 40.0) for s in range(3))])
    assert first.passed is False
    assert (second.against, second.passed) == ("random", True)


def test_a_peer_that_never_gets_there_is_a_bound() -> None:
    ours = [trace("default", s, 10.0) for s in range(3)]
    never = [trace("random", s, 1.0, volume=0.5, end=70.0) for s in range(3)]
    first, _ = check_rules([*ours, *never])
    assert (first.value, first.bound, first.passed) == (7.0, True, True)
    short = [trace("random", s, 1.0, volume=0.5, end=20.0) for s in range(3)]
    first, second = check_rules([*ours, *short])
    assert (first.passed, second.passed) == (None, True)
    assert "raise the budget" in first.reason
    first, _ = check_rules([trace("default", 0, 1.0, volume=0.5), *never])
    assert first.passed is False


def test_left_out_contenders_leave_a_rule_open() -> None:
    assert [v.passed for v in check_rules([trace("default", 0, 1.0)])] == [None, None]
    assert [v.passed for v in check_rules([trace("random", 0, 1.0)])] == [None, None]


def test_results_are_medians_and_rates() -> None:
    lost = Trace("tpe", 1, (3,), (5.0,), (0.2,), "", ("nothing is recommended",), *[math.nan] * 2)
    (row,) = contest_rows([trace("tpe", 0, 10.0), lost], {"tpe": "TPE"})
    assert (row.title, row.seeds, row.bbcu_like) == ("TPE", 2, 0.5)
    assert row.seconds[0.95].median == INF
    assert (row.psnr_loss, row.loss) == (0.1, 0.0)
    assert row.spent == 52.5
