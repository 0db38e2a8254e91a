from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quick import SPACE, TINY, Formula, Price, keys, price, quick_search

from bbnas.cost import ops_and_params
from bbnas.design import METHODS, Design
from bbnas.errors import UserError
from bbnas.presets import PRESETS
from bbnas.space import Space, load_space
from bbnas.tasks import get_task


def test_limits_reject_before_training(tmp_path: Path) -> None:
    limit = sorted(price(d).ops for d in Space.from_dict(SPACE).enumerate())[100]
    log = tmp_path / "log"
    result = quick_search(tmp_path, 20, max_ops=limit, evaluator=Formula(log=str(log)))
    assert result.complete
    assert all(c.evaluation.ops <= limit for c in result.study.candidates)
    assert len(log.read_text().splitlines()) == 20
    assert result.study.rejected == result.counts.rejected > 0


def test_limits_that_leave_few_designs_find_each_of_them(tmp_path: Path) -> None:
    within = [d for d in TINY.enumerate() if price(d).params <= 20_000]
    result = quick_search(tmp_path, 50, space=TINY, max_params=20_000)
    assert 0 < len(within) < TINY.count()
    assert set(keys(result)) == {d.key for d in within}
    assert "within the limits" in result.note


def test_limits_that_leave_nothing_say_what_would_do(tmp_path: Path) -> None:
    least = min(price(d).params for d in Space.from_dict(SPACE).enumerate())
    with pytest.raises(UserError, match=rf"no design of space 'small'.*params {least:,.0f}"):
        quick_search(tmp_path, 5, max_params=10)


@pytest.mark.parametrize(("space", "task"), [("bbcu", "sr4"), ("methods", "denoise25")])
def test_that_nothing_keeps_the_limits_is_known_from_a_few_costs(
    space: str, task: str, tmp_path: Path
) -> None:
    asked: set[Design] = set()

    def cost(design: Design) -> Price:
        asked.add(design)
        return price(design)

    chosen = load_space(space, get_task(task))
    evaluator = Formula(task=get_task(task), prices=cost)
    with pytest.raises(UserError, match="raise the limit"):
        quick_search(tmp_path, 5, space=chosen, evaluator=evaluator, max_ops=1)
    assert len(asked) <= len(METHODS)


@settings(max_examples=10)
@given(data=st.data())
def test_no_design_costs_less_than_the_ones_asked_for_the_limits(data: st.DataObject) -> None:
    task = data.draw(st.sampled_from(("sr4", "jpeg10")))
    space = load_space(data.draw(st.sampled_from(("bbcu", "methods"))), get_task(task))
    space = space.fitted(get_task(task))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    design = space.sample(rng)
    axes = space.axes
    least = ops_and_params(
        design.replace(
            binarize=max(axes.binarize, key=len), width=min(axes.width), depth=min(axes.depth)
        ),
        get_task(task),
    )
    cost = ops_and_params(design, get_task(task))
    assert least.ops <= cost.ops
    assert least.params <= cost.params


def test_a_baseline_over_a_limit_is_left_out_with_a_word(tmp_path: Path) -> None:
    said: list[str] = []
    result = quick_search(
        tmp_path,
        5,
        baselines={"srresnet": PRESETS["srresnet"]},
        max_params=20_000,
        on_event=lambda e: said.append(e.text),
    )
    assert not any(c.baseline for c in result.study.candidates)
    assert "baseline srresnet is over max_params: left out" in said
