"""Whether a database is sound: its schema, its file, and what its rows say of each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from bbnas.errors import UserError, why
from bbnas.store.database import Database
from bbnas.store.evaluations import SETTLED, read_evaluation
from bbnas.store.runs import lives
from bbnas.store.tables import (
    SCHEMA_VERSION,
    candidates,
    evaluations,
    metadata,
    runs,
    studies,
)
from bbnas.store.transfer import evaluated
from bbnas.study import StudyConfig
from bbnas.text import plural

# Problems of one kind that are told one by one; the rest are counted.
_TOLD = 5


@dataclass(frozen=True)
class Soundness:
    """What a check found. ``rows`` are the counts of rows by table. ``problems`` are what should
    not be; ``notes`` are what is no fault but may be news.
    """

    storage: str
    schema: int
    rows: dict[str, int]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check(url: str) -> Soundness:
    """Read the whole database at ``url`` and see whether it is sound; nothing is changed.

    Raises:
        UserError: it is no database of bbnas, or one that cannot be opened.
    """
    database = Database(url, older=True)
    with database.read() as connection:
        sqlite = connection.dialect.name == "sqlite"
        if sqlite and (torn := _torn(connection)):  # nothing else can be believed
            return Soundness(str(database), database.schema, {}, torn, ())
        present = set(sa.inspect(connection).get_table_names())
        rows = {
            name.removeprefix("bbnas_"): int(
                connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            )
            for name, table in metadata.tables.items()
            if name in present
        }
        problems = [
            *(_few("row", _lost(connection)) if sqlite else ()),
            *_few("study", _bad_studies(connection)),
            *_few("evaluation", _bad_evaluations(connection)),
            *_few("candidate", _bad_candidates(connection)),
        ]
        notes = list(_notes(connection))
    database.close()
    if database.schema < SCHEMA_VERSION:
        notes.insert(0, f"schema {database.schema}, this bbnas reads {SCHEMA_VERSION}: upgrade it")
    return Soundness(str(database), database.schema, rows, tuple(problems), tuple(notes))


def _torn(connection: sa.Connection) -> tuple[str, ...]:
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({_TOLD})").scalars()
    return tuple(line for line in found if line != "ok")


def _lost(connection: sa.Connection) -> Iterator[str]:
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"{table}: row {row} refers to a row of {parent} that is not there"


def _few(kind: str, found: Iterator[str]) -> list[str]:
    told = list(found)
    more = len(told) - _TOLD
    return [*told[:_TOLD], *([f"{plural(more, f'more {kind}')} like that"] if more > 0 else [])]


def _bad_studies(connection: sa.Connection) -> Iterator[str]:
    for row in connection.execute(sa.select(studies.c.name, studies.c.config)):
        try:
            config = StudyConfig.from_dict(row.config)
        except (UserError, ValueError, TypeError, KeyError, AttributeError) as error:
            yield f"study {row.name!r} cannot be read: {why(error)}"
        else:
            if config.name != row.name:
                yield f"study {row.name!r} is named {config.name!r} in its own settings"


def _bad_evaluations(connection: sa.Connection) -> Iterator[str]:
    for row in connection.execute(sa.select(evaluations).order_by(evaluations.c.id)):
        try:
            found = read_evaluation(row)
        except (UserError, ValueError, TypeError, KeyError, AttributeError) as error:
            yield f"evaluation {row.id} cannot be read: {why(error)}"
            continue
        keys = {"design": row.design_key, "protocol": row.protocol_key}
        for name, key in keys.items():
            if getattr(found, name).key != key:
                yield f"evaluation {row.id}: its {name} is not the one of its key {key}"


def _bad_candidates(connection: sa.Connection) -> Iterator[str]:
    query = sa.select(studies.c.name, candidates.c.number).join(
        studies, studies.c.id == candidates.c.study_id
    )
    for row in connection.execute(
        query.where(candidates.c.state.in_(SETTLED), candidates.c.evaluation_id.is_(None))
    ):
        yield f"study {row.name!r}: trial {row.number} has ended and has no evaluation"


def _notes(connection: sa.Connection) -> Iterator[str]:
    running = sa.select(candidates.c.run_id).where(candidates.c.state == "running")
    alive = {
        row.id
        for row in connection.execute(sa.select(runs).where(runs.c.finished.is_(None)))
        if lives(connection, row)
    }
    if orphans := sum(run not in alive for run in connection.scalars(running)):
        yield (
            f"{plural(orphans, 'candidate')} in the lease of a search that is gone: the next "
            "search of that study takes over"
        )
    unused = sa.select(sa.func.count()).where(evaluations.c.id.not_in(evaluated()))
    if spare := connection.execute(unused).scalar_one():
        yield f"{plural(spare, 'evaluation')} of no study: kept for the next study that asks"
