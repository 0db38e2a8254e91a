"""Real processes, really killed: what was told stays, and nothing is evaluated twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from quick import quick_search

from bbnas.errors import UserError

pytestmark = pytest.mark.usefixtures("leaves_nothing")
PROGRAM = Path(__file__).parents[1] / "helpers" / "quick.py"


def start(folder: Path, budget: int, **arguments: Any) -> subprocess.Popen[str]:
    formula = {"seconds": 0.02, "log": str(folder / "log")} | arguments.pop("formula", {})
    arguments |= {"folder": str(folder), "budget": budget, "formula": formula}
    repository = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), json.dumps(arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": repository, "RAY_ADDRESS": "127.0.0.1:1"},
    )


def done(folder: Path) -> dict[int, str]:
    """Candidate number → design key of what a study holds, read beside its writer."""
    file = folder / "quick.db"
    if not file.exists():
        return {}
    with sqlite3.connect(file, timeout=30) as database:
        tables = database.execute("SELECT name FROM sqlite_master").fetchall()
        if ("bbnas_candidates",) not in tables:
            return {}
        query = "SELECT number, design_key FROM bbnas_candidates WHERE state = 'done'"
        return dict(database.execute(query).fetchall())


def evaluated(folder: Path) -> Counter[str]:
    log = folder / "log"
    return (
        Counter(line.split()[0] for line in log.read_text().splitlines()) if log.exists() else {}
    )


def check(folder: Path, budget: int, lost: int) -> None:
    """The study is whole, with at most ``lost`` evaluations begun in vain."""
    found = done(folder)
    assert sorted(found) == list(range(budget))
    assert len(set(found.values())) == budget
    attempts = evaluated(folder)
    assert set(attempts) == set(found.values())
    assert attempts.total() <= budget + lost
    with sqlite3.connect(folder / "quick.db") as database:
        states = database.execute("SELECT DISTINCT state FROM bbnas_candidates").fetchall()
        evaluations = database.execute("SELECT count(*) FROM bbnas_evaluations").fetchone()[0]
    assert states == [("done",)]
    assert evaluations == budget


def test_kill_9_at_ten_random_moments(tmp_path: Path) -> None:
    rng = random.Random(7)
    before: dict[int, str] = {}
    for kill in range(10):
        process = start(tmp_path, 60, formula={"seconds": 0.1})
        # Half of them once it evaluates, wherever it then is; half of them anywhere from start.
        begun = sum(evaluated(tmp_path).values())
        while kill % 2 and sum(evaluated(tmp_path).values()) <= begun and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.4 if kill % 2 else 2.0))
        process.kill()
        process.wait()
        after = done(tmp_path)
        assert before.items() <= after.items()
        before = after
    assert len(before) < 60, "killed too late to show anything"
    last = start(tmp_path, 60)
    out, err = last.communicate(timeout=60)
    assert json.loads(out) == {"done": 60, "interrupted": False}, err
    check(tmp_path, 60, lost=10)


def test_two_drivers_share_a_study(tmp_path: Path) -> None:
    drivers = [start(tmp_path, 30) for _ in range(2)]
    outcomes = [driver.communicate(timeout=90) for driver in drivers]
    assert [json.loads(out)["done"] for out, _ in outcomes] == [30, 30], outcomes
    check(tmp_path, 30, lost=0)
    pids = {line.split()[1] for line in (tmp_path / "log").read_text().splitlines()}
    assert pids == {str(driver.pid) for driver in drivers}


def test_a_driver_finishes_what_another_one_died_of(tmp_path: Path) -> None:
    victim = start(tmp_path, 6, formula={"seconds": 60})
    while not evaluated(tmp_path):
        time.sleep(0.02)
    # A living owner is not robbed: this one would do the other five, and then wait.
    waiting = start(tmp_path, 6)
    while len(done(tmp_path)) < 5:
        assert waiting.poll() is None
        time.sleep(0.02)
    assert waiting.poll() is None
    victim.kill()
    victim.wait()
    out, err = waiting.communicate(timeout=60)
    assert json.loads(out) == {"done": 6, "interrupted": False}, err
    check(tmp_path, 6, lost=1)


def test_ctrl_c_ends_cleanly(tmp_path: Path) -> None:
    process = start(tmp_path, 6, formula={"seconds": 60})
    while not evaluated(tmp_path):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert json.loads(out) == {"done": 0, "interrupted": True}
    assert "Traceback" not in err


def test_a_full_disk_stops_the_search_and_loses_nothing(tmp_path: Path) -> None:
    program = (
        f"import resource, sys; sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "import quick\n"
        "from bbnas.errors import UserError\n"
        "done = []\n"
        "def fill(event):\n"
        "    done.append(event.counts.done)\n"
        "    if event.counts.done == 4:\n"
        "        size = max(p.stat().st_size for p in quick.Path(sys.argv[1]).glob('quick.db*'))\n"
        "        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, -1))\n"
        "try:\n"
        "    quick.quick_search(sys.argv[1], 200, on_event=fill)\n"
        "except UserError as error:\n"
        "    print(max(done), error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    told, _, message = run.stdout.partition(" ")
    assert "the disk may be full" in message or "free some space" in message, run
    assert 4 <= int(told) < 200
    held = done(tmp_path)
    assert len(held) >= int(told)
    result = quick_search(tmp_path, len(held) + 2)
    assert held.items() <= done(tmp_path).items()
    assert result.complete


def test_a_database_that_may_not_be_written(tmp_path: Path) -> None:
    quick_search(tmp_path, 3)
    file = tmp_path / "quick.db"
    with pytest.raises(UserError, match="cannot be written"):
        quick_search(tmp_path, 5, storage=f"sqlite:///file:{file}?mode=ro&uri=true")
    assert len(done(tmp_path)) == 3
