"""The loop of a search: it hands out jobs, takes their outcomes, and records both.

One record for each candidate holds what the loop knows of it; the ledger holds what must survive.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bbnas.analysis.pareto import minimised, useful
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.searching.limits import Limits
from bbnas.searching.prices import Prices
from bbnas.searching.stopping import Ladder, next_rung
from bbnas.searching.trials import Trials
from bbnas.signals import delayed
from bbnas.space import Space
from bbnas.store.counts import Counts
from bbnas.store.database import AwayError
from bbnas.store.ledger import MAX_DEATHS, Job, Ledger, Refusal, Reused
from bbnas.study import Candidate, StudyConfig
from bbnas.text import plural

# After so many suggestions in a row that are no new candidate, a design is drawn at random.
PATIENCE = 10
# Random draws in search of a new design before the whole space is enumerated.
UNSEEN_DRAWS = 300
# After so many failures in a row, the machine is taken to be at fault, not the designs.
MAX_FAILURES = 5


@dataclass(frozen=True)
class Record:
    """A candidate as the loop knows it: one that is evaluated now, or has been.

    ``evaluation`` is its last outcome, None before the first. ``running``: a worker of this
    process evaluates it. ``trial`` is its trial while the sampler has not been told its final
    outcome; None for a design outside the space. ``trained``: this process has trained it.
    """

    number: int
    design: Design
    baseline: str = ""
    evaluation: Evaluation | None = None
    running: bool = False
    trial: int | None = None
    trained: bool = False


class Records(dict[int, Record]):
    """The candidates by number, and what follows from their outcomes; baselines take no part in
    the front and in what is stopped.

    ``known`` is the number of those with an outcome, ``ended`` of those whose training ended,
    ``trained`` of those that this process trained; ``front`` is the size of the front and ``best``
    the best PSNR (dB, NaN if none). A new record takes time that does not grow with their number.
    """

    def __init__(self, config: StudyConfig) -> None:
        super().__init__()
        self._config = config
        self._ladder = Ladder(config)
        self._leading = np.empty((0, len(config.objectives)))  # the front, to be minimised
        self.running: set[int] = set()
        self.known = self.ended = self.trained = 0
        self.best = math.nan

    @property
    def front(self) -> int:
        return len(self._leading)

    def _count(self, record: Record | None, by: int) -> None:
        if record is None:
            return
        self.trained += by * record.trained
        if record.evaluation is not None:
            self.known += by
            self.ended += by * (record.evaluation.status != "stopped")

    def __setitem__(self, number: int, record: Record) -> None:
        before = self.get(number)
        super().__setitem__(number, record)
        self._count(before, -1)
        self._count(record, 1)
        (self.running.add if record.running else self.running.discard)(number)
        evaluation = record.evaluation
        known = evaluation is None or (before is not None and before.evaluation is evaluation)
        if evaluation is None or known or record.baseline:
            return
        self._ladder.note(number, evaluation)
        if useful(self._config, evaluation):
            self.best = float(np.fmax(self.best, evaluation.psnr))
            self._lead(minimised([evaluation], self._config.objectives))

    def _lead(self, point: NDArray[np.float64]) -> None:
        """Take a point (1, objectives) into the front, unless it is dominated."""
        held = self._leading
        if not np.any(np.all(held <= point, axis=1) & np.any(held < point, axis=1)):
            beaten = np.all(held >= point, axis=1) & np.any(held > point, axis=1)
            self._leading = np.concatenate([held[~beaten], point])

    def __delitem__(self, number: int) -> None:
        self._count(self[number], -1)
        super().__delitem__(number)
        self.running.discard(number)
        self._ladder.drop(number)

    def resumable(self) -> int | None:
        """The number of the stopped candidate that is to be trained further, or None."""
        return self._ladder.to_resume(self.running)


@dataclass(frozen=True)
class Event:
    """One step of a search, with its state after it.

    ``kind``: ``start``, ``candidate`` (one is done: ``candidate`` holds it), ``skip`` (a
    duplicate or a rejected suggestion), ``message`` (``text`` is for the user) or ``end``.
    ``front`` is the number of points of the front and ``best_psnr`` (dB, NaN if none) the best,
    both without baselines; ``elapsed`` and ``remaining`` are seconds, NaN while not known.
    """

    kind: Literal["start", "candidate", "skip", "message", "end"]
    budget: int
    counts: Counts
    running: int
    front: int
    best_psnr: float
    elapsed: float
    remaining: float
    candidate: Candidate | None = None
    text: str = ""


@dataclass
class Loop:
    """Hands out jobs and takes their outcomes, whoever evaluates them (a ``Work``).

    ``baselines`` are (name, design) to evaluate first. A candidate whose worker died is evaluated
    again, ``max_retries`` times.
    """

    ledger: Ledger
    trials: Trials
    space: Space
    prices: Prices
    limits: Limits
    budget: int
    rng: np.random.Generator
    baselines: Sequence[tuple[str, Design]] = ()
    on_event: Callable[[Event], None] | None = None
    max_retries: int = MAX_DEATHS - 1

    def __post_init__(self) -> None:
        self.config = self.ledger.config
        self.records = Records(self.config)
        self.exhausted = False
        self.note = ""
        self._started = time.monotonic()
        self._dead: list[tuple[Job, str]] = []  # not handed back yet, and why
        self._failures: list[Job] = []  # in a row
        self._cause = ""  # of the first of them
        self._baselines = list(self.baselines)
        self._remaining: Iterator[Design] | None = None
        self.counts = self.ledger.counts()
        self._catch_up()
        self._emit("start")

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, here or in another process."""
        self._settle()
        self.counts = self.ledger.counts()
        settled = self.exhausted and self.counts.claimed == self.counts.done
        enough = self.counts.done >= self.budget or settled
        return enough and self.records.resumable() is None

    @property
    def trained(self) -> int:
        """The number of candidates that this process has trained, at least in part."""
        return self.records.trained

    def next(self) -> Job | None:
        """A design to evaluate; None if there is none at present.

        A database server that is away is not waited for while candidates are in training, so that
        their outcomes are taken as they come.

        Raises:
            UserError: no design of the space keeps the limits.
        """
        busy = bool(self.records.running)
        try:
            with self.ledger.store.at_once() if busy else nullcontext():
                self._settle()
                job = self._next()
        except AwayError:
            return None
        if job is not None and self.prices.clock is not None:
            self.prices.clock(job.design)  # now, so that no finished training waits for it
        return job

    def _settle(self) -> None:
        self.ledger.settle()
        while self._dead:
            self._hand_back(*self._dead[0])
            del self._dead[0]

    def _next(self) -> Job | None:
        self.counts = self.ledger.counts()
        done, known = self.counts.done, self.records.known
        if done > known or done - self.counts.stopped > self.records.ended:
            self._catch_up()
        if job := self._abandoned() or self._stopped():
            return job
        return None if self.counts.done >= self.budget else self._baseline() or self._suggested()

    def finish(self, job: Job, evaluation: Evaluation) -> None:
        """Record and report the outcome of ``job``."""
        record = self.records[job.number]
        if evaluation.status != "failed":
            self._failures = []
        else:
            self._cause = self._cause if self._failures else evaluation.error
            self._failures = [*self._failures, job]
        evaluation = self.prices.complete(evaluation)
        with delayed():  # a result just obtained is recorded
            notes = self.trials.tell(record.trial, evaluation, bool(record.baseline))
            recorded = self.ledger.finish(job, evaluation, notes)
        trial = record.trial if evaluation.status == "stopped" else None  # else it has been told
        record = replace(record, running=False, trained=True, trial=trial)
        self.records[job.number] = record
        if recorded:
            self._note(replace(record, evaluation=evaluation))
        if len(self._failures) >= MAX_FAILURES:
            self.ledger.settle()
            self.ledger.hand_back(self._failures)
            raise UserError(
                f"{len(self._failures)} candidates in a row failed, the first with: "
                f"{self._cause}; nothing is lost: mend that and run the same command again"
            )

    def failed(self, job: Job, reason: str) -> None:
        """Record that ``job`` could not be evaluated: an error that is not the design's."""
        self.finish(
            job,
            Evaluation(
                design=job.design,
                task=self.config.task,
                protocol=self.config.protocol,
                data=self.config.data,
                status="failed",
                psnr=math.nan,
                ssim=math.nan,
                ops=self.prices(job.design, "ops"),
                params=self.prices(job.design, "params"),
                seconds=0.0,
                error=reason,
            ),
        )

    def died(self, job: Job, reason: str) -> None:
        """Hand ``job`` back, whose worker is gone, or give it up after ``max_retries``."""
        self._dead.append((job, reason))
        with suppress(AwayError), self.ledger.store.at_once():
            self._settle()

    def _hand_back(self, job: Job, reason: str) -> None:
        deaths = self.ledger.died(job)
        if deaths > self.max_retries:
            self.failed(job, f"{plural(deaths, 'worker')} died evaluating it, the last: {reason}")
            return
        record = self.records[job.number]
        del self.records[job.number]
        self.trials.drop(record.trial)
        if record.evaluation is not None:
            self.records[job.number] = replace(record, running=False, trial=None)
        self._emit("message", text=f"a worker died ({reason}); trial {job.number} starts again")

    def say(self, text: str) -> None:
        """Report a line for the user."""
        self._emit("message", text=text)

    def close(self) -> None:
        """Hand out nothing more; the ledger hands back the candidates that are still running."""
        for number in list(self.records.running):
            self.records[number] = replace(self.records[number], running=False)
        self._emit("end")

    def _catch_up(self) -> None:
        """Learn the outcomes of earlier processes, and of those that search beside this one."""
        for candidate, notes in self.ledger.outcomes():
            number, evaluation = candidate.number, candidate.evaluation
            record = self.records.get(number)
            if record is not None and record.evaluation is not None:
                last = record.evaluation
                if last.status != "stopped" or (last.status, last.rungs) == (
                    evaluation.status,
                    evaluation.rungs,
                ):
                    continue
            evaluation = self.prices.complete(evaluation)
            new = record or Record(number, evaluation.design, candidate.baseline)
            if record is None or evaluation.status != "stopped":
                if not new.running:
                    self.trials.drop(new.trial)
                    new = replace(new, trial=None)
                self.trials.remember(evaluation, notes, bool(new.baseline))
            self.records[number] = replace(new, evaluation=evaluation)

    def _abandoned(self) -> Job | None:
        """A candidate that was handed back, or whose process died."""
        job = self.ledger.take_over()
        return None if job is None else self._start(job, self.trials.give(job.design))

    def _stopped(self) -> Job | None:
        """A stopped candidate that is to be trained further."""
        while (number := self.records.resumable()) is not None:
            job = self.ledger.resume(number)
            if job is None:  # another process was faster
                del self.records[number]
                continue
            trial = self.records[number].trial
            return self._start(job, self.trials.give(job.design) if trial is None else trial)
        return None

    def _start(self, job: Job, trial: int | None) -> Job:
        record = self.records.get(job.number) or Record(job.number, job.design, job.baseline)
        self.records[job.number] = replace(record, running=True, trial=trial)
        rung = None if job.baseline else next_rung(self.config, record.evaluation)
        return replace(job, until=rung, protocol=self.config.protocol)

    def _baseline(self) -> Job | None:
        while self._baselines:
            name, design = self._baselines.pop(0)
            if design.key in self.ledger.designs():
                continue
            if excess := self.limits.excess(design):
                self.ledger.reject()
                limits = " and ".join(f"max_{cost}" for cost in excess)
                self._emit("message", text=f"baseline {name} is over {limits}: left out")
                continue
            claim = self._claim(design, self.trials.give(design), name)
            if isinstance(claim, Job):
                return claim
            if claim is Refusal.FULL:
                self._emit("message", text=f"no budget left for baseline {name}: raise it")
        return None

    def _suggested(self) -> Job | None:
        if not self.limits.attainable:
            self._exhaust()
        fruitless = 0
        while not self.exhausted and self.counts.claimed < self.budget:
            if fruitless < PATIENCE:
                trial, design = self.trials.ask()
            else:
                unseen = self._unseen()
                if unseen is None:
                    self._exhaust()
                    return None
                given, design = self.trials.give(unseen), unseen
                assert given is not None  # the space contains what it draws
                trial = given
            if excess := self.limits.excess(design):
                self.trials.avoid(trial, excess)
                self.ledger.reject()
                fruitless += 1
                self._emit("skip")
                continue
            claim = self._claim(design, trial, "")
            if isinstance(claim, Job):
                return claim
            fruitless = fruitless + 1 if claim is Refusal.DUPLICATE else 0
            self.counts = self.ledger.counts()
        return None

    def _claim(self, design: Design, trial: int | None, baseline: str) -> Job | Reused | Refusal:
        try:
            claim = self.ledger.claim(design, baseline, self.budget)
        except AwayError:
            self.trials.drop(trial)
            raise
        if isinstance(claim, Job):
            return self._start(claim, trial)
        if isinstance(claim, Reused):
            evaluation = self.prices.complete(claim.evaluation)
            self.trials.tell(trial, evaluation, bool(baseline))
            self._note(Record(claim.job.number, design, baseline, evaluation))
        elif claim is Refusal.DUPLICATE:
            self.trials.avoid(trial)
            self._emit("skip")
        else:
            self.trials.drop(trial)
        return claim

    def _unseen(self) -> Design | None:
        """A design within the limits that the study does not have, or None if there is none."""
        seen = self.ledger.designs()

        def fits(design: Design) -> bool:
            return design.key not in seen and not self.limits.excess(design)

        for _ in range(UNSEEN_DRAWS):
            if fits(design := self.space.sample(self.rng)):
                return design
        if self._remaining is None:
            self._remaining = self.space.enumerate()
        # The enumeration never starts again: a design that it passed is in the study or over a
        # limit, and stays so.
        return next((design for design in self._remaining if fits(design)), None)

    def _exhaust(self) -> None:
        if not self.exhausted:
            name, done = self.space.name, self.counts.claimed
            if self.limits.bounds and done == 0:
                raise self.limits.refusal()
            within = " within the limits" if self.limits.bounds else ""
            self.note = f"space {name!r} holds no design{within} besides the {done} of this study"
            self.exhausted = True
            self._emit("message", text=self.note)

    def _note(self, record: Record) -> None:
        """Take in an outcome, and report it unless its training is to be resumed at once."""
        assert record.evaluation is not None
        self.records[record.number] = record
        stopped = record.evaluation.status == "stopped"
        if stopped and self.records.resumable() == record.number:
            return
        candidate = Candidate(record.number, record.evaluation, record.baseline)
        self._emit("candidate", candidate)

    def _emit(
        self,
        kind: Literal["start", "candidate", "skip", "message", "end"],
        candidate: Candidate | None = None,
        text: str = "",
    ) -> None:
        if self.on_event is None:
            return
        with suppress(AwayError), self.ledger.store.at_once():
            self.counts = self.ledger.counts()
        elapsed = time.monotonic() - self._started
        pace = elapsed / self.trained if self.trained else math.nan
        self.on_event(
            Event(
                kind=kind,
                budget=self.budget,
                counts=self.counts,
                running=len(self.records.running),
                front=self.records.front,
                best_psnr=self.records.best,
                elapsed=elapsed,
                remaining=pace * (self.budget - self.counts.done),
                candidate=candidate,
                text=text,
            )
        )
