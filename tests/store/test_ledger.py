"""What two searches of one study learn of each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bbnas.store import Store
from bbnas.store.ledger import Job, Ledger
from bbnas.store.studies import enter
from bbnas.study import Study


@pytest.fixture
def study(synthetic_study: Callable[..., Study]) -> Study:
    return synthetic_study(6, name="shared", references=False)


def test_each_search_counts_and_reads_what_the_other_changes(database: str, study: Study) -> None:
    store = Store(database, create=True)
    study_id = enter(store, study.config)
    mine, other = (Ledger(store, study_id, study.config) for _ in range(2))

    def claim(number: int) -> Job:
        job = mine.claim(study.candidates[number].evaluation.design, "", 9)
        assert isinstance(job, Job)
        return job

    def counted() -> tuple[int, int, int, int]:
        counts = other.counts()
        assert counts == mine.counts() == Ledger(store, study_id, study.config).counts()
        return counts.claimed, counts.done, counts.stopped, counts.failed

    def news() -> list[tuple[int, str]]:
        return [(c.number, c.evaluation.status) for c, _ in other.outcomes()]

    done = [c.evaluation for c in study.candidates]
    stopped = replace(done[0], status="stopped", psnr=float("nan"), rungs=((125, 24.0),))
    with mine, other:
        assert counted() == (0, 0, 0, 0)
        jobs = [claim(number) for number in range(4)]
        assert counted() == (4, 0, 0, 0)
        mine.finish(jobs[0], stopped, {})
        mine.finish(jobs[1], replace(done[1], status="diverged", psnr=float("nan")), {})
        assert counted() == (4, 2, 1, 1)
        assert news() == [(0, "stopped"), (1, "diverged")]
        resumed = other.resume(0)
        assert resumed is not None
        assert counted() == (4, 1, 0, 1)
        other.finish(resumed, done[0], {})
        mine.died(jobs[2])
        assert counted() == (4, 2, 0, 1)
        taken = other.take_over()
        assert taken is not None
        assert taken.number == 2
        other.finish(taken, done[2], {})
        assert news() == [(0, "ok"), (2, "ok")]
        assert news() == []
        mine.hand_back([jobs[1]])
        assert counted() == (4, 2, 0, 0)
        assert mine.claim(done[0].design, "", 9) is not None
        assert other.counts().duplicates == 1
    assert counted() == (4, 2, 0, 0)
    store.close()
