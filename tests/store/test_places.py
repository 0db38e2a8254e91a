from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from bbnas.errors import UserError
from bbnas.store import (
    STUDIES,
    Store,
    default_url,
    open_store,
    open_study,
    paused_folder,
    storage_url,
    stored_studies,
    study_names,
)
from bbnas.store.studies import enter
from bbnas.study import Study


@pytest.fixture
def studies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synthetic_study: Callable[..., Study]
) -> Path:
    """A home with the studies first and second in studies/, and both in both.db."""
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        config = synthetic_study(candidates=2, name=name).config
        for storage in (None, "both.db"):
            store = open_store(storage, default_url(name), create=True)
            enter(store, config)
            store.close()  # else SQLite's side files outlive it until Python collects it
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "study", "storage"),
    [
        (".", "first", None),
        (".", "first.db", None),
        (".", "studies/first.db", None),
        (".", "studies/first", None),
        (".", "{home}/studies/first.db", None),
        (".", "sqlite:///studies/first.db", None),
        (".", "first", "both.db"),
        (".", "first", "sqlite:///both.db"),
        ("studies", "first", None),
        ("studies", "first.db", None),
        ("studies", "../studies/first", None),
        ("/", "{home}/studies/first", None),
    ],
)
def test_a_study_is_found_by_its_name_and_by_any_path(
    studies: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    study: str,
    storage: str | None,
) -> None:
    monkeypatch.chdir(folder)
    assert open_study(study.format(home=studies), storage).config.name == "first"


def test_a_file_that_was_renamed_still_leads_to_its_study(studies: Path) -> None:
    Path("studies/first.db").rename("studies/mine.db")
    assert open_study("mine").config.name == "first"


def test_a_database_of_several_studies_wants_a_name(studies: Path) -> None:
    with pytest.raises(UserError, match="first, second"):
        open_study("both.db")


@pytest.mark.parametrize("study", ["frist", "studies/frist.db", "studies/frist"])
def test_an_unknown_study_names_near_ones(studies: Path, study: str) -> None:
    with pytest.raises(UserError, match="'first'"):
        open_study(study)


def test_nothing_is_made_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for study in ("x", "folder/x.db", "x.db"):
        with pytest.raises(UserError, match=re.escape(study)):
            open_study(study)
    with pytest.raises(UserError):
        open_store(None, "runs/x.db")
    assert stored_studies() == ([], [])
    assert list(tmp_path.iterdir()) == []


def test_studies_are_listed_and_what_cannot_be_read_is_told(studies: Path) -> None:
    (STUDIES / "torn.db").write_bytes(b"no database" * 100)
    found, unread = stored_studies()
    assert [study.config.name for study in found] == ["first", "second"]
    assert len(unread) == 1
    assert "torn.db" in unread[0]
    assert study_names() == ["first", "second", "torn"]
    assert [study.config.name for study in stored_studies("both.db")[0]] == ["first", "second"]
    with pytest.raises(UserError, match=r"none\.db"):
        stored_studies("none.db")


def test_the_folder_of_a_default_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store(None, "runs/x.db", create=True)
    assert Path("runs/x.db").exists()
    Path("file").write_text("")
    with pytest.raises(UserError, match="--storage"):
        open_store(None, "file/x.db", create=True)


def test_a_path_is_a_storage() -> None:
    assert storage_url("x/y.db") == "sqlite:///x/y.db"
    assert storage_url("postgresql://h/x") == "postgresql://h/x"


def test_paused_trainings_lie_beside_a_file(studies: Path) -> None:
    store = Store("sqlite:///studies/first.db")
    assert paused_folder(store.url) == studies / "studies" / "first.paused"
    assert paused_folder(sa.make_url("postgresql://h/first")) is None
