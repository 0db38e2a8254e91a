"""The processes that search, or did: which of them live, and what waits for their end."""

from __future__ import annotations

import socket
from typing import Any

import sqlalchemy as sa

from bbnas.errors import UserError
from bbnas.store.database import clock
from bbnas.store.tables import LEASE, runs, studies


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
