from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from quick import quick_search

from bbnas.store.check import check


def changed(url: str, *statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture
def searched(database: str, tmp_path: Path) -> str:
    quick_search(tmp_path, 4, storage=database)
    return database


def test_a_sound_database_is_counted(searched: str) -> None:
    found = check(searched)
    assert found.problems == found.notes == ()
    assert (found.rows["studies"], found.rows["candidates"]) == (1, 4)
    assert found.rows["evaluations"] == found.rows["attempts"] == 4


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE bbnas_evaluations SET status = 'fine' WHERE id = 2", "evaluation 2 cannot"),
        ("UPDATE bbnas_evaluations SET design = '7' WHERE id = 2", "evaluation 2 cannot"),
        ("UPDATE bbnas_evaluations SET design_key = 'x' WHERE id = 3", "design is not the one"),
        ("UPDATE bbnas_candidates SET evaluation_id = NULL WHERE number = 1", "trial 1 has ended"),
        ("UPDATE bbnas_studies SET config = '{}'", "study 'quick' cannot be read"),
        ("UPDATE bbnas_studies SET name = 'other'", "named 'quick' in its own"),
    ],
)
def test_what_is_wrong_is_named(searched: str, statement: str, says: str) -> None:
    changed(searched, statement)
    assert any(says in problem for problem in check(searched).problems)


def test_leases_and_evaluations_of_nobody_are_no_fault(searched: str) -> None:
    changed(
        searched,
        "UPDATE bbnas_candidates SET state = 'running', evaluation_id = NULL WHERE number = 2",
    )
    found = check(searched)
    assert found.problems == ()
    lease, spare = found.notes
    assert lease.startswith("1 candidate in the lease of a search that is gone")
    assert spare.startswith("1 evaluation of no study")


def test_a_torn_file_and_a_lost_row_are_found(tmp_path: Path) -> None:
    quick_search(tmp_path, 4)
    file = tmp_path / "quick.db"
    with sqlite3.connect(file) as connection:
        connection.execute("DELETE FROM bbnas_evaluations WHERE id = 3")
    (problem,) = check(f"sqlite:///{file}").problems[:1]
    assert problem.startswith("bbnas_candidates: row 3 refers to a row of bbnas_evaluations")
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name "
            "= 'ix_bbnas_attempts_study_id') WHERE name = 'ix_bbnas_runs_study_id'"
        )
    torn = check(f"sqlite:///{file}")
    assert torn.problems
    assert torn.rows == {}
