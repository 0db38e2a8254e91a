from __future__ import annotations

import math
from types import SimpleNamespace

from bbnas.cli import progress


def event(kind: str, done: int, front: int = 0, best: float = math.nan, **more) -> SimpleNamespace:
    counts = SimpleNamespace(done=done, stopped=0, failed=0, duplicates=0)
    fields = {"candidate": None, "text": "", "running": 1, "remaining": 60.0} | more
    return SimpleNamespace(
        kind=kind, counts=counts, budget=200, front=front, best_psnr=best, **fields
    )


def test_a_search_in_a_pipe_prints_what_changes(capsys, evaluated) -> None:
    from bbnas.presets import PRESETS
    from bbnas.study import Candidate

    def done(number: int, front: int, best: float) -> SimpleNamespace:
        candidate = Candidate(number, evaluated(PRESETS["bbcu-m"], psnr=best))
        return event("candidate", number, front, best, candidate=candidate)

    with progress.search_progress(quiet=False) as show:
        show(event("start", 0))
        show(done(1, 1, 25.0))  # the first
        for number in range(2, 100):
            show(done(number, 1, 25.0))  # nothing new
        show(event("message", 99, text="a worker died"))
        show(done(100, 2, 25.0))  # on the front
        show(done(101, 2, 25.5))  # the best
        show(event("end", 200, 2, 25.5))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" | ")[0] for line in lines] == [
        *("0/200", "1/200", "a worker died", "100/200", "101/200", "200/200")
    ]
    assert "25.50 dB" in lines[4]
    assert PRESETS["bbcu-m"].label() in lines[4]


def test_a_line_every_few_seconds_where_nothing_changes(capsys, monkeypatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    with progress.search_progress(quiet=False) as show:
        for number in range(100):
            clock.now = float(number)
            show(event("skip", number))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 99 // progress.LINE_SECONDS
    assert "1 training" in lines[0]


def test_quiet_shows_nothing(capsys) -> None:
    for shown in (progress.search_progress, progress.training_progress, progress.work_progress):
        with shown(quiet=True) as show:
            assert show is None
    assert capsys.readouterr().err == ""
