"""Databases of schema 4, as the bbnas of before upgrades wrote them: three candidates each."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from quick import quick_search

from bbnas.errors import UserError
from bbnas.store import Store
from bbnas.store.check import check
from bbnas.store.database import Database
from bbnas.store.tables import SCHEMA_VERSION, make_engine, metadata
from bbnas.store.upgrade import upgrade

SQL = Path(__file__).parent


@pytest.fixture
def older(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a database of schema 4."""
    monkeypatch.chdir(tmp_path)
    kind = database.partition(":")[0]
    script = (SQL / f"schema_4.{kind}.sql").read_text()
    if kind == "sqlite":
        with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
            connection.executescript(script)
    else:
        engine = make_engine(sa.make_url(database), True)
        with engine.begin() as connection:
            connection.exec_driver_sql(script.replace("%", "%%"))
        engine.dispose()
    return database


def execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_an_older_database_is_read_once_it_is_upgraded(older: str, tmp_path: Path) -> None:
    for create in (False, True):
        with pytest.raises(UserError, match=r"schema 4, .*\); bbnas store upgrade"):
            Store(older, create=create)
    done = upgrade(older)
    assert (done.before, done.after) == (4, SCHEMA_VERSION)
    study = Store(older).load_study()
    assert [c.number for c in study.candidates] == [0, 1, 2]
    assert len(study.attempts) == 3
    assert upgrade(older).backup is None
    more = quick_search(tmp_path, 5, seed=1, storage=older)
    assert len(more.study.candidates) == 5
    assert check(older).problems == ()


def test_an_upgraded_database_has_the_tables_of_a_new_one(older: str) -> None:
    execute(older, "DROP TABLE bbnas_attempts", "DROP TABLE bbnas_budgets")
    upgrade(older)
    engine = sa.create_engine(older)
    with engine.connect() as connection:
        options = {"compare_type": True}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    assert found == []
    assert Store(older).load_study().attempts == ()


def test_the_copy_is_what_was_before(older: str) -> None:
    copy = upgrade(older).backup
    assert copy is not None
    if older.startswith("sqlite"):
        assert Database(f"sqlite:///{copy}", older=True).schema == 4
    else:
        assert copy.parent == Path()
        assert "INSERT" in copy.read_text() or "COPY public.bbnas_evaluations" in copy.read_text()


def test_a_copy_is_never_replaced(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.executescript((SQL / "schema_4.sqlite.sql").read_text())
    (tmp_path / "a.db.schema-4").write_text("mine")
    with pytest.raises(UserError, match="a backup is there already"):
        upgrade(f"sqlite:///{tmp_path}/a.db")
    assert (tmp_path / "a.db.schema-4").read_text() == "mine"
    assert upgrade(f"sqlite:///{tmp_path}/a.db", backup=False).after == SCHEMA_VERSION


def test_a_server_without_pg_dump_needs_a_word(
    older: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if older.startswith("sqlite"):
        pytest.skip("copied by its own driver")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="--no-backup"):
        upgrade(older)
    assert upgrade(older, backup=False).after == SCHEMA_VERSION


def test_a_database_that_is_searched_is_left_alone(older: str) -> None:
    execute(
        older,
        "UPDATE bbnas_runs SET finished = NULL, seen = '2999-01-01 00:00:00.000000', "
        "host = 'elsewhere'",
    )
    with pytest.raises(UserError, match=r"searched now by process \d+ on elsewhere"):
        upgrade(older)
    assert Database(older, older=True).schema == 4


def test_an_upgrade_that_breaks_off_changes_nothing(
    older: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(older, "DROP TABLE bbnas_attempts", "DROP TABLE bbnas_budgets")
    execute(older, "CREATE VIEW bbnas_attempts AS SELECT 1 AS id")  # where a table is to be made
    with pytest.raises(UserError):
        upgrade(older)
    names = sa.inspect(sa.create_engine(older)).get_table_names()
    assert "bbnas_budgets" not in names
    assert Database(older, older=True).schema == 4


def test_results_that_are_not_comparable_are_not_upgraded(older: str) -> None:
    execute(older, "UPDATE bbnas_version SET version = 3")
    with pytest.raises(UserError, match="search again"):
        upgrade(older)


def test_no_other_command_waits_for_alembic(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from bbnas.store import Store\n"
        "Store(sys.argv[1], create=True).close()\n"
        "Store(sys.argv[1]).close()\n"
        "assert 'alembic' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{tmp_path}/a.db"], check=True, env=os.environ
    )
