"""What a search needs is taken from it: nothing is lost, made twice, or left behind."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from drivers import Driver, evaluated
from postgres import Server
from quick import Formula, quick_search

from bbnas.design import Design
from bbnas.runs.placement import Placement
from bbnas.store import Store
from bbnas.store.ledger import Ledger
from bbnas.store.studies import enter, stored_config

pytestmark = pytest.mark.usefixtures("leaves_nothing")
Tell = Callable[[str], None]


def whole(url: str, log: Path, budget: int, lost: int) -> None:
    """The study has ``budget`` designs; at most ``lost`` evaluations were begun in vain."""
    study = Store(url).load_study()
    keys = [candidate.evaluation.design.key for candidate in study.candidates]
    assert len(keys) == len(set(keys)) == budget
    assert not [c for c in study.candidates if c.evaluation.status == "failed"]
    begun = evaluated(log)
    assert {key for key, _ in begun} >= set(keys)
    assert begun.total() - len(begun) <= lost


def test_searches_of_one_study_share_budget_and_confirmations(
    database: str, tmp_path: Path
) -> None:
    options = {"storage": database, "benefit": True, "confirm": 3, "formula": {"seconds": 0.2}}
    drivers = [Driver(tmp_path, 12, **options) for _ in range(2)]
    assert [driver.done() for driver in drivers] == [12, 12]
    whole(database, tmp_path / "log", 12, lost=0)
    study = Store(database).load_study()
    assert (len(study.references), len(study.confirmations)) == (5, 3)


def test_a_reference_of_a_killed_search_is_trained_by_another(
    database: str, tmp_path: Path
) -> None:
    options = {"storage": database, "benefit": True}
    quick_search(tmp_path, 3, storage=database)
    victim = Driver(tmp_path, 3, **options, formula={"seconds": 60})
    victim.wait_for(lambda: evaluated(tmp_path / "log").total() == 1)
    other = Driver(tmp_path, 3, **options)
    other.wait_for(lambda: len(Store(database).load_study().references) == 4)
    victim.kill()
    assert other.done() == 3
    assert len(Store(database).load_study().references) == 5
    assert sorted(evaluated(tmp_path / "log").values()) == [1, 1, 1, 1, 2]


class Robbed(Formula):
    """While it evaluates the third design, another search takes it over, and records it first."""

    def __call__(self, design: Design, *rest: Any) -> Any:
        found = super().__call__(design, *rest)
        folder = Path(self.log).parent
        if evaluated(Path(self.log)).total() == 3:
            with closing(sqlite3.connect(folder / "quick.db")) as database:
                database.execute("UPDATE bbnas_runs SET seen = '2026-01-01 00:00:00.000000'")
                database.commit()
            store = Store(f"sqlite:///{folder}/quick.db")
            config = stored_config(store, "quick")
            assert config is not None
            with Ledger(store, enter(store, config), config) as other:
                job = other.take_over()
                assert job is not None
                assert other.finish(job, found, {})
            store.close()
        return found


def test_a_search_goes_on_after_another_was_first_to_record_its_outcome(tmp_path: Path) -> None:
    quick_search(tmp_path, 8, evaluator=Robbed(log=str(tmp_path / "log")))
    whole(f"sqlite:///{tmp_path}/quick.db", tmp_path / "log", 8, lost=0)


def test_a_clock_an_hour_off_costs_no_lease(postgres: Server, tmp_path: Path) -> None:
    url, log = postgres.url(), tmp_path / "log"
    slow = Driver(tmp_path, 4, storage=url, behind=3600, formula={"seconds": 60})
    slow.wait_for(lambda: evaluated(log).total() == 1)
    other = Driver(tmp_path, 4, storage=url)
    other.wait_for(lambda: len(Store(url).load_study().candidates) == 3)
    time.sleep(1.5)  # it would have taken the fourth over
    assert other.process.poll() is None
    assert evaluated(log).total() == 4
    slow.kill()
    assert other.done() == 4
    whole(url, log, 4, lost=1)


def test_all_outcomes_of_an_outage_outlive_a_kill(postgres: Server, tmp_path: Path) -> None:
    url, log = postgres.url(), tmp_path / "log"
    options = {"storage": url, "workers": 3, "formula": {"seconds": 2.0}}
    killed = Driver(tmp_path, 9, **options)
    killed.wait_for(lambda: evaluated(log).total() >= 3)
    postgres.stop()
    try:
        spool = tmp_path / "studies" / "quick.spool"
        killed.wait_for(lambda: len(list(spool.glob("*.json"))) >= 3)
        # Those that were claimed before are trained as well.
        killed.wait_for(lambda: len(list(spool.glob("*.json"))) == evaluated(log).total() > 3)
        killed.kill()
    finally:
        postgres.start()
    assert Driver(tmp_path, 9, **options).done() == 9
    whole(url, log, 9, lost=0)
    assert not list(spool.iterdir())


def test_a_killed_search_leaves_nothing_behind(tmp_path: Path) -> None:
    driver = Driver(tmp_path, 9, workers=2, formula={"seconds": 1.0})
    driver.wait_for(lambda: evaluated(tmp_path / "log").total() >= 3)
    folders = driver.folders()
    assert [folder.exists() for folder in folders] == [True]
    driver.kill()
    driver.leaves_nothing(folders)


def test_a_search_outlives_its_raylet(tmp_path: Path) -> None:
    driver = Driver(tmp_path, 9, workers=2, formula={"seconds": 1.0})
    driver.wait_for(lambda: evaluated(tmp_path / "log").total() >= 4)
    (raylet,) = (p for p in driver.processes() if p.name() == "raylet")
    raylet.kill()
    out, err = driver.process.communicate(timeout=120)
    assert out == '{"done": 9, "interrupted": false}\n'
    assert err == ""
    whole(f"sqlite:///{tmp_path}/quick.db", tmp_path / "log", 9, lost=3)
    driver.leaves_nothing([])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a disk is mounted by root alone")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_and_then_freed(small_disk: Path, tmp_path: Path) -> None:
    url, log = f"sqlite:///{small_disk}/quick.db", tmp_path / "log"
    options = {"storage": url, "formula": {"seconds": 0.1}}
    driver = Driver(tmp_path, 30, **options)
    driver.wait_for(lambda: evaluated(log).total() == 5)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    err = driver.process.communicate(timeout=60)[1]
    assert "run the same command again" in err.splitlines()[-1]
    held = len(Store(url).load_study().candidates)
    assert held >= 4
    (small_disk / "ballast").unlink()
    assert Driver(tmp_path, 30, **options).done() == 30
    whole(url, log, 30, lost=1)


class Deadly(Formula):
    """Every confirmation kills the process that makes it."""

    def __call__(self, design: Design, until: Any = None, protocol: Any = None) -> Any:
        if protocol is not None and protocol.iterations > self.protocol.iterations:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(design, until, protocol)


def test_a_confirmation_that_kills_its_workers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    result = quick_search(
        tmp_path,
        4,
        workers=2,
        confirm=2,
        evaluator=Deadly(),
        placement=Placement(max_retries=1),
        on_event=lambda event: told.append(event.text),
    )
    assert result.complete
    assert result.study.confirmations == ()
    assert len([text for text in told if "2 workers died training it" in text]) == 2


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_ten_kills_of_the_search_on_a_server(postgres: Server, tmp_path: Path, tell: Tell) -> None:
    url, log, rng = postgres.url(), tmp_path / "log", random.Random(5)
    options = {"storage": url, "formula": {"seconds": 0.3}}
    kills = 0
    for _ in range(10):
        begun = evaluated(log).total()
        driver = Driver(tmp_path, 60, workers=1 + kills % 2, **options)
        driver.wait_for(lambda begun=begun: evaluated(log).total() > begun)
        time.sleep(rng.uniform(0.0, 1.5))
        folders = driver.folders()
        driver.kill()
        driver.leaves_nothing(folders)
        kills += 1
    assert Driver(tmp_path, 60, workers=2, **options).done() == 60
    whole(url, log, 60, lost=2 * kills)
    again = evaluated(log).total() - len(evaluated(log))
    tell(
        f"search of one or two workers killed by kill -9, {kills} times, on PostgreSQL | "
        f"60 of 60, {again} trained again"
    )


@pytest.mark.soak
def test_a_server_that_is_restarted_and_killed(
    postgres: Server, tmp_path: Path, tell: Tell
) -> None:
    url, log = postgres.url(), tmp_path / "log"
    options = {"storage": url, "workers": 2, "formula": {"seconds": 0.3}}
    drivers = [Driver(tmp_path, 90, **options) for _ in range(2)]
    for number, begun in ((signal.SIGINT, 15), (signal.SIGKILL, 35), (signal.SIGINT, 55)):
        drivers[0].wait_for(lambda begun=begun: evaluated(log).total() > begun)
        postgres.stop(number)
        time.sleep(3)
        postgres.start()
    assert [driver.done() for driver in drivers] == [90, 90]
    whole(url, log, 90, lost=0)
    tell("PostgreSQL restarted twice and killed once, two searches | 90 of 90, 0 trained again")
