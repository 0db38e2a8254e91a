"""A database: how it is opened, read and written, and what its errors mean."""

from __future__ import annotations

import functools
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from bbnas.errors import UserError, why
from bbnas.formats import SQLITE, other_format
from bbnas.store.tables import (
    COMPARABLE,
    SCHEMA_VERSION,
    explain,
    make_engine,
    metadata,
    shown,
    version_table,
)
from bbnas.text import duration

# Seconds before the second attempt to reach a server; each further pause is twice as long.
FIRST_PAUSE, LAST_PAUSE = 0.25, 15.0
P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)


def now() -> datetime:
    """The time in UTC without a zone, as it is stored."""
    return datetime.now(UTC).replace(tzinfo=None)


def clock(connection: sa.Connection) -> datetime:
    """``now``, by the one clock that all who use the database share: machines' own may differ."""
    if connection.dialect.name != "postgresql":
        return now()
    utc = sa.func.timezone("utc", sa.func.clock_timestamp())
    return connection.execute(sa.select(sa.cast(utc, sa.DateTime))).scalar_one()


class AwayError(UserError):
    """The database server does not answer, or broke a transaction off; or another program holds
    the lock of a SQLite file.
    """


def waits(method: Callable[P, T]) -> Callable[P, T]:
    """A function of one transaction, which is done again when a server that went away is back.

    Its first argument is a Database, or has one as ``store``. The transaction may have been
    committed although its answer was lost, so the function must bear to be done twice.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        first: Any = args[0]
        database: Database = first if isinstance(first, Database) else first.store
        while True:
            try:
                database.hold_off()
                result = method(*args, **kwargs)
            except AwayError as error:
                database.wait(error)
            else:
                database.answered()
                return result

    return call


class Database:
    """A database of bbnas. ``create`` makes the file and the tables where they are missing.

    A server that went away is waited for up to ``patience`` (s) by what ``waits``. ``older``: a
    schema that can be upgraded is taken too, for the upgrade; ``schema`` is its number.

    Raises:
        UserError: no such database, one of another program or of another version of bbnas,
            or one that cannot be opened.
    """

    def __init__(
        self, url: str, create: bool = False, patience: float = 0.0, older: bool = False
    ) -> None:
        self.patience = patience
        self.seconds = 0.0  # that transactions took, in all
        self.back = -math.inf  # when it was back from being away (time.monotonic)
        self._away: tuple[float, AwayError] | None = None  # since when it is away, and why
        self._due, self._pause = -math.inf, FIRST_PAUSE  # of the next attempt
        self._waits = True
        try:
            self.url = sa.make_url(url)
        except (ArgumentError, ValueError) as error:
            without_password = re.sub("//.*@", "//", url)
            raise UserError(
                f"storage {without_password!r} is no database URL: use sqlite:///file.db or "
                "postgresql://user@host:5432/name"
            ) from error
        if self.url.get_backend_name() == "sqlite":
            self._check_file(create)
        try:
            self._engine = make_engine(self.url, create)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise UserError(
                f"storage {self}: no driver for {self.url.drivername!r} ({error}); pip install "
                "'bbnas[postgres]' for postgresql://, or use sqlite:///file.db"
            ) from error
        # A server that is away at the start may be misspelt; a file that is locked is there.
        local = self.url.get_backend_name() == "sqlite"
        self.schema = (waits(Database._open) if local else Database._open)(self, create, older)

    def __str__(self) -> str:
        return shown(self.url)

    def _check_file(self, create: bool) -> None:
        file = self.url.database
        if not file or file == ":memory:":
            raise UserError(f"storage {self}: must name a file, or the study is lost at the end")
        if not create and not self.url.query and not Path(file).is_file():
            raise UserError(f"{file}: no such study database; check the path, or search first")

    def _open(self, create: bool, older: bool) -> int:
        """Returns the number of the schema."""
        with self.write() if create else self.read() as connection:
            found = set(sa.inspect(connection).get_table_names())
            if version_table.name in found:
                version = connection.scalar(sa.select(sa.func.max(version_table.c.version)))
                return self._checked(version, older)
            if found:
                raise UserError(
                    f"{self}: a database of another program (tables {', '.join(sorted(found)[:4])}"
                    "…); give bbnas one of its own"
                )
            if not create:
                raise UserError(f"{self}: holds no study; search first")
            metadata.create_all(connection)
            connection.execute(sa.insert(version_table).values(version=SCHEMA_VERSION))
            return SCHEMA_VERSION

    def _checked(self, version: int | None, older: bool) -> int:
        if version is None or version > SCHEMA_VERSION:
            raise UserError(
                f"{self}: written by a newer bbnas (schema {version}, this one reads "
                f"{SCHEMA_VERSION}); upgrade bbnas"
            )
        remedy = "read it with that version, or search again under another name"
        if version >= COMPARABLE:
            remedy = f"bbnas store upgrade {self} keeps a copy and brings it up to date"
        if version < COMPARABLE or (version < SCHEMA_VERSION and not older):
            raise UserError(
                f"{self}: written by an older bbnas (schema {version}, this one reads "
                f"{SCHEMA_VERSION}); {remedy}"
            )
        return version

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that sees one state of the database.

        The block also makes values of the rows: what is not one is the database's fault.
        """
        with self._errors(), self._engine.begin() as connection:
            try:
                yield connection
            except (UserError, ValueError, TypeError, KeyError, AttributeError) as error:
                if isinstance(error, UserError) and str(self) in str(error):
                    raise
                raise UserError(f"{self}: damaged ({why(error)}); restore a copy") from error

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that is on disk, all of it, when the block ends, or not at all."""
        writing = self._engine.execution_options(bbnas_write=True)
        with self._errors(), writing.begin() as connection:
            yield connection

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within the block a server that is away is not waited for, but tried now and then.

        Raises:
            AwayError: it is away, for less than the patience.
        """
        before, self._waits = self._waits, False
        try:
            yield
        finally:
            self._waits = before

    def hold_off(self) -> None:
        """Raise why the server was away if an attempt is not due yet and must not wait for it."""
        if self._away is not None and not self._waits and time.monotonic() < self._due:
            raise self._away[1]

    def wait(self, error: AwayError) -> None:
        """Sleep before the next attempt, each time longer; raise an error after the patience."""
        tried = time.monotonic()
        if self._away is None:
            self._away, self._pause = (tried, error), FIRST_PAUSE
            if self.patience:
                _log.warning("%s; waiting for it up to %s", error, duration(self.patience))
        since, _ = self._away
        if tried - since >= self.patience:
            raise UserError(str(error)) from error
        if tried >= self._due:
            self._due = tried + self._pause
            self._pause = min(2 * self._pause, LAST_PAUSE)
        if not self._waits:
            raise error
        try:
            time.sleep(max(0.0, self._due - time.monotonic()))
        except KeyboardInterrupt:
            self.patience = 0.0
            raise

    def answered(self) -> None:
        """End the waiting."""
        if self._away is not None:
            self._away, self.back = None, time.monotonic()
            _log.warning("%s: back", self)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        except SQLAlchemyError as error:
            # Only now: to open and close a database's file drops SQLite's locks on it.
            if "not a database" in str(error) and self.url.database:
                other = other_format(self.url.database, SQLITE, "give the database of a study")
                if other is not None:
                    raise other from error
            told = explain(str(self), error)
            raise (AwayError(str(told)) if self._is_away(error) else told) from error
        finally:
            self.seconds += time.perf_counter() - began

    def _is_away(self, error: SQLAlchemyError) -> bool:
        if not isinstance(error, OperationalError):
            return False
        if self.url.get_backend_name() == "sqlite":
            return "locked" in str(error.orig)  # by another program, longer than writers queue
        state = getattr(error.orig, "sqlstate", None)  # None: no answer at all
        return state is None or state[:2] in ("08", "53", "57")
