"""The study database: studies, and the evaluations that they share.

Reading a study needs neither Optuna nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from bbnas.design import Design
from bbnas.errors import UserError, unknown
from bbnas.evaluation import Evaluation, LatencySetting
from bbnas.protocol import Protocol
from bbnas.store.attempts import read_attempts
from bbnas.store.database import Database, waits
from bbnas.store.evaluations import (
    find_row,
    read_evaluation,
    record,
    refer_to,
    settled_rows,
)
from bbnas.store.latencies import last_setting, seconds_by_design
from bbnas.store.tables import evaluations, references, runs, studies
from bbnas.study import Candidate, Study, StudyConfig
from bbnas.tasks import Task, get_task


class Store(Database):
    """A study database."""

    def studies(self) -> list[str]:
        """The names of the studies, oldest first."""
        with self.read() as connection:
            return list(connection.scalars(sa.select(studies.c.name).order_by(studies.c.id)))

    def named(self, name: str | None = None) -> str:
        """The study ``name``; ``None`` is the only one in the database.

        Raises:
            UserError: no study of that name, or no name and not exactly one study.
        """
        known = self.studies()
        if name is None and len(known) != 1:
            held = f"{', '.join(known)}; name one of them" if known else "none; search first"
            raise UserError(f"{self} holds {held}")
        if name is not None and name not in known:
            raise unknown(f"study in {self}", name, known)
        return known[0] if name is None else name

    @waits
    def load_study(self, name: str | None = None, setting: LatencySetting | None = None) -> Study:
        """A study with all its candidates; ``None`` is the only one in the database.

        Latencies are those of the study's own setting or, where it has none, of ``setting`` or
        else of the last one measured in, as far as they are known.

        Raises:
            UserError: no study of that name, or no name and not exactly one study.
        """
        name = self.named(name)
        with self.read() as connection:
            row = connection.execute(sa.select(studies).where(studies.c.name == name)).one()
            totals = connection.execute(
                sa.select(
                    sa.func.coalesce(sa.func.sum(runs.c.duplicates), 0),
                    sa.func.coalesce(sa.func.sum(runs.c.rejected), 0),
                ).where(runs.c.study_id == row.id)
            ).one()
            spans = connection.execute(
                sa.select(runs.c.started, sa.func.coalesce(runs.c.finished, runs.c.seen)).where(
                    runs.c.study_id == row.id
                )
            ).all()
            finished = settled_rows(connection, row.id)
            referred = connection.execute(
                sa.select(evaluations)
                .join(references, references.c.evaluation_id == evaluations.c.id)
                .where(references.c.study_id == row.id)
                .order_by(evaluations.c.id)
            ).all()
            config = StudyConfig.from_dict(row.config)
            task = get_task(config.task)
            setting = config.latency or setting or last_setting(connection, task)
            times = {} if setting is None else seconds_by_design(connection, task, setting)
            beside = [read_evaluation(r, times.get(r.design_key, math.nan)) for r in referred]
            candidates = tuple(
                Candidate(
                    r.number,
                    read_evaluation(r, times.get(r.design_key, math.nan)),
                    r.baseline,
                    r.finished.replace(tzinfo=UTC),
                )
                for r in finished
            )
            created = row.created.replace(tzinfo=UTC)
            tried = read_attempts(connection, row.id)
        return Study(
            config=config,
            storage=str(self),
            candidates=candidates,
            references=tuple(e for e in beside if e.protocol.key == config.protocol.key),
            confirmations=tuple(e for e in beside if e.protocol.key != config.protocol.key),
            latency=setting,
            duplicates=int(totals[0]),
            rejected=int(totals[1]),
            created=created,
            attempts=tuple(tried.values()),
            search_seconds=covered([(start, end) for start, end in spans]),
        )

    @waits
    def find_evaluation(
        self, design: Design, task: Task, protocol: Protocol, data: str
    ) -> Evaluation | None:
        """What is known of a network under these circumstances; an unfinished attempt is not."""
        with self.read() as connection:
            row = find_row(connection, design, task, protocol, data)
            return None if row is None else read_evaluation(row)

    @waits
    def add_evaluation(self, added: Evaluation) -> int:
        """Keep an evaluation; the first one that did not fail stays. Returns the row's id."""
        with self.write() as connection:
            return record(connection, added)

    @waits
    def refer(self, study: str, evaluation: Evaluation) -> None:
        """Keep an evaluation as a reference of a study: shown, but no candidate."""
        with self.write() as connection:
            chosen = sa.select(studies.c.id).where(studies.c.name == study)
            refer_to(connection, connection.execute(chosen).scalar_one(), evaluation)


def covered(spans: Sequence[tuple[datetime, datetime]]) -> float:
    """The seconds that are in at least one of the spans."""
    total = 0.0
    until: datetime | None = None
    for start, end in sorted(spans):
        if until is None or end > until:
            total += (end - max(start, until or start)).total_seconds()
            until = end
    return total
