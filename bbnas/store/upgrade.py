"""A database of an older schema is brought up to date when it is asked for, after a backup."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from bbnas.errors import UserError, why
from bbnas.files import disk_message
from bbnas.store import migrations
from bbnas.store.database import Database
from bbnas.store.runs import refuse_searched
from bbnas.store.tables import SCHEMA_VERSION, shown, version_table


@dataclass(frozen=True)
class Upgrade:
    """The schemas of a database before and after, and the file that holds what was before."""

    storage: str
    before: int
    after: int
    backup: Path | None


def upgrade(url: str, backup: bool = True) -> Upgrade:
    """Bring the database at ``url`` to this schema, in one transaction.

    The backup is a copy beside a SQLite file; of PostgreSQL it is the output of ``pg_dump``, in
    the current folder.

    Raises:
        UserError: a database that cannot be upgraded, one that is searched now, or no backup.
    """
    database = Database(url, older=True)
    before, copy = database.schema, None
    if before < SCHEMA_VERSION:
        with database.read() as connection:
            refuse_searched(connection, str(database))
        if backup:
            copy = _back_up(database)
        _migrate(database)
    database.close()
    return Upgrade(str(database), before, SCHEMA_VERSION, copy)


def _migrate(database: Database) -> None:
    # Here: nothing else needs it, and it takes a fifth of a second.
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(Path(migrations.__file__).parent)
    steps = list(scripts.iterate_revisions(str(SCHEMA_VERSION), str(database.schema)))
    with database.write() as connection:
        refuse_searched(connection, str(database))
        with Operations.context(MigrationContext.configure(connection)):
            for script in reversed(steps):
                script.module.upgrade()
        connection.execute(sa.update(version_table).values(version=SCHEMA_VERSION))


def _back_up(database: Database) -> Path:
    url, suffix = database.url, f".schema-{database.schema}"
    name = Path(url.database or "")
    sqlite = url.get_backend_name() == "sqlite"
    copy = Path(f"{name}{suffix}") if sqlite else Path(f"{name.name}{suffix}.sql")
    if copy.exists():
        raise UserError(f"{copy}: a backup is there already; move it elsewhere, or --no-backup")
    if sqlite:
        copy_file(name, copy)
    else:
        _dump(url, copy)
    return copy


def copy_file(file: Path, copy: Path) -> None:
    """A copy of a SQLite database at one moment, whoever reads or writes it.

    Raises:
        UserError: it cannot be written.
    """
    draft = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(draft)) as target:
            source.backup(target)
        draft.replace(copy)
    except OSError as error:
        raise UserError(disk_message(error, copy)) from error
    except sqlite3.Error as error:
        raise UserError(f"{copy}: cannot be written ({why(error)}); check the folder") from error
    finally:
        draft.unlink(missing_ok=True)


def _dump(url: sa.URL, copy: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise UserError(
            "no pg_dump here to back the database up: install PostgreSQL's client programs, or "
            "back it up yourself and add --no-backup"
        )
    # The password is not on the command line, which anyone on the machine can read.
    password = url.password or url.query.get("password")
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    address = shown(url.set(drivername="postgresql"))
    dumped = subprocess.run(
        [program, "--no-password", "--file", copy, "--dbname", address],
        env=os.environ | secret,
        capture_output=True,
        text=True,
        check=False,
    )
    if dumped.returncode != 0:
        copy.unlink(missing_ok=True)
        raise UserError(f"pg_dump failed ({why(Exception(dumped.stderr))}); or use --no-backup")
