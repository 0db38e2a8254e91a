from __future__ import annotations

from pathlib import Path

import pytest
from quick import quick_search

from bbnas.errors import UserError
from bbnas.store import STUDIES, Store, find_study
from bbnas.store.check import check
from bbnas.store.upkeep import delete_study, rename_study


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_study_of_its_own_file_is_renamed_with_what_lies_beside(here: Path) -> None:
    quick_search(here, 3, storage=None)
    (STUDIES / "quick.paused").mkdir()
    (STUDIES / "quick.paused" / "state").touch()
    reader = Store("sqlite:///studies/quick.db")  # as a dashboard has it open
    assert reader.studies() == ["quick"]
    renamed = rename_study(*find_study("quick"), "slow")
    assert str(renamed) == "sqlite:///studies/slow.db"
    renamed.close()
    reader.close()
    assert names(STUDIES) == ["slow.db", "slow.paused"]
    assert (STUDIES / "slow.paused" / "state").exists()
    assert Store("sqlite:///studies/slow.db").load_study().config.name == "slow"
    more = quick_search(here, 5, storage=None, name="slow")
    assert (more.counts.done, more.trained) == (5, 2)


def test_a_study_of_a_shared_database_is_renamed_there(database: str, here: Path) -> None:
    quick_search(here, 3, storage=database)
    quick_search(here, 4, storage=database, name="other")
    store, name = find_study("quick", database)
    rename_study(store, name, "slow")
    assert store.studies() == ["slow", "other"]
    assert store.load_study("slow").config.name == "slow"
    assert check(database).problems == ()


def test_no_study_takes_the_name_of_another(here: Path, database: str) -> None:
    for storage in (None, database):
        quick_search(here, 2, storage=storage)
        quick_search(here, 2, storage=storage, name="other")
        with pytest.raises(UserError, match=r"exists|already"):
            rename_study(*find_study("quick", storage), "other")
        with pytest.raises(UserError, match="study name"):
            rename_study(*find_study("quick", storage), "a b")
        assert len(find_study("quick", storage)[0].load_study("quick").candidates) == 2
    assert [name for name in names(STUDIES) if name.endswith(".db")] == ["other.db", "quick.db"]


def test_a_study_of_its_own_file_goes_with_what_lies_beside(here: Path) -> None:
    quick_search(here, 3, storage=None)
    quick_search(here, 3, storage=None, name="other")
    (STUDIES / "quick.paused").mkdir()
    (STUDIES / "quick.paused" / "state").touch()
    delete_study(*find_study("quick"))
    assert [name for name in names(STUDIES) if name.startswith("quick")] == []
    assert find_study("other")[1] == "other"


def test_other_studies_of_a_database_keep_their_evaluations(database: str, here: Path) -> None:
    quick_search(here, 6, storage=database)
    quick_search(here, 3, storage=database, name="other", seed=0)
    store = Store(database)
    other = store.load_study("other")
    before = check(database).rows["evaluations"]
    delete_study(store, "quick")
    store = Store(database)
    assert store.studies() == ["other"]
    assert store.load_study("other") == other
    found = check(database)
    assert (found.problems, found.notes) == ((), ())
    assert found.rows["evaluations"] == found.rows["candidates"] < before


def test_a_study_that_is_searched_is_left_alone(database: str, here: Path) -> None:
    quick_search(here, 2, storage=database)
    store = Store(database)
    with store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE bbnas_runs SET finished = NULL, seen = '2999-01-01 00:00:00.000000'"
        )
    with pytest.raises(UserError, match="'quick' is searched now"):
        delete_study(store, "quick")
    with pytest.raises(UserError, match="'quick' is searched now"):
        rename_study(store, "quick", "slow")
    assert store.load_study("quick").candidates
