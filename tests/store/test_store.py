from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.presets import PRESETS
from bbnas.store import Store
from bbnas.store.store import covered
from bbnas.store.tables import SCHEMA_VERSION
from bbnas.tasks import get_task

Evaluated = Callable[..., Evaluation]
DESIGN = PRESETS["bbcu-m"]


def a_store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path}/a.db", create=True)


def test_an_evaluation_comes_back_as_it_was(database: str, evaluated: Evaluated) -> None:
    store, put = Store(database, create=True), evaluated(DESIGN)
    store.add_evaluation(put)
    assert store.find_evaluation(DESIGN, get_task(put.task), put.protocol, put.data) == put


def test_what_is_not_a_number_comes_back_so(database: str, evaluated: Evaluated) -> None:
    curve = ((10, 0.1), (20, math.nan))
    lost = {"status": "diverged", "psnr": math.nan, "ssim": math.nan, "curve": curve}
    put = evaluated(DESIGN, **lost)
    store = Store(database, create=True)
    store.add_evaluation(put)
    found = store.find_evaluation(DESIGN, get_task(put.task), put.protocol, put.data)
    assert found is not None
    assert math.isnan(found.psnr)
    assert math.isnan(found.ssim)
    assert found.curve[0] == (10, 0.1)
    assert math.isnan(found.curve[1][1])
    assert replace(found, psnr=0, ssim=0, curve=()) == replace(put, psnr=0, ssim=0, curve=())


def test_it_is_found_under_its_own_circumstances_only(database: str, evaluated: Evaluated) -> None:
    store, put = Store(database, create=True), evaluated(DESIGN)
    store.add_evaluation(put)
    other = put.protocol.with_seed(9)
    renamed = put.protocol.model_copy(update={"name": "mine"})
    assert (
        store.find_evaluation(PRESETS["bbcu-l"], get_task(put.task), put.protocol, put.data)
        is None
    )
    assert store.find_evaluation(DESIGN, get_task("sr2"), put.protocol, put.data) is None
    assert store.find_evaluation(DESIGN, get_task(put.task), other, put.data) is None
    assert store.find_evaluation(DESIGN, get_task(put.task), put.protocol, "others") is None
    assert store.find_evaluation(DESIGN, get_task(put.task), renamed, put.data) is not None


def test_the_first_success_stays_and_a_failure_gives_way(
    database: str, evaluated: Evaluated
) -> None:
    store, good = Store(database, create=True), evaluated(DESIGN)
    failed = replace(good, status="failed", psnr=math.nan, error="no memory")
    row = store.add_evaluation(failed)
    assert store.find_evaluation(DESIGN, get_task(good.task), good.protocol, good.data) is None
    assert store.add_evaluation(good) == row
    assert store.add_evaluation(replace(good, psnr=1.0)) == row
    assert store.add_evaluation(failed) == row
    assert store.find_evaluation(DESIGN, get_task(good.task), good.protocol, good.data) == good


def test_no_such_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"x\.db: no such study database"):
        Store("sqlite:///x.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:secret@h:port/x", r"storage 'postgresql://h:port/x' is no database URL"),
        ("postgresql://127.0.0.1:1/x", "Connection refused.*start the server"),
        ("postgresql://127.0.0.1:99999/x", "99999.*check"),
        ("nonsense", "no database URL: use sqlite:///file.db or"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("oracel://h/x", "no driver for 'oracel'"),
        ("sqlite:////proc/x.db", "unable to open database file; check that the folder"),
    ],
)
def test_urls_that_cannot_be(url: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Store(url, create=True)


def test_a_password_is_not_shown() -> None:
    for url in (
        "oracel://me:secret@h/x",
        "postgresql://me:secret@h:port/x",
        "postgresql://me:secret@127.0.0.1:1/x",
        "postgresql://me@127.0.0.1:1/x?password=secret",
    ):
        with pytest.raises(UserError) as error:
            Store(url, create=True)
        assert "secret" not in str(error.value)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("these are my notes\n" * 100)
    for create in (False, True):
        with pytest.raises(UserError, match=r"notes\.db is a text file, not a SQLite database"):
            Store(f"sqlite:///{tmp_path}/notes.db", create=create)
    assert (tmp_path / "notes.db").read_text().startswith("these are my notes")


def test_a_database_of_another_program(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE orders (id INTEGER)")
    for create in (False, True):
        with pytest.raises(UserError, match=r"another program \(tables orders…\)"):
            Store(f"sqlite:///{file}", create=create)
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]


def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    a_store(tmp_path)
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("INSERT INTO bbnas_version VALUES (?)", [SCHEMA_VERSION + 1])
    with pytest.raises(UserError, match="written by a newer bbnas"):
        Store(f"sqlite:///{tmp_path}/a.db")


def test_an_empty_file_holds_no_study(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    with pytest.raises(UserError, match="holds no study"):
        Store(f"sqlite:///{tmp_path}/a.db")
    assert Store(f"sqlite:///{tmp_path}/a.db", create=True).studies() == []


def test_a_locked_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bbnas.store.tables.BUSY_SECONDS", 0.2)
    store = a_store(tmp_path)
    with sqlite3.connect(tmp_path / "a.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match="database is locked; another program"), store.write():
            pass
        assert store.studies() == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs to become nobody")
def test_a_study_on_a_read_only_medium_can_be_read(tmp_path: Path, evaluated: Evaluated) -> None:
    store = a_store(tmp_path)
    store.add_evaluation(evaluated(DESIGN))
    store.close()
    folder = Path("/tmp") / f"bbnas-test-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        (tmp_path / "a.db").rename(folder / "a.db")
        (folder / "a.db").chmod(0o444)
        program = (
            "import os, sys\n"
            "from bbnas.store import Store\n"
            "Store(sys.argv[1]).close()  # imports its driver, which nobody might not read\n"
            "os.setuid(65534)\n"
            "store = Store(sys.argv[1])\n"
            "with store.read() as connection:\n"
            "    print(connection.exec_driver_sql(sys.argv[2]).scalar())\n"
            "try:\n"
            "    Store(sys.argv[1], create=True)\n"
            "except Exception as error:\n"
            "    print(type(error).__name__, error)\n"
        )
        url, query = f"sqlite:///{folder}/a.db", "SELECT count(*) FROM bbnas_evaluations"
        run = subprocess.run(
            [sys.executable, "-c", program, url, query],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert run.returncode == 0, run.stderr
    first, second = run.stdout.splitlines()
    assert first == "1"
    assert second.startswith("UserError")
    assert "check" in second


def test_reading_needs_neither_optuna_nor_torch() -> None:
    program = (
        "import sys, bbnas.store\n"
        "print({m.split('.')[0] for m in sys.modules} & {'optuna', 'torch', 'ray', 'pandas'})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "set()"


def test_the_wall_time_of_a_study_counts_each_second_once() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    spans = [(0, 60), (30, 90), (40, 50), (200, 210)]
    moments = [(start + timedelta(seconds=a), start + timedelta(seconds=b)) for a, b in spans]
    assert covered(moments) == 100
    assert covered([]) == 0
