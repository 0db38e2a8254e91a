"""The ledger: the claims and outcomes that one run of a search writes to its study.

A run claims a candidate before it evaluates it. The transaction of the claim refuses a design that
the study already has, so each design is evaluated once, however many processes search one study.
A claim holds as long as the lease of its run. The next run takes over the claims of a dead one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.protocol import Protocol
from bbnas.store.counts import Counts, Tally
from bbnas.store.database import AwayError, clock, waits
from bbnas.store.evaluations import (
    find_row,
    read_evaluation,
    record,
    refer_to,
    settled_rows,
)
from bbnas.store.lease import Lease
from bbnas.store.spool import Spool, Told
from bbnas.store.states import drop_state, keep_state, read_state
from bbnas.store.store import Store
from bbnas.store.tables import attempts, candidates, claims, runs
from bbnas.study import Candidate, StudyConfig
from bbnas.tasks import get_task

# Number of workers that may die of one candidate before it is recorded as failed.
MAX_DEATHS = 3


@dataclass(frozen=True)
class Job:
    """A claimed candidate to be evaluated, up to the iteration ``until`` (None: to the end), by
    ``protocol`` (None: by the evaluator's own).

    ``state`` is that of a training that was paused, empty at its start; None where it is kept in
    a folder. Who evaluated it says so, with the new state: ``worker`` is its number in this
    process, ``began`` the moment by ``time.time``, None for that of the claim.
    """

    number: int
    design: Design
    baseline: str = ""
    until: int | None = None
    protocol: Protocol | None = None
    worker: int = 0
    began: float | None = None
    state: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Reused:
    """A claimed candidate that another study has evaluated: done at once."""

    job: Job
    evaluation: Evaluation


class Refusal(Enum):
    DUPLICATE = auto()
    FULL = auto()


class Ledger:
    """The view that one run has of a study; entering it begins the run's lease.

    ``budget`` is the number of designs that the run was asked for, for those who watch it.
    ``spool`` is a folder for outcomes while the database is away. With ``states`` the database
    keeps the states of paused trainings, else a folder does.
    """

    def __init__(
        self,
        store: Store,
        study_id: int,
        config: StudyConfig,
        budget: int | None = None,
        spool: Path | None = None,
        states: bool = False,
    ) -> None:
        self.store = store
        self.study_id = study_id
        self.config = config
        self.lease = Lease(store, study_id, budget)
        self._states = states
        self._spool = None if spool is None else Spool(spool)
        self._unwritten: list[Told] = []  # what the spool alone holds
        self._tally = Tally(study_id)
        self._told = -1  # the revision of the newest outcome that was asked for
        self._attempts: dict[int, int] = {}  # of the candidates in training, their rows

    def __enter__(self) -> Ledger:
        self.lease.begin()
        return self

    def __exit__(self, *_: object) -> None:
        """End the run and hand back its claims; a resumed one is stopped again."""
        self.lease.stop()
        self.settle()
        self._leave()

    @waits
    def _leave(self) -> None:
        with self.store.write() as connection:
            connection.execute(
                self._change()
                .where(candidates.c.run_id == self.run_id, candidates.c.state == "running")
                .values(
                    state=sa.case(
                        (candidates.c.evaluation_id.is_(None), "waiting"), else_="stopped"
                    ),
                    run_id=None,
                )
            )
            for number in list(self._attempts):
                self._end(connection, number, "interrupted")
            self.lease.renew(connection, finished=clock(connection))

    @property
    def run_id(self) -> int:
        """The row of the run; 0 before it began."""
        return self.lease.run_id

    @waits
    def claim(self, design: Design, baseline: str, budget: int) -> Job | Reused | Refusal:
        """Claim ``design`` if it is new to the study and the budget allows it.

        Returns a Job, or Reused if another study has evaluated it, or the reason for refusing.
        """
        with self.store.write() as connection:
            held = connection.scalar(
                sa.select(candidates.c.id).where(
                    candidates.c.study_id == self.study_id, candidates.c.design_key == design.key
                )
            )
            if held is not None:
                self.lease.renew(connection, duplicates=runs.c.duplicates + 1)
                return Refusal.DUPLICATE
            last = connection.scalar(
                sa.select(sa.func.max(candidates.c.number)).where(
                    candidates.c.study_id == self.study_id
                )
            )
            number = 0 if last is None else last + 1
            if number >= budget:
                return Refusal.FULL
            stored = self._known(connection, design)
            connection.execute(
                sa.insert(candidates).values(
                    study_id=self.study_id,
                    number=number,
                    design_key=design.key,
                    design=design.to_dict(),
                    baseline=baseline,
                    run_id=self.run_id,
                    state="running" if stored is None else "done",
                    revision=self._revision,
                    evaluation_id=None if stored is None else stored.id,
                    reused=stored is not None,
                    notes={},
                    finished=None if stored is None else clock(connection),
                )
            )
            attempt = self._begin(connection, number) if stored is None else None
        if attempt is not None:
            self._attempts[number] = attempt
        job = Job(number, design, baseline, state=b"" if self._states else None)
        return job if stored is None else Reused(job, read_evaluation(stored))

    @waits
    def take_over(self) -> Job | None:
        """Claim a candidate that was handed back, or whose run died."""
        with self.store.read() as connection:
            if connection.scalar(self._free().limit(1)) is None:
                return None
        with self.store.write() as connection:
            rows = connection.execute(self._free()).all()
            leased = self.lease.others(
                connection, {r.run_id for r in rows if r.state == "running"}
            )
            for row in rows:
                if row.state == "running" and row.run_id in leased:
                    continue
                connection.execute(
                    self._change()
                    .where(candidates.c.id == row.id)
                    .values(state="running", run_id=self.run_id)
                )
                attempt = self._begin(connection, row.number)
                break
            else:
                return None
            state = self._state(connection, row.number)
        self._attempts[row.number] = attempt
        return Job(row.number, Design.model_validate(row.design), row.baseline, state=state)

    def finish(self, job: Job, evaluation: Evaluation, notes: Mapping[str, Any]) -> bool:
        """Record an outcome and the sampler's notes on it.

        While the server is away the outcome is a file of the spool, which ``settle`` records.
        Returns False if another run, which took this run for dead, has recorded one before.
        """
        told = Told(self.run_id, job.number, evaluation, notes, job.worker, job.began, job.state)
        return self._tell(told)

    def refer(self, evaluation: Evaluation) -> None:
        """Record a reference of the study, as ``finish`` does an outcome."""
        self._tell(Told(self.run_id, None, evaluation))

    @waits
    def claim_reference(self, design: Design, protocol: Protocol) -> Evaluation | bool:
        """Claim a training beside the candidates, such as a confirmation.

        Returns its evaluation if there is one, else whether it is this run's to make: not while
        another run that lives makes it.
        """
        config = self.config
        with self.store.write() as connection:
            row = find_row(connection, design, get_task(config.task), protocol, config.data)
            if row is not None:
                evaluation = read_evaluation(row)
                refer_to(connection, self.study_id, evaluation)
                return evaluation
            mine = {
                "study_id": self.study_id,
                "design_key": design.key,
                "protocol_key": protocol.key,
            }
            same = sa.and_(*(claims.c[name] == value for name, value in mine.items()))
            holder = connection.scalar(sa.select(claims.c.run_id).where(same))
            if holder is None:
                connection.execute(sa.insert(claims).values(**mine, run_id=self.run_id))
            elif self.lease.others(connection, {holder}):
                return False
            else:
                connection.execute(sa.update(claims).where(same).values(run_id=self.run_id))
            return True

    def recover(self) -> None:
        """Record the outcomes that earlier runs left in the spool.

        One that another run is about to record itself is then recorded once.
        """
        for told in self._spool.kept() if self._spool is not None else ():
            self._tell(told)
        self.settle()

    def settle(self) -> None:
        """Record the outcomes that the spool alone holds."""
        while self._unwritten:
            self._record(told := self._unwritten[0])
            del self._unwritten[0]
            if self._spool is not None:
                self._spool.drop(told)

    def _tell(self, told: Told) -> bool:
        if self._spool is None:
            return self._record(told)
        self._spool.put(told)  # before it is tried: this process may be killed meanwhile
        try:
            with self.store.at_once():
                recorded = self._record(told)
        except AwayError:
            self._unwritten.append(told)
            return True
        self._spool.drop(told)
        return recorded

    @waits
    def _record(self, told: Told) -> bool:
        made = told.evaluation
        with self.store.write() as connection:
            if told.number is None:
                refer_to(connection, self.study_id, made)
                return True
            ended = clock(connection) - timedelta(seconds=max(0.0, time.time() - told.ended))
            row_id = record(connection, made)
            whose = [self._is(told.number), candidates.c.design_key == made.design.key]
            if told.run != self.run_id:  # it may have been taken over since
                whose.append(candidates.c.run_id == told.run)
            updated = connection.execute(
                self._change()
                .where(*whose, candidates.c.state != "done")
                .values(
                    state="stopped" if made.status == "stopped" else "done",
                    evaluation_id=row_id,
                    run_id=self.run_id,
                    notes=dict(told.notes),
                    finished=ended,
                )
            )
            values: dict[str, Any] = {"finished": ended, "worker": told.worker}
            if told.began is not None:
                values["started"] = ended - timedelta(seconds=told.ended - told.began)
            self._end(connection, told.number, made.status, told.run, **values)
            if made.status != "stopped":
                drop_state(connection, self.study_id, told.number)
            elif told.state:
                keep_state(connection, self.study_id, told.number, told.state, ended)
        self._attempts.pop(told.number, None)
        return updated.rowcount == 1

    @waits
    def resume(self, number: int) -> Job | None:
        """Claim a stopped candidate to train it further; None if another run has claimed it."""
        with self.store.write() as connection:
            updating = (
                self._change()
                .where(self._is(number), candidates.c.state == "stopped")
                .values(state="running", run_id=self.run_id)
                .returning(candidates.c.design, candidates.c.baseline)
            )
            row = connection.execute(updating).first()
            if row is None:
                return None
            attempt = self._begin(connection, number)
            state = self._state(connection, number)
        self._attempts[number] = attempt
        return Job(number, Design.model_validate(row.design), row.baseline, state=state)

    @waits
    def died(self, job: Job) -> int:
        """Hand back a candidate whose worker died. Returns the number of workers it has lost."""
        with self.store.write() as connection:
            updating = (
                self._change()
                .where(self._is(job.number))
                .values(state="waiting", run_id=None, deaths=candidates.c.deaths + 1)
                .returning(candidates.c.deaths)
            )
            self._end(connection, job.number, "died")
            deaths = int(connection.execute(updating).scalar_one())
        self._attempts.pop(job.number, None)
        return deaths

    @waits
    def hand_back(self, jobs: Sequence[Job]) -> None:
        """Hand back failed candidates, up to MAX_DEATHS times: the machine may be at fault."""
        numbers = [job.number for job in jobs]
        with self.store.write() as connection:
            connection.execute(
                self._change()
                .where(
                    candidates.c.study_id == self.study_id,
                    candidates.c.number.in_(numbers),
                    candidates.c.deaths < MAX_DEATHS - 1,
                )
                .values(
                    state="waiting",
                    run_id=None,
                    evaluation_id=None,
                    finished=None,
                    deaths=candidates.c.deaths + 1,
                )
            )

    @waits
    def reject(self) -> None:
        """Count a suggestion that a cost limit refused."""
        with self.store.write() as connection:
            self.lease.renew(connection, rejected=runs.c.rejected + 1)

    @waits
    def counts(self) -> Counts:
        """How many candidates there are, and in which states."""
        with self.store.read() as connection:
            return self._tally.read(connection)

    @waits
    def designs(self) -> set[str]:
        """The keys of the designs that the study has claimed."""
        query = sa.select(candidates.c.design_key).where(candidates.c.study_id == self.study_id)
        with self.store.read() as connection:
            return set(connection.scalars(query))

    @waits
    def outcomes(self) -> list[tuple[Candidate, dict[str, Any]]]:
        """What is done or stopped since this was asked last, in the order in which it was, with
        the sampler's notes.
        """
        with self.store.read() as connection:
            rows = settled_rows(connection, self.study_id, self._told)
            found = [
                (Candidate(row.number, read_evaluation(row), row.baseline), row.notes)
                for row in rows
            ]
        self._told = max((row.revision for row in rows), default=self._told)
        return found

    def _change(self) -> sa.Update:
        """An update of candidates; those who read what has changed find it."""
        return sa.update(candidates).values(revision=self._revision)

    @property
    def _revision(self) -> sa.ScalarSelect[int]:
        """The number of the next change; changes are made one after another."""
        earlier = candidates.alias()
        newest = sa.func.coalesce(sa.func.max(earlier.c.revision), 0)
        return sa.select(newest + 1).where(earlier.c.study_id == self.study_id).scalar_subquery()

    def _begin(self, connection: sa.Connection, number: int) -> int:
        """The row of a new attempt; it counts as begun when the transaction has ended."""
        inserting = sa.insert(attempts).values(
            study_id=self.study_id,
            number=number,
            run_id=self.run_id,
            started=clock(connection),
        )
        return int(connection.execute(inserting.returning(attempts.c.id)).scalar_one())

    def _end(
        self,
        connection: sa.Connection,
        number: int,
        outcome: str,
        run: int | None = None,
        **values: Any,
    ) -> None:
        """End the attempt at a candidate: of this run, or the open one of another ``run``."""
        if run in (None, self.run_id):
            which = attempts.c.id == self._attempts.get(number)
        else:
            which = sa.and_(
                attempts.c.study_id == self.study_id,
                attempts.c.number == number,
                attempts.c.run_id == run,
                attempts.c.finished.is_(None),
            )
        values.setdefault("finished", clock(connection))
        connection.execute(sa.update(attempts).where(which).values(outcome=outcome, **values))

    def _state(self, connection: sa.Connection, number: int) -> bytes | None:
        return read_state(connection, self.study_id, number) if self._states else None

    def _known(self, connection: sa.Connection, design: Design) -> sa.Row[Any] | None:
        config = self.config
        return find_row(connection, design, get_task(config.task), config.protocol, config.data)

    def _is(self, number: int) -> sa.ColumnElement[bool]:
        return sa.and_(candidates.c.study_id == self.study_id, candidates.c.number == number)

    def _free(self) -> sa.Select[Any]:
        return (
            sa.select(candidates)
            .where(
                candidates.c.study_id == self.study_id,
                candidates.c.state.in_(("waiting", "running")),  # by the index
                sa.or_(
                    candidates.c.state == "waiting",
                    # One of this run that it does not know: the answer to its claim was lost.
                    candidates.c.run_id != self.run_id,
                    candidates.c.number.not_in(list(self._attempts)),
                ),
            )
            .order_by(candidates.c.number)
        )
