from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from postgres import PASSWORD, Server
from quick import Formula, quick_search

from bbnas.errors import UserError
from bbnas.store import Store

pytestmark = pytest.mark.usefixtures("leaves_nothing")


def test_several_make_the_tables_of_an_empty_database_at_once(database: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda url: Store(url, create=True).studies(), [database] * 8))
    assert made == [[]] * 8


def test_a_wrong_password_is_told_at_once(postgres: Server) -> None:
    with pytest.raises(UserError, match=r"authentication failed.*\.pgpass") as error:
        Store(postgres.url(":wrong"), create=True)
    assert "wrong" not in str(error.value)


def test_a_password_file_is_read(
    postgres: Server, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path_factory.mktemp("home") / "pgpass"
    file.write_text(f"127.0.0.1:{postgres.port}:*:me:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert Store(postgres.url(""), create=True).studies() == []


def test_a_search_survives_restarts_of_its_server(postgres: Server, tmp_path: Path) -> None:
    url, log = postgres.url(), tmp_path / "log"
    evaluator = Formula(log=str(log), seconds=0.05)
    with ThreadPoolExecutor(2) as pool:
        searches = [
            pool.submit(quick_search, tmp_path, 40, evaluator=evaluator, storage=url, seed=seed)
            for seed in (0, 0)
        ]
        for number, share in ((signal.SIGINT, 8), (signal.SIGKILL, 20)):
            until(lambda share=share: log.exists() and len(log.read_text().split("\n")) > share)
            postgres.stop(number)
            time.sleep(0.5)
            postgres.start()
        results = [search.result(120) for search in searches]
    trained = [line.split()[0] for line in log.read_text().splitlines()]
    assert len(trained) == len(set(trained)) == 40
    assert all(len(result.study.candidates) == 40 for result in results)


def test_an_outcome_that_a_search_could_not_write_is_written_by_the_next(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url, log = postgres.url(), tmp_path / "log"
    evaluator = Formula(log=str(log), seconds=0.3)
    with ThreadPoolExecutor(1) as pool:
        search = pool.submit(
            quick_search, tmp_path, 5, evaluator=evaluator, storage=url, storage_patience=0.5
        )
        until(lambda: log.exists() and len(log.read_text().split("\n")) > 2)
        postgres.stop()
        with pytest.raises(UserError, match="start the server"):
            search.result(60)
    postgres.start()
    (kept,) = tmp_path.glob("studies/quick.spool/*.json")
    quick_search(tmp_path, 5, evaluator=evaluator, storage=url)
    assert not kept.exists()
    trained = [line.split()[0] for line in log.read_text().splitlines()]
    assert len(trained) == len(set(trained)) == 5


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
