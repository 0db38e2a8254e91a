"""Paused trainings of searches that share a server and no folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from drivers import Driver
from postgres import Server
from quick import PROTOCOLS, Pausing, quick_search

from bbnas.store import Store
from bbnas.store.check import check

pytestmark = pytest.mark.usefixtures("leaves_nothing")
RUNGS = PROTOCOLS["proxy"].rungs


def begun(log: Path) -> tuple[Counter[str], int]:
    """How often each design was begun from its start, and how many times one was continued."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    anew = Counter(key for key, _, _, since in lines if since == "0")
    return anew, len(lines) - anew.total()


def options(url: str, log: Path, seconds: float) -> dict[str, Any]:
    formula = {"log": str(log), "rungs": RUNGS, "seconds": seconds}
    return {"storage": url, "early_stopping": True, "pausing": True, "formula": formula}


def kept(url: str) -> int:
    return check(url).rows["states"]


def stopped(url: str) -> int:
    study = Store(url).load_study()
    return sum(c.evaluation.status == "stopped" for c in study.candidates)


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


def test_a_training_that_a_search_paused_goes_on_in_another(
    postgres: Server, tmp_path: Path
) -> None:
    url, log = postgres.url(), tmp_path / "log"
    first = Driver(folder(tmp_path, "a"), 12, **options(url, log, 1.0))
    first.wait_for(lambda: begun(log)[1] == 1)
    first.kill()
    second = Driver(folder(tmp_path, "b"), 12, **options(url, log, 0.05))
    assert second.done() == 12
    anew, continued = begun(log)
    assert (len(anew), set(anew.values())) == (12, {1})
    assert continued > 2
    assert kept(url) == stopped(url) > 0
    assert not list(tmp_path.glob("*/studies/*.paused"))


def test_workers_of_ray_are_sent_the_states(postgres: Server, tmp_path: Path) -> None:
    url, log = postgres.url(), tmp_path / "log"
    driver = Driver(folder(tmp_path, "a"), 12, workers=2, **options(url, log, 0.05))
    assert driver.done() == 12
    anew, continued = begun(log)
    assert (len(anew), set(anew.values())) == (12, {1})
    assert continued > 2
    assert kept(url) == stopped(url) > 0


def test_a_state_waits_for_a_server_that_is_away(postgres: Server, tmp_path: Path) -> None:
    url, log, here = postgres.url(), tmp_path / "log", folder(tmp_path, "a")
    killed = Driver(here, 6, **options(url, log, 1.0))
    killed.wait_for(lambda: begun(log)[0].total() == 1)
    postgres.stop()
    try:
        killed.wait_for(lambda: bool(list(here.glob("studies/quick.spool/*.json"))))
        killed.kill()
    finally:
        postgres.start()
    assert kept(url) == 0
    assert Driver(here, 6, **options(url, log, 0.05)).done() == 6
    assert set(begun(log)[0].values()) == {1}
    assert kept(url) == stopped(url)


def test_the_states_of_a_study_are_bounded(
    postgres: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for most, total, left in ((64, 1000, 8), (64, 8, 2), (2, 1000, 0)):
        monkeypatch.setattr("bbnas.store.states.MOST_STATE", most)
        monkeypatch.setattr("bbnas.store.states.MOST_STATES", total)
        url = postgres.url()
        evaluator = Pausing(log=str(tmp_path / "log"), rungs=RUNGS)
        quick_search(tmp_path, 12, storage=url, evaluator=evaluator, early_stopping=True)
        assert stopped(url) > 3
        assert kept(url) == min(left, stopped(url))
    assert "--artifacts names a place for it" in caplog.text
