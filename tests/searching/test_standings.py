from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bbnas.searching.standings import Standings, crowding

small = st.integers(0, 5).map(float)
changes = st.lists(
    st.tuples(st.integers(0, 40), st.none() | st.tuples(small, small, small)), min_size=10
)


def ranks(rows: dict[int, tuple[float, ...]]) -> dict[int, int]:
    """By the definition: one more than the worst rank of those that dominate it."""
    found: dict[int, int] = {}

    def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    for number, row in sorted(rows.items(), key=lambda item: item[1]):
        above = [found[n] for n, other in rows.items() if n in found and dominates(other, row)]
        found[number] = 1 + max(above, default=-1)
    return found


@given(changes, st.integers(0, 1000))
def test_standings_kept_up_to_date_are_those_of_the_definition(
    steps: list[tuple[int, tuple[float, float, float] | None]], seed: int
) -> None:
    kept, rows = Standings(), {}
    start = np.random.default_rng(seed).integers(0, 6, (40, 3)).astype(float)
    for number, row in [*enumerate(map(tuple, start)), *steps]:
        if row is None:
            assert kept.drop(number) == (rows.pop(number, None) is not None)
            continue
        psnr, *costs = row
        assert kept.put(number, psnr, *costs) == (rows.get(number) != (-psnr, *costs))
        rows[number] = (-psnr, *costs)
        behind = kept.behind  # so that each change is taken in by itself
    numbers = kept.numbers.tolist()
    assert numbers == sorted(rows)
    assert kept.psnr.tolist() == [-rows[n][0] for n in numbers]
    behind = [
        rows[n][0] - min(r[0] for r in rows.values() if r[1] <= rows[n][1] and r[2] <= rows[n][2])
        for n in numbers
    ]
    assert kept.behind.tolist() == behind
    by_rank = ranks(rows)
    for number in range(len(rows) + 1):
        best = {numbers[i] for i in np.flatnonzero(kept.best(number))}
        assert len(best) == number
        left = {by_rank[n] for n in rows if n not in best}
        assert max((by_rank[n] for n in best), default=0) <= min(left, default=99)
    again = Standings()
    for number, (negative, *costs) in rows.items():
        again.put(number, -negative, *costs)
    assert [kept.best(n).tolist() for n in range(len(rows))] == [
        again.best(n).tolist() for n in range(len(rows))
    ]


@given(hnp.arrays(np.float64, (9, 3), elements=st.integers(0, 5).map(float)))
def test_crowding_is_that_of_its_definition(points: np.ndarray) -> None:
    for i, found in enumerate(crowding(points)):
        total = 0.0
        for column in points.T:
            order = sorted(range(9), key=lambda j, c=column: c[j])  # type: ignore[misc]
            place = order.index(i)
            if place in (0, 8):
                total = np.inf
            elif column[order[-1]] > column[order[0]]:
                span = column[order[-1]] - column[order[0]]
                total += (column[order[place + 1]] - column[order[place - 1]]) / span
        assert found == pytest.approx(total)
