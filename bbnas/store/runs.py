"""The processes that search, or did: which of them live, and what waits for their end."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from bbnas.errors import UserError
from bbnas.store.database import Database, clock, now
from bbnas.store.tables import LEASE, budgets, runs, studies


@dataclass(frozen=True)
class SearchRun:
    """A process that searches a study, or did. Times are in UTC, with their zone.

    ``budget`` is the number of designs that it was asked for, None where that was not stored.
    ``duplicates`` and ``rejected`` count its suggestions that the study had, and that a limit
    refused. ``alive``: it has not ended, and its last heartbeat ``seen`` is within the lease, by
    the clock of the database, which is ``ahead`` of this machine's.
    """

    host: str
    pid: int
    started: datetime
    seen: datetime
    finished: datetime | None
    budget: int | None = None
    duplicates: int = 0
    rejected: int = 0
    ahead: timedelta = field(default=timedelta(), compare=False)

    @property
    def alive(self) -> bool:
        return self.finished is None and datetime.now(UTC) + self.ahead - self.seen <= LEASE


def read_runs(connection: sa.Connection, study_id: int) -> tuple[SearchRun, ...]:
    """The runs of a study in the order of their start."""
    rows = connection.execute(
        sa.select(runs, budgets.c.designs)
        .outerjoin(budgets, budgets.c.run_id == runs.c.id)
        .where(runs.c.study_id == study_id)
        .order_by(runs.c.id)
    ).all()
    ahead = clock(connection) - now()
    return tuple(
        SearchRun(
            host=row.host,
            pid=row.pid,
            started=row.started.replace(tzinfo=UTC),
            seen=row.seen.replace(tzinfo=UTC),
            finished=None if row.finished is None else row.finished.replace(tzinfo=UTC),
            budget=row.designs,
            duplicates=row.duplicates,
            rejected=row.rejected,
            ahead=ahead,
        )
        for row in rows
    )


def searches(store: Database, name: str) -> tuple[SearchRun, ...]:
    """The runs of the study ``name``, in the order of their start."""
    with store.read() as connection:
        chosen = sa.select(studies.c.id).where(studies.c.name == name)
        return read_runs(connection, connection.execute(chosen).scalar_one())


def budget_of(found: Iterable[SearchRun]) -> int | None:
    """The number of designs that a study is to have, as far as its runs stored it."""
    return max((run.budget for run in found if run.budget is not None), default=None)


def lives(connection: sa.Connection, run: sa.Row[Any]) -> bool:
    """Whether a row of ``runs`` is of a process that goes on."""
    if run.finished is not None or clock(connection) - run.seen > LEASE:
        return False
    import psutil

    return bool(run.host != socket.gethostname() or psutil.pid_exists(run.pid))


def refuse_searched(connection: sa.Connection, where: str, study: str | None = None) -> None:
    """See that nothing searches ``study`` of the database ``where``, or any of its studies.

    Raises:
        UserError: a search of it runs.
    """
    query = sa.select(studies.c.name, runs).join(studies, studies.c.id == runs.c.study_id)
    if study is not None:
        query = query.where(studies.c.name == study)
    for row in connection.execute(query.where(runs.c.finished.is_(None))):
        if lives(connection, row):
            raise UserError(
                f"{where}: study {row.name!r} is searched now by process {row.pid} on {row.host}; "
                "end that search first"
            )
