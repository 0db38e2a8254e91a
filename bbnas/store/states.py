"""The states of paused trainings in the database, one for each candidate.

They are bounded, for a training is deterministic: to lose its state costs time and nothing else.
"""

from __future__ import annotations

import logging
from datetime import datetime

import sqlalchemy as sa

from bbnas.store.tables import states
from bbnas.text import count

# Bytes of a state, and of all states of a study; beyond these the oldest go.
MOST_STATE, MOST_STATES = 64 * 2**20, 2**30
_log = logging.getLogger(__name__)


def keep_state(
    connection: sa.Connection, study_id: int, number: int, content: bytes, at: datetime
) -> None:
    """Keep the state of the candidate ``number`` in place of the one before.

    One that is too large is logged and not kept.
    """
    if len(content) > MOST_STATE:
        _log.warning(
            "the state of trial %d has %s bytes, and the database keeps at most %s: resuming "
            "would train from the start; --artifacts names a place for it",
            *(number, count(len(content)), count(MOST_STATE)),
        )
        return
    drop_state(connection, study_id, number)
    held = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(states.c.size), 0)).where(_of(study_id))
    ).scalar_one()
    if held + len(content) > MOST_STATES:
        oldest = sa.select(states.c.number, states.c.size).where(_of(study_id))
        for row in connection.execute(oldest.order_by(states.c.kept, states.c.number)).all():
            drop_state(connection, study_id, row.number)
            held -= row.size
            if held + len(content) <= MOST_STATES:
                break
    inserting = sa.insert(states).values(
        study_id=study_id, number=number, content=content, size=len(content), kept=at
    )
    connection.execute(inserting)


def drop_state(connection: sa.Connection, study_id: int, number: int) -> None:
    """Forget the state of a candidate, if there is one."""
    connection.execute(sa.delete(states).where(_of(study_id), states.c.number == number))


def read_state(connection: sa.Connection, study_id: int, number: int) -> bytes:
    """The state of a candidate; empty if there is none."""
    chosen = sa.select(states.c.content).where(_of(study_id), states.c.number == number)
    return bytes(connection.scalar(chosen) or b"")


def _of(study_id: int) -> sa.ColumnElement[bool]:
    return states.c.study_id == study_id
