"""A study gets another name, or goes, with all that is kept of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from bbnas.errors import UserError
from bbnas.store.places import STUDIES, paused_folder, spool_folder, storage_url
from bbnas.store.runs import refuse_searched
from bbnas.store.store import Store
from bbnas.store.tables import evaluations, metadata, runs, studies
from bbnas.store.transfer import evaluated
from bbnas.store.upgrade import copy_file
from bbnas.study import StudyConfig

# What SQLite keeps beside a file while it is open.
_SIDE = ("-wal", "-shm", "-journal")


def rename_study(store: Store, old: str, new: str) -> Store:
    """Give the study ``old`` the name ``new``. Returns the database that it is in then.

    A file of its own is renamed too, with what lies beside it.

    Raises:
        UserError: a name that no study may have or another one has, or a search of it runs.
    """
    before, file = store.url, own_file(store, old)
    with store.read() as connection:
        refuse_searched(connection, str(store), old)
    if file is None:
        _rename_rows(store, old, new)
        target = None
    else:
        target = file.with_name(f"{new}.db")
        if target.exists():
            raise UserError(f"{target} exists: choose another name, or move it elsewhere")
        copy_file(file, target)  # with what is in its journal yet
        store.close()
        store = Store(storage_url(target))
        try:
            _rename_rows(store, old, new)
        except UserError:
            _remove_file(target)
            raise
        _remove_file(file)
    moved = zip(_folders(before, old, file), _folders(store.url, new, target), strict=True)
    for source, folder in moved:
        if source.is_dir():
            source.rename(folder)
    return store


def _rename_rows(store: Store, old: str, new: str) -> None:
    with store.write() as connection:
        if connection.scalar(sa.select(studies.c.id).where(studies.c.name == new)) is not None:
            raise UserError(f"{store} has a study {new!r} already: choose another name")
        chosen = sa.select(studies.c.config).where(studies.c.name == old)
        content = connection.execute(chosen).scalar_one()
        config = StudyConfig.from_dict(content | {"name": new}).to_dict()
        renaming = sa.update(studies).where(studies.c.name == old)
        connection.execute(renaming.values(name=new, config=config))


def delete_study(store: Store, name: str) -> None:
    """Remove the study ``name``: its file, or its rows where other studies are in the database.

    Evaluations that another study has as well are kept, and so are all latencies.

    Raises:
        UserError: a search of it runs.
    """
    file = own_file(store, name)
    with store.write() as connection:
        refuse_searched(connection, str(store), name)
        study = connection.execute(
            sa.select(studies.c.id).where(studies.c.name == name)
        ).scalar_one()
        mine = list(connection.scalars(evaluated(study)))
        its_runs = sa.select(runs.c.id).where(runs.c.study_id == study)
        for table in reversed(metadata.sorted_tables):
            if "study_id" in table.c:
                connection.execute(sa.delete(table).where(table.c.study_id == study))
            elif "run_id" in table.c:
                connection.execute(sa.delete(table).where(table.c.run_id.in_(its_runs)))
        connection.execute(sa.delete(studies).where(studies.c.id == study))
        others = set(connection.scalars(evaluated()))
        if spare := [{"spare": row} for row in mine if row not in others]:
            removing = sa.delete(evaluations).where(evaluations.c.id == sa.bindparam("spare"))
            connection.execute(removing, spare)
    store.close()
    if file is not None:
        _remove_file(file)
    for folder in _folders(store.url, name, file):
        shutil.rmtree(folder, ignore_errors=True)


def own_file(store: Store, name: str) -> Path | None:
    """The SQLite file that holds no other study and is in ``studies/`` or named after the study;
    None without one.
    """
    if store.url.get_backend_name() != "sqlite" or store.url.query or not store.url.database:
        return None
    file = Path(store.url.database)
    placed = file.stem == name or file.parent == STUDIES
    return file if placed and store.studies() == [name] else None


def _folders(url: sa.URL, name: str, file: Path | None) -> Iterator[Path]:
    """What lies beside the database for this study alone."""
    paused = None if file is None else paused_folder(url)
    yield from (folder for folder in (paused, spool_folder(url, name)) if folder is not None)


def _remove_file(file: Path) -> None:
    for suffix in ("", *_SIDE):
        Path(f"{file}{suffix}").unlink(missing_ok=True)
