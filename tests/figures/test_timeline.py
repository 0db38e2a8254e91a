from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import plotly.graph_objects as go

from bbnas.figures.timeline import SPANS, draw_timeline, timeline_figure
from bbnas.study import Attempt

START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def attempt(number, start, end, worker=0, run=1, outcome="ok", host="here"):
    """Seconds after START; an ``end`` of None is in training."""
    finished = None if end is None else START + timedelta(seconds=end)
    return Attempt(number, run, host, worker, START + timedelta(seconds=start), finished, outcome)


def timeline(study, *attempts, now=100):
    return timeline_figure(replace(study, attempts=attempts), START + timedelta(seconds=now))


def test_each_attempt_is_a_bar_in_the_lane_of_its_worker(synthetic_study):
    figure = timeline(
        synthetic_study(3),
        attempt(0, 0, 10, worker=1),
        attempt(1, 0, 4, worker=0, outcome="stopped"),
        attempt(1, 12, 20, worker=1),  # the same candidate, resumed on another worker
        attempt(2, 5, 8, worker=0, outcome="diverged"),
    )
    assert figure.lanes == ("worker 0", "worker 1")
    assert {(s.number, s.lane, s.outcome) for s in figure.spans} == {
        (0, 1, "ok"),
        (1, 0, "stopped"),
        (1, 1, "ok"),
        (2, 0, "diverged"),
    }
    spec = draw_timeline(figure)
    go.Figure(spec)
    bars = {
        (number, base, y): x
        for trace in spec["data"]
        for number, base, y, x in zip(
            trace["customdata"], trace["base"], trace["y"], trace["x"], strict=True
        )
    }
    assert len(bars) == 4
    assert bars[1, "2026-05-01 12:00:12.000000", "worker 1"] == 8000


def test_what_is_in_training_ends_now_in_a_free_lane(synthetic_study):
    figure = timeline(
        synthetic_study(3),
        attempt(0, 0, 10, worker=0),
        attempt(1, 0, 30, worker=1),
        attempt(2, 11, None, worker=None, outcome=""),
        attempt(3, 31, None, worker=None, outcome=""),
        attempt(4, 32, None, worker=None, outcome=""),  # claimed ahead: both workers are busy
    )
    lanes = {span.number: figure.lanes[span.lane] for span in figure.spans}
    assert (lanes[2], lanes[3]) == ("worker 0", "worker 1")
    assert 4 not in lanes
    assert {s.end for s in figure.spans if not s.outcome} == {START + timedelta(seconds=100)}
    alone = timeline(synthetic_study(3), attempt(0, 5, None, worker=None, outcome=""))
    assert [(s.number, s.lane) for s in alone.spans] == [(0, 0)]


def test_an_attempt_whose_worker_died_lies_where_there_is_room(synthetic_study):
    figure = timeline(
        synthetic_study(3),
        attempt(0, 0, 10, worker=0),
        attempt(1, 0, 4, worker=1),
        attempt(2, 5, 9, worker=None, outcome="died"),
        attempt(3, 10, 20, worker=1),
    )
    assert [figure.lanes[s.lane] for s in figure.spans if s.number == 2] == ["worker 1"]


def test_processes_have_lanes_of_their_own(synthetic_study):
    evil = "<b>host</b>"
    figure = timeline(
        synthetic_study(3), attempt(0, 0, 9, run=4), attempt(1, 0, 9, run=7, host=evil)
    )
    assert figure.lanes == ("here, run 1, worker 0", f"{evil}, run 2, worker 0")
    spec = draw_timeline(figure)
    assert "<b>host" not in str(spec)
    assert "&lt;b&gt;host" in str(spec)


def test_a_database_without_attempts_has_no_timeline(synthetic_study):
    assert synthetic_study(3).attempts == ()
    assert timeline_figure(synthetic_study(3), START) is None
    assert timeline(synthetic_study(3)) is None


def test_the_last_attempts_of_a_long_search_are_drawn(synthetic_study):
    many = [attempt(n, n, n + 1) for n in range(SPANS + 5)]
    figure = timeline(synthetic_study(3), *many)
    assert figure.left_out == 5
    assert figure.spans[-1].number == SPANS + 4
