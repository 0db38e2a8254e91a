"""A watched study is the stored one, at every step of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bbnas.store import Store
from bbnas.store.ledger import Job, Ledger
from bbnas.store.studies import enter
from bbnas.store.watch import Watch
from bbnas.study import Study


@pytest.fixture
def study(synthetic_study: Callable[..., Study]) -> Study:
    return synthetic_study(8, name="watched", references=False)


@pytest.fixture
def ledger(tmp_path: Path, study: Study) -> Iterator[Ledger]:
    store = Store(f"sqlite:///{tmp_path}/watched.db", create=True)
    with Ledger(store, enter(store, study.config), study.config, 8) as run:
        yield run
    store.close()


def _same(watch: Watch, ledger: Ledger) -> bool:
    stored = ledger.store.load_study()
    return watch.snapshots["watched"].study == replace(stored, storage=watch.storage)


def test_each_step_of_a_search_is_seen(ledger: Ledger, study: Study) -> None:
    watch = Watch(str(ledger.store))
    assert watch.look() == {"watched"}
    assert watch.look() == set()  # nothing was written
    for candidate in study.candidates[:4]:
        job = ledger.claim(candidate.evaluation.design, "", 8)
        assert isinstance(job, Job)
        assert watch.look() == {"watched"}
        assert watch.snapshots["watched"].running == (job.number,)
        ledger.finish(job, candidate.evaluation, {})
        assert watch.look() == {"watched"}
        assert _same(watch, ledger)
    assert watch.snapshots["watched"].claimed == 4
    assert watch.snapshots["watched"].budget == 8


def test_a_stopped_candidate_stays_while_it_resumes_and_then_changes(
    ledger: Ledger, study: Study
) -> None:
    done = study.candidates[0].evaluation
    at_rung = replace(done, status="stopped", psnr=float("nan"), rungs=((125, 24.0),))
    watch = Watch(str(ledger.store))
    job = ledger.claim(done.design, "", 8)
    assert isinstance(job, Job)
    ledger.finish(job, at_rung, {})
    watch.look()
    assert ledger.resume(job.number) is not None
    assert watch.look() == {"watched"}
    now = watch.snapshots["watched"]
    assert now.running == (job.number,)
    assert [c.evaluation.status for c in now.study.candidates] == ["stopped"]
    ledger.finish(job, done, {})
    assert watch.look() == {"watched"}
    assert _same(watch, ledger)


def test_a_candidate_that_is_handed_back_leaves(ledger: Ledger, study: Study) -> None:
    watch = Watch(str(ledger.store))
    failed = replace(study.candidates[0].evaluation, status="failed", psnr=float("nan"))
    job = ledger.claim(failed.design, "", 8)
    assert isinstance(job, Job)
    ledger.finish(job, failed, {})
    watch.look()
    assert len(watch.snapshots["watched"].study.candidates) == 1
    ledger.hand_back([job])
    watch.look()
    assert watch.snapshots["watched"].study.candidates == ()


def test_references_and_rejections_are_seen(ledger: Ledger, study: Study) -> None:
    watch = Watch(str(ledger.store))
    watch.look()
    ledger.store.refer("watched", study.candidates[0].evaluation)
    ledger.reject()
    assert watch.look() == {"watched"}
    assert watch.snapshots["watched"].study.rejected == 1
    assert _same(watch, ledger)


def test_a_heartbeat_is_no_change_of_the_study(ledger: Ledger) -> None:
    watch = Watch(str(ledger.store))
    watch.look()
    with ledger.store.write() as connection:
        ledger.lease.renew(connection)
    assert watch.look() == set()
    assert watch.snapshots["watched"].runs[0].alive


def test_a_database_that_goes_and_comes_back(ledger: Ledger, study: Study) -> None:
    file = Path(str(ledger.store).removeprefix("sqlite:///"))
    watch = Watch(str(ledger.store))
    watch.look()
    away = file.with_name("elsewhere.db")
    file.rename(away)
    assert watch.look() == {"", "watched"}
    assert "gone" in watch.error
    assert "watched" in watch.snapshots  # as it was
    assert watch.look() == set()  # said once
    away.rename(file)
    assert "watched" in watch.look()
    assert watch.error == ""
    assert _same(watch, ledger)
