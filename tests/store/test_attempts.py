"""Which worker trained what, and when, as a search writes it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from quick import quick_search

from bbnas.store import Store
from bbnas.store.ledger import Job, Ledger
from bbnas.store.studies import enter
from bbnas.store.watch import Watch
from bbnas.study import Study


@pytest.fixture
def study(synthetic_study: Callable[..., Study]) -> Study:
    return synthetic_study(6, name="tried", references=False)


def open_ledger(folder: Path, study: Study) -> Ledger:
    store = Store(f"sqlite:///{folder}/tried.db", create=True)
    return Ledger(store, enter(store, study.config), study.config)


def claim(ledger: Ledger, study: Study, number: int) -> Job:
    job = ledger.claim(study.candidates[number].evaluation.design, "", 9)
    assert isinstance(job, Job)
    return job


def test_each_stretch_of_training_is_an_attempt(tmp_path: Path, study: Study) -> None:
    before = datetime.now(UTC)
    done = study.candidates[0].evaluation
    stopped = replace(done, status="stopped", psnr=float("nan"), rungs=((125, 24.0),))
    with open_ledger(tmp_path, study) as ledger:
        watch = Watch(str(ledger.store))
        first = claim(ledger, study, 0)
        watch.look()
        assert [a.outcome for a in watch.snapshots["tried"].study.attempts] == [""]
        ledger.finish(first, stopped, {})
        resumed = ledger.resume(0)
        assert resumed is not None
        ledger.finish(replace(resumed, worker=2), done, {})
        ledger.died(claim(ledger, study, 1))
        taken = ledger.take_over()
        assert taken is not None
        assert taken.number == 1  # and it is in training when the search is interrupted
        watch.look()
        assert watch.snapshots["tried"].study.attempts == ledger.store.load_study().attempts
    watch.look()
    found = Store(f"sqlite:///{tmp_path}/tried.db").load_study().attempts
    assert found == watch.snapshots["tried"].study.attempts
    assert found is not None
    assert [(a.number, a.worker, a.outcome) for a in found] == [
        (0, 0, "stopped"),
        (0, 2, "ok"),
        (1, None, "died"),
        (1, None, "interrupted"),
    ]
    for a in found:
        assert a.finished is not None
        assert before <= a.started <= a.finished <= datetime.now(UTC)


def test_the_worker_says_when_it_began(tmp_path: Path, study: Study) -> None:
    with open_ledger(tmp_path, study) as ledger:
        job = claim(ledger, study, 0)  # Ray claims ahead, and a worker begins later
        began = time.time() + 0.2
        time.sleep(0.3)
        ledger.finish(replace(job, began=began), study.candidates[0].evaluation, {})
        (found,) = ledger.store.load_study().attempts
    assert found.started.timestamp() == pytest.approx(began, abs=0.05)


def test_the_attempts_of_a_killed_search_end_with_its_last_heartbeat(
    tmp_path: Path, study: Study
) -> None:
    ledger = open_ledger(tmp_path, study)
    ledger.__enter__()
    job = claim(ledger, study, 0)
    file = tmp_path / "tried.db"
    seen = datetime.now(UTC) + timedelta(minutes=-5)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE bbnas_runs SET seen = ?", (f"{seen:%Y-%m-%d %H:%M:%S.%f}",))
    watch = Watch(str(ledger.store))
    watch.look()
    (found,) = watch.snapshots["tried"].study.attempts
    assert found.outcome == "interrupted"
    ledger.finish(job, study.candidates[0].evaluation, {})  # the process was asleep, not dead
    watch.look()
    (found,) = watch.snapshots["tried"].study.attempts
    assert found.outcome == "ok"
    ledger.__exit__()


def test_workers_of_ray_have_numbers(tmp_path: Path) -> None:
    found = quick_search(tmp_path, 6, workers=2).study.attempts
    assert {a.number for a in found} == set(range(6))
    assert {a.worker for a in found} <= {0, 1}
    for worker in (0, 1):  # a worker trains one candidate at a time
        mine = sorted((a.started, a.finished) for a in found if a.worker == worker and a.finished)
        pairs = pairwise(mine)
        assert all(b - a > timedelta(seconds=-0.2) for (_, a), (b, _) in pairs)
