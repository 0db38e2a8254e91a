"""Studies that are read again while searches write them: each look asks for what is new alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, LatencySetting
from bbnas.store.attempts import read_attempts
from bbnas.store.database import Database, now
from bbnas.store.evaluations import SETTLED, read_evaluation
from bbnas.store.latencies import last_setting, seconds_by_design
from bbnas.store.runs import SearchRun, budget_of, read_runs
from bbnas.store.store import covered
from bbnas.store.tables import (
    candidates,
    evaluations,
    latencies,
    references,
    shown,
    studies,
)
from bbnas.study import Attempt, Candidate, Study, StudyConfig
from bbnas.tasks import get_task

# Rows asked for at once by their ids.
_CHUNK = 500


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A study at one moment; equal to itself alone, so that results can be kept by it.

    ``claimed`` counts its candidates, of which ``running`` (trial numbers) are in training; a
    candidate that resumes is in ``study`` as it was when it stopped.
    """

    study: Study
    claimed: int
    running: tuple[int, ...]
    runs: tuple[SearchRun, ...]

    @property
    def budget(self) -> int | None:
        """The number of designs that the study is to have, as far as it was stored."""
        return budget_of(self.runs)

    @property
    def last_result(self) -> datetime | None:
        return self.study.candidates[-1].finished if self.study.candidates else None


@dataclass
class _Entry:
    state: str
    evaluation_id: int | None = None
    finished: datetime | None = None
    candidate: Candidate | None = None


@dataclass
class _Held:
    """What is in memory of one study."""

    id: int
    config: StudyConfig
    created: datetime
    entries: dict[int, _Entry] = field(default_factory=dict)
    revision: int = -1  # of the last change of a candidate that was read
    beside: dict[int, Evaluation] = field(default_factory=dict)
    latency: LatencySetting | None = None
    times: Mapping[str, float] = field(default_factory=dict)
    timed: int = 0  # the last id of a latency that was read
    attempts: dict[int, Attempt] = field(default_factory=dict)

    def latency_of(self, design_key: str) -> float:
        return self.times.get(design_key, math.nan)


