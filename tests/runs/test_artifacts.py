"""Paused trainings lie where another machine finds them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from quick import quick_search

from bbnas.data import Dataset
from bbnas.errors import UserError
from bbnas.presets import PRESETS
from bbnas.protocol import Protocol
from bbnas.runs.artifacts import artifacts_place
from bbnas.runs.executors import TrainingEvaluator, evaluated
from bbnas.store.ledger import Job
from bbnas.tasks import get_task


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_training_goes_on_from_its_rung_elsewhere(
    tmp_path: Path, quick: Protocol, dataset: Dataset, scheme: str
) -> None:
    protocol, design = quick.replace(iterations=16, rungs=(8,)), PRESETS["bbcu-m"]
    place = artifacts_place(f"{scheme}{tmp_path}", "first")
    whole = TrainingEvaluator(get_task("sr2"), protocol, dataset, "cpu")
    first = whole.pausing(place)(design, until=8)
    assert first.status == "stopped"
    (file,) = (tmp_path / "first.paused").iterdir()
    # Another process knows the place alone.
    second = whole.pausing(place)(design)
    assert not file.exists()
    assert second.seconds > first.seconds
    for evaluation in (second, whole(design)):
        assert evaluation.rungs[0] == first.rungs[0]
    alike = {"seconds": 0.0, "curve": ()}
    assert replace(second, **alike) == replace(whole(design), **alike)


def test_a_training_goes_on_from_a_state_that_comes_with_its_job(
    quick: Protocol, dataset: Dataset
) -> None:
    protocol, design = quick.replace(iterations=16, rungs=(8,)), PRESETS["bbcu-m"]
    evaluator = TrainingEvaluator(get_task("sr2"), protocol, dataset, "cpu")
    paused, first = evaluated(evaluator, Job(0, design, until=8, state=b""))
    assert (first.status, paused.until) == ("stopped", 8)
    assert paused.state
    ended, second = evaluated(evaluator, replace(paused, until=None))
    assert ended.state == b""
    assert second.seconds > first.seconds
    alike = {"seconds": 0.0, "curve": ()}
    assert replace(second, **alike) == replace(evaluator(design), **alike)


@pytest.mark.parametrize("place", ["/proc/nowhere", "nonsense://bucket"])
def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path, place: str) -> None:
    with pytest.raises(UserError, match=f"^artifacts {place}: cannot be written"):
        quick_search(tmp_path, 2, artifacts=place)


def test_the_library_that_a_place_needs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as if it were not installed
    with pytest.raises(UserError, match=r"^artifacts s3://b/f: Install s3fs .*; pip install it"):
        quick_search(tmp_path, 2, artifacts="s3://b/f")
    assert not list(tmp_path.iterdir())
