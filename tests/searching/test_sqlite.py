"""One SQLite file, many processes: they wait for each other, and nobody is told of a lock."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from quick import Formula, quick_search

from bbnas.cli import main
from bbnas.errors import UserError
from bbnas.reporting import report
from bbnas.searching.loop import Event
from bbnas.store.watch import Watch
from tests.searching.test_kill import check, evaluated, start

pytestmark = pytest.mark.usefixtures("leaves_nothing")
BUDGET = 40


def read(file: Path) -> None:
    assert main(["studies", "show", "quick", "--storage", str(file)]) == 0
    page = file.with_suffix(".html")
    report("quick", page, storage=f"sqlite:///{file}", repeats=0, pictures=False)


def test_four_processes_write_while_three_readers_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "quick.db"
    quick_search(tmp_path, 2, evaluator=Formula(log=str(tmp_path / "log")))
    read(file)  # imports what reads
    drivers = [start(tmp_path, BUDGET, formula={"seconds": 0.1}) for _ in range(4)]
    while sum(evaluated(tmp_path).values()) < 4:
        assert all(driver.poll() is None for driver in drivers)
    watch, sizes = Watch(f"sqlite:///{file}"), []
    while any(driver.poll() is None for driver in drivers):
        watch.look()
        assert watch.error == ""
        sizes.append(len(watch.snapshots["quick"].study.candidates))
        read(file)
    outcomes = [driver.communicate() for driver in drivers]
    assert [json.loads(out)["done"] for out, _ in outcomes] == [BUDGET] * 4, outcomes
    assert capsys.readouterr().err + "".join(err for _, err in outcomes) == ""
    assert len({size for size in sizes if size < BUDGET}) > 1  # read while it grew
    check(tmp_path, BUDGET, lost=0)
    pids = {line.split()[1] for line in (tmp_path / "log").read_text().splitlines()}
    assert len(pids) == 5


@contextmanager
def locked(file: Path, seconds: float) -> Iterator[Any]:
    """A function that lets another program lock ``file``, once it is called, for so long."""
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    release = threading.Timer(seconds, other.rollback)

    def lock(event: Event) -> None:
        if event.kind == "candidate" and event.counts.done == 4 and not release.ident:
            other.execute("BEGIN EXCLUSIVE")
            release.start()

    try:
        yield lock
    finally:
        release.cancel()
        other.close()


def test_a_search_waits_for_a_program_that_locks_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bbnas.store.tables.BUSY_SECONDS", 0.2)
    quick_search(tmp_path, 2)
    with locked(tmp_path / "quick.db", 2.0) as lock:
        found = quick_search(tmp_path, 12, on_event=lock)
    assert [c.number for c in found.study.candidates] == list(range(12))
    assert found.trained == 10
    assert "waiting for it up to 10 min" in caplog.text
    assert "back" in caplog.text


def test_a_search_that_starts_waits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bbnas.store.tables.BUSY_SECONDS", 0.2)
    quick_search(tmp_path, 2)
    with closing(sqlite3.connect(tmp_path / "quick.db", check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(1.0, other.rollback)
        release.start()
        assert quick_search(tmp_path, 4).counts.done == 4
        release.join()
    assert "waiting for it up to 10 min" in caplog.text


def test_its_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbnas.store.tables.BUSY_SECONDS", 0.1)
    quick_search(tmp_path, 2)
    with (
        locked(tmp_path / "quick.db", 60.0) as lock,
        pytest.raises(UserError, match="close that program"),
    ):
        quick_search(tmp_path, 12, on_event=lock, storage_patience=0.5)
    assert quick_search(tmp_path, 12).counts.done == 12