class Watch:
    """The studies of one database, kept in memory; ``look`` brings them up to date.

    ``error`` says in one line why the database cannot be read now; ``snapshots`` then are those
    of the last time it could. Not for several threads, but for reading these two.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.error = ""
        self.snapshots: dict[str, Snapshot] = {}
        self._database: Database | None = None
        self._stamp: tuple[object, int | None] | None = None
        self._held: dict[int, _Held] = {}

    @property
    def storage(self) -> str:
        """The database's URL without a password, as its studies name it."""
        return shown(sa.make_url(self.url))

    @property
    def on_server(self) -> bool:
        """Whether every look is a query to a database server."""
        return not self.url.startswith("sqlite")

    def look(self) -> set[str]:
        """Read what has changed; the names of the studies that have, all if an error came or went.

        A SQLite file in which nothing was written since the last look costs one pragma.
        """
        try:
            changed = self._look()
        except UserError as error:
            self.close()
            said, self.error = self.error, self._words(error)
            return set() if said == self.error else {"", *self.snapshots}
        if self.error:
            self.error = ""
            changed |= {"", *self.snapshots}
        return changed

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database, self._stamp = None, None
        self._held = {}

    def _words(self, error: UserError) -> str:
        if self.snapshots and self._file is not None and not self._file.is_file():
            return (
                f"{self._file}: the database is gone; move it back, or start the dashboard with "
                "its new path. What is shown was read before"
            )
        return str(error)

    @property
    def _file(self) -> Path | None:
        url = sa.make_url(self.url)
        local = url.get_backend_name() == "sqlite" and not url.query and url.database
        return Path(local) if local else None

    def _look(self) -> set[str]:
        place = self._identity()
        if self._stamp is not None and self._stamp[0] != place:  # another file lies there now
            self.close()
        if self._database is None:
            self._database = Database(self.url)
        with self._database.read() as connection:
            stamp = place, self._version(connection)
            if stamp[1] is not None and stamp == self._stamp:
                return set()
            changed = self._read(connection)
        self._stamp = stamp
        return changed

    def _identity(self) -> object:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError as error:
            raise UserError(
                f"{self._file}: no such study database; check the path, or search first"
            ) from error
        return found.st_dev, found.st_ino

    def _version(self, connection: sa.Connection) -> int | None:
        """Changes when another connection writes; None where only a query tells."""
        if self.on_server:
            return None
        return int(connection.exec_driver_sql("PRAGMA data_version").scalar_one())

    def _read(self, connection: sa.Connection) -> set[str]:
        changed: set[str] = set()
        rows = connection.execute(sa.select(studies.c.id, studies.c.name)).all()
        for row in rows:
            held = self._held.get(row.id)
            if held is None:
                whole = connection.execute(sa.select(studies).where(studies.c.id == row.id)).one()
                config = StudyConfig.from_dict(whole.config)
                held = _Held(row.id, config, whole.created.replace(tzinfo=UTC))
                self._held[row.id] = held
            before = self.snapshots.get(row.name)
            news = self._update(connection, held)
            found = read_runs(connection, row.id)
            if news or before is None or _without_beats(before.runs) != _without_beats(found):
                self.snapshots[row.name] = self._snapshot(held, found)
                changed.add(row.name)
            else:  # a heartbeat alone is no change
                self.snapshots[row.name] = replace(before, runs=found)
        for name in set(self.snapshots) - {row.name for row in rows}:
            del self.snapshots[name]
            changed |= {"", name}
        return changed

    def _update(self, connection: sa.Connection, held: _Held) -> bool:
        news = _read_latencies(connection, held)
        tried = read_attempts(connection, held.id, held.attempts)
        news, held.attempts = news or tried != held.attempts, tried
        referred = set(
            connection.scalars(
                sa.select(references.c.evaluation_id).where(references.c.study_id == held.id)
            )
        )
        if missing := referred - held.beside.keys():
            news = True
            for row in _rows(connection, missing):
                held.beside[row.id] = read_evaluation(
                    row, held.times.get(row.design_key, math.nan)
                )
        fresh: dict[int, list[tuple[int, str]]] = {}
        for number, baseline, state, evaluation, finished, revision in connection.execute(
            sa.select(
                *(candidates.c[name] for name in ("number", "baseline", "state")),
                *(candidates.c[name] for name in ("evaluation_id", "finished", "revision")),
            ).where(candidates.c.study_id == held.id, candidates.c.revision > held.revision)
        ).all():
            held.revision = max(held.revision, revision)
            entry = held.entries.get(number)
            if entry is None:
                entry = held.entries[number] = _Entry("")
            moved = finished != entry.finished or evaluation != entry.evaluation_id
            if not moved and state == entry.state:
                continue
            news = True
            if evaluation is None:
                entry.candidate = None
            elif state in SETTLED and (moved or entry.candidate is None):
                fresh.setdefault(evaluation, []).append((number, baseline))
            entry.state, entry.finished, entry.evaluation_id = state, finished, evaluation
        for row in _rows(connection, fresh):
            evaluation = read_evaluation(row, held.latency_of(row.design_key))
            for number, baseline in fresh[row.id]:
                entry = held.entries[number]
                finished = (entry.finished or now()).replace(tzinfo=UTC)
                entry.candidate = Candidate(number, evaluation, baseline, finished)
        return news

    def _snapshot(self, held: _Held, found: tuple[SearchRun, ...]) -> Snapshot:
        known = [e.candidate for e in held.entries.values() if e.candidate is not None]
        known.sort(key=lambda c: (c.finished or held.created, c.number))
        beside = list(held.beside.values())
        own = held.config.protocol.key
        study = Study(
            config=held.config,
            storage=self.storage,
            candidates=tuple(known),
            references=tuple(e for e in beside if e.protocol.key == own),
            confirmations=tuple(e for e in beside if e.protocol.key != own),
            duplicates=sum(run.duplicates for run in found),
            rejected=sum(run.rejected for run in found),
            created=held.created,
            search_seconds=covered([(run.started, run.finished or run.seen) for run in found]),
            latency=held.latency,
            attempts=tuple(held.attempts.values()),
        )
        return Snapshot(
            study=study,
            claimed=len(held.entries),
            running=tuple(sorted(n for n, e in held.entries.items() if e.state == "running")),
            runs=found,
        )


def _rows(connection: sa.Connection, ids: Iterable[int]) -> list[sa.Row[Any]]:
    wanted = sorted(ids)
    found: list[sa.Row[Any]] = []
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        found += connection.execute(sa.select(evaluations).where(evaluations.c.id.in_(some)))
    return found


def _read_latencies(connection: sa.Connection, held: _Held) -> bool:
    """Whether latencies were added; those in memory are then brought up to date."""
    last = connection.scalar(sa.select(sa.func.max(latencies.c.id))) or 0
    if last == held.timed:
        return False
    task = get_task(held.config.task)
    held.timed = last
    held.latency = held.config.latency or last_setting(connection, task)
    if held.latency is None:
        return False
    held.times = seconds_by_design(connection, task, held.latency)

    def timed(e: Evaluation) -> Evaluation:
        return replace(e, latency=held.latency_of(e.design.key))

    held.beside = {row: timed(e) for row, e in held.beside.items()}
    for entry in held.entries.values():
        if entry.candidate is not None:
            entry.candidate = replace(
                entry.candidate, evaluation=timed(entry.candidate.evaluation)
            )
    return True


def _without_beats(found: Sequence[SearchRun]) -> list[tuple[Any, ...]]:
    return [(run.host, run.pid, run.started, run.finished, run.budget) for run in found]
