from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from quick import Formula, quick_search
from scipy.stats import norm

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.presets import PRESETS
from bbnas.protocol import PROTOCOLS
from bbnas.searching.stopping import (
    BEYOND_NOISE,
    REDUCTION,
    rung_noise,
    to_resume,
    worth_more,
)
from bbnas.store import Store
from bbnas.study import Study

PROXY = PROTOCOLS["proxy"].model_copy(update={"rungs": (100, 250), "noise": 0.02})

rungs = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 40).map(lambda v: v / 20), min_size=n, max_size=n),
        hnp.arrays(np.float64, (n, 2), elements=st.integers(1, 4).map(float)),
    )
)


def test_a_rung_misleads_by_as_much_as_gains_differ() -> None:
    assert rung_noise([0.1, 0.9, 0.1, 0.9], 0.03) == 0.06  # too few
    assert rung_noise([0.5] * 9, 0.03) == 0.06
    assert rung_noise([0.1, 0.2, 0.3, 0.4, 0.5], 0.03) == pytest.approx(0.1 / norm.ppf(0.75), 1e-4)
    # One that starts late does not make all the others doubtful.
    assert rung_noise([0.1, 0.2, 0.3, 0.4, 0.5, 14.0], 0.03) < 0.3


@given(rungs, st.sampled_from([0.0, 0.02, 0.5]), st.sampled_from([1.0, 2.0, 3.0]))
def test_none_goes_on_that_a_cheaper_one_beats_beyond_the_noise(
    rung: tuple[list[float], np.ndarray], noise: float, reduction: float
) -> None:
    psnr, costs = rung
    kept = worth_more(psnr, costs, noise, reduction)
    for i, goes_on in enumerate(kept):
        beaten = any(
            (costs[j] <= costs[i]).all() and psnr[j] - psnr[i] > BEYOND_NOISE * noise
            for j in range(len(psnr))
        )
        assert not (goes_on and beaten)
        if reduction == 1.0:
            assert goes_on is np.bool_(not beaten)
    assert 1 <= kept.sum() <= -(-len(psnr) // reduction)
    # The best there is always goes on, unless others as good are chosen before it.
    best = np.array(psnr) == max(psnr)
    assert (kept & best).any() or reduction > 1.0


def test_ranks_decide_and_then_loneliness() -> None:
    # Rank 0: a, b, c, d with b and c close together; rank 1: e, just behind a.
    psnr = [25.0, 24.60, 24.59, 24.0, 24.99]
    costs = [[4.0], [3.0], [2.9], [1.0], [4.0]]
    assert worth_more(psnr, costs, noise=1.0, reduction=2).tolist() == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert worth_more(psnr, costs, noise=1.0, reduction=1).all()


def test_the_first_rung_only_stops_what_is_beaten(
    synthetic_study: Callable[..., Study], evaluated: Callable[..., Evaluation]
) -> None:
    """Six of equal cost, each a little behind the one before, and one far behind."""
    config = synthetic_study(1, protocol=PROXY, early_stopping=True).config
    psnr = [25.0 - 0.01 * i for i in range(6)] + [24.0]

    def going(rung: int) -> set[int]:
        found = {
            i: evaluated(
                Design(),
                np.nan,
                status="stopped",
                rungs=tuple((r, p) for r in PROXY.rungs if r <= rung),
            )
            for i, p in enumerate(psnr)
        }
        passed: set[int] = set()
        while (number := to_resume(config, found, running=passed)) is not None:
            passed.add(number)
        return passed

    first, last = PROXY.rungs
    assert going(first) == {0, 1, 2, 3, 4, 5}
    assert going(last) == set(range(math.ceil(7 / REDUCTION)))


def lengths(log: Path) -> dict[str, list[int]]:
    """The iterations up to which each design was trained, call by call."""
    found: dict[str, list[int]] = {}
    for line in log.read_text().splitlines():
        key, _, until = line.split()
        found.setdefault(key, []).append(int(until))
    return found


def stopping_search(folder: Path, budget: int, log: str = "log", **changes: Any) -> Any:
    evaluator = Formula(log=str(folder / log), rungs=PROXY.rungs, protocol=PROXY)
    settings: dict[str, Any] = {
        "evaluator": evaluator,
        "sampler": "random",
        "early_stopping": True,
    }
    return quick_search(folder, budget, **(settings | changes))


def test_what_is_beaten_is_stopped_and_never_on_the_front(tmp_path: Path) -> None:
    from bbnas.analysis import front

    result = stopping_search(tmp_path, 40, seed=2)
    assert result.complete
    assert len(result.study.candidates) == 40
    stopped = [c for c in result.study.candidates if c.evaluation.status == "stopped"]
    assert result.counts.stopped == len(stopped) >= 10
    assert not {c.number for c in front(result.study)} & {c.number for c in stopped}
    # The front is that of the same designs, all trained to the end.
    whole = stopping_search(tmp_path, 40, "whole", name="whole", early_stopping=False, seed=2)
    assert whole.counts.stopped == 0
    same = {c.evaluation.design.key for c in result.study.candidates}
    points = [c for c in front(whole.study) if c.evaluation.design.key in same]
    found = {c.evaluation.design.key for c in front(result.study)}
    assert {c.evaluation.design.key for c in points} <= found
    # Each call goes on from where the last one ended.
    for calls in lengths(tmp_path / "log").values():
        assert calls == [100, 250, PROXY.iterations][: len(calls)]
    for candidate in stopped:
        e = candidate.evaluation
        assert np.isnan(e.psnr)
        assert e.rungs
        assert e.rungs[-1][0] < PROXY.iterations
        assert e.result.startswith(f"stopped at iteration {e.rungs[-1][0]} with ")


def test_a_stopped_study_goes_on_without_stopping(tmp_path: Path) -> None:
    first = stopping_search(tmp_path, 30)
    assert first.counts.stopped
    again = stopping_search(tmp_path, 30, "again", early_stopping=False)
    assert again.complete
    assert again.counts.stopped == 0
    assert again.counts.done == 30
    assert again.trained == first.counts.stopped
    trained = lengths(tmp_path / "again")
    assert all(calls == [PROXY.iterations] for calls in trained.values())
    numbers = {c.number: c.evaluation.design.key for c in first.study.candidates}
    assert numbers == {c.number: c.evaluation.design.key for c in again.study.candidates}


def test_baselines_run_to_the_end(tmp_path: Path) -> None:
    result = stopping_search(
        tmp_path, 20, baselines={name: PRESETS[name] for name in ("bbcu-m", "srresnet")}
    )
    baselines = [c.evaluation for c in result.study.candidates if c.baseline]
    assert [e.status for e in baselines] == ["ok", "ok"]


def test_an_interrupted_candidate_stays_stopped_where_it_was(tmp_path: Path) -> None:
    class Interrupting(Formula):
        def __call__(self, design: Any, until: int | None = None, protocol: Any = None) -> Any:
            if until == 250:
                raise KeyboardInterrupt
            return super().__call__(design, until, protocol)

    cut = stopping_search(tmp_path, 20, evaluator=Interrupting(rungs=PROXY.rungs, protocol=PROXY))
    assert cut.interrupted
    assert cut.counts.stopped == 1
    whole = stopping_search(tmp_path, 20)
    assert whole.complete
    calls = lengths(tmp_path / "log")
    first = cut.study.candidates[0].evaluation.design.key
    assert calls[first][0] == 250


def test_on_ray_as_in_process(tmp_path: Path) -> None:
    result = stopping_search(tmp_path, 24, workers=2)
    assert result.complete
    assert result.counts.stopped
    for calls in lengths(tmp_path / "log").values():
        assert calls == [100, 250, PROXY.iterations][: len(calls)]


def test_an_older_database_is_refused_with_the_remedy(tmp_path: Path) -> None:
    quick_search(tmp_path, 4)
    with sqlite3.connect(tmp_path / "quick.db") as database:
        database.execute("UPDATE bbnas_version SET version = 2")
    with pytest.raises(UserError, match=r"schema 2, this one reads .*search again"):
        Store(f"sqlite:///{tmp_path}/quick.db")
