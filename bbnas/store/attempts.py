"""The attempts of a study: which worker trained which candidate, and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa

from bbnas.store.database import clock
from bbnas.store.tables import LEASE, attempts, runs
from bbnas.study import Attempt


def read_attempts(
    connection: sa.Connection, study_id: int, known: Mapping[int, Attempt] | None = None
) -> dict[int, Attempt]:
    """All attempts by row, oldest first.

    Those that are ``known`` to have an outcome are not asked for again. A process that was taken
    for dead may go on, when its machine wakes.
    """
    known = known or {}
    pending = [row for row, attempt in known.items() if attempt.outcome in ("", "interrupted")]
    query = (
        sa.select(attempts, runs.c.host, runs.c.seen, runs.c.finished.label("run_finished"))
        .join(runs, runs.c.id == attempts.c.run_id)
        .where(
            attempts.c.study_id == study_id,
            sa.or_(attempts.c.id > max(known, default=0), attempts.c.id.in_(pending)),
        )
        .order_by(attempts.c.id)
    )
    rows = connection.execute(query).all()
    at = clock(connection)
    return dict(known) | {row.id: _attempt(row, at) for row in rows}


def _attempt(row: sa.Row[tuple[object, ...]], at: datetime) -> Attempt:
    finished, outcome = row.finished, row.outcome
    gone = row.run_finished is not None or at - row.seen > LEASE
    if finished is None and gone:  # its process died
        finished, outcome = row.run_finished or row.seen, "interrupted"
    return Attempt(
        number=row.number,
        run=row.run_id,
        host=row.host,
        worker=row.worker,
        started=_utc(row.started),
        finished=None if finished is None else _utc(max(finished, row.started)),
        outcome=outcome,
    )


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC)
