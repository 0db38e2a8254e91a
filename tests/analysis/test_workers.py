from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bbnas.analysis.workers import workers_of
from bbnas.study import Attempt

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def attempt(number, start, end, worker, outcome="ok", run=7, host="here"):
    """Minutes after START; an ``end`` of None is in training."""
    finished = None if end is None else START + timedelta(minutes=end)
    return Attempt(number, run, host, worker, START + timedelta(minutes=start), finished, outcome)


def test_what_each_worker_has_done_and_does(synthetic_study):
    study = replace(
        synthetic_study(6, diverged=0.0),
        attempts=(
            attempt(0, 0, 10, 0),
            attempt(1, 0, 20, 1, "stopped"),
            attempt(2, 10, 30, 0, "failed"),
            attempt(3, 20, 25, 1, "died"),
            attempt(4, 31, None, None, ""),
            attempt(5, 5, 65, 0, run=9, host="there"),
        ),
    )
    found = workers_of(study, START + timedelta(minutes=40))
    first, second, other = found.workers
    assert (first.host, first.run, first.number) == ("here", 1, 0)
    assert (first.ended, first.stopped, first.failed) == (1, 0, 1)
    assert first.per_hour == 4.0  # two in half an hour
    assert (first.trial, first.since) == (4, START + timedelta(minutes=31))
    assert (second.ended, second.stopped, second.failed) == (0, 1, 1)
    assert second.trial is None
    assert (other.host, other.run, other.per_hour) == ("there", 2, 1.0)
    assert found.failures == {"the worker died": 1}


def test_failures_are_counted_by_their_cause(synthetic_study):
    study = synthetic_study(60, diverged=0.3)
    lost = sum(c.evaluation.status == "diverged" for c in study.candidates)
    assert lost > 5
    found = workers_of(replace(study, attempts=(attempt(0, 0, None, None, ""),)), START)
    assert found.failures == {"diverged: loss is NaN": lost}
    (only,) = found.workers
    assert math.isnan(only.per_hour)


def test_results_tell_the_node_of_a_worker(synthetic_study):
    study = synthetic_study(2, diverged=0.0)
    there = replace(study.candidates[1].evaluation, environment={"node": "node2"})
    study = replace(
        study,
        candidates=(study.candidates[0], replace(study.candidates[1], evaluation=there)),
        attempts=(attempt(0, 0, 1, 0), attempt(1, 0, 1, 2, "died"), attempt(1, 2, 3, 1)),
    )
    found = workers_of(study, START + timedelta(minutes=9))
    assert [w.node for w in found.workers] == ["", "node2", ""]


def test_a_study_without_attempts_has_no_workers(synthetic_study):
    assert workers_of(replace(synthetic_study(3), attempts=()), START).workers == ()
