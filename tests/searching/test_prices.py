"""Latency as an objective: measured once a shape, kept by design, the same after a resume."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import asdict
from pathlib import Path

import pytest
from quick import quick_search

from bbnas.analysis import recommend
from bbnas.engine.latency import setting
from bbnas.errors import UserError
from bbnas.searching import SearchResult, summary
from bbnas.space import Space
from bbnas.store import Store, open_study
from bbnas.tasks import get_task

HERE = setting((24, 16))
SPACE = Space.from_dict(
    {
        "version": 1,
        "name": "timed",
        "axes": {
            "binarize": [[], ["body"], ["body", "upsampling"]],
            "k_ratio": ["off", 0.25, 1, 4],
            "estimator": ["clip", "quadratic"],
            "width": [8, 16],
            "depth": [16],
        },
    }
)
TIMED = {"space": SPACE, "objectives": ("psnr", "params", "latency"), "latency": HERE}


def rows(folder: Path) -> list[tuple[str, float]]:
    with sqlite3.connect(folder / "quick.db") as database:
        return database.execute("SELECT shape, seconds FROM bbnas_latencies").fetchall()


def latencies(result: SearchResult) -> dict[str, float]:
    return {c.evaluation.design.key: c.evaluation.latency for c in result.study.candidates}


def test_latency_is_an_objective_and_is_kept(tmp_path: Path) -> None:
    first = quick_search(tmp_path, 10, **TIMED)
    found = latencies(first)
    assert len(found) == 10
    assert all(seconds > 0 for seconds in found.values())
    kept = rows(tmp_path)
    assert len(kept) == 10
    # A measurement a shape, however many designs share it.
    assert len(set(kept)) == len({shape for shape, _ in kept}) < 10
    assert first.study.latency == HERE
    told = summary(first.study, first)
    assert told["latency"] == asdict(HERE)
    assert all(point["latency"] > 0 for point in told["front"])
    again = quick_search(tmp_path, 14, **TIMED)
    assert found.items() <= latencies(again).items()
    assert len(latencies(again)) == 14
    assert len({reference for (reference,) in _column(tmp_path, "reference")}) == 1


def _column(folder: Path, name: str) -> list[tuple[float]]:
    with sqlite3.connect(folder / "quick.db") as database:
        return database.execute(f"SELECT {name} FROM bbnas_latencies").fetchall()  # noqa: S608


def test_another_setting_is_another_study(tmp_path: Path) -> None:
    quick_search(tmp_path, 3, **TIMED)
    other = setting((32, 16))
    with pytest.raises(UserError, match=r"latency.lq was \(24, 16\), is now \(32, 16\)"):
        quick_search(tmp_path, 3, **(TIMED | {"latency": other}))
    with pytest.raises(UserError, match="objectives was"):
        quick_search(tmp_path, 3, space=SPACE)


def test_a_limit_rejects_before_training(tmp_path: Path) -> None:
    everything = quick_search(tmp_path, 48, **TIMED, name="all")
    times = latencies(everything)
    limit = sorted(times.values())[len(times) // 2]
    limited = quick_search(
        tmp_path, 48, space=SPACE, max_latency=limit, latency=HERE, name="limited"
    )
    assert limited.study.config.objectives == ("psnr", "ops", "params")
    fast = {key for key, seconds in times.items() if seconds <= limit}
    assert set(latencies(limited)) == fast
    assert limited.counts.rejected > 0
    with pytest.raises(UserError, match=r"keeps max_latency 0\.00 ms: the smallest have latency"):
        quick_search(tmp_path, 5, space=SPACE, max_latency=1e-9, latency=HERE, name="none")


def test_a_study_without_latency_knows_it_once_it_is_measured(tmp_path: Path) -> None:
    quick_search(tmp_path, 4, space=SPACE)
    url = f"sqlite:///{tmp_path}/quick.db"
    study = open_study("quick", url)
    assert study.latency is None
    assert all(math.isnan(c.evaluation.latency) for c in study.candidates)
    with pytest.raises(UserError, match="latencies: measure them"):
        recommend(study, max_latency=1.0)
    from bbnas.searching.prices import Clock

    clock = Clock(Store(url), get_task("sr4"), HERE)
    for candidate in study.candidates:
        clock(candidate.evaluation.design)
    timed = open_study("quick", url)
    assert timed.latency == HERE
    assert all(c.evaluation.latency > 0 for c in timed.candidates)
    assert recommend(timed, max_latency=1e3).candidate.evaluation.latency > 0
    with pytest.raises(UserError, match=r"no candidate has at most 0\.01 ms: the smallest"):
        recommend(timed, max_latency=1e-5)
