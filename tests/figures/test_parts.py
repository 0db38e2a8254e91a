"""The shares of the parts add up to the cost that is counted."""

from __future__ import annotations

import pytest

from bbnas.cost import count
from bbnas.figures.parts import draw_parts, part_shares
from bbnas.presets import load_design
from bbnas.tasks import get_task


@pytest.mark.parametrize("task", ["sr4", "denoise25"])
def test_shares_are_those_of_the_cost(task: str) -> None:
    cost = count(load_design("bbcu", get_task(task)), get_task(task))
    shares = part_shares(cost)
    assert [share.part for share in shares] == list(map(str, get_task(task).parts))
    assert [share.part for share in shares if share.one_bit] == ["body"]
    for name in ("ops", "params", "packed_bytes"):
        assert sum(getattr(s, name) for s in shares) == pytest.approx(getattr(cost, name))
    bars = draw_parts(shares)["data"]
    for row in range(3):
        assert sum(bar["x"][row] for bar in bars) == pytest.approx(100)
