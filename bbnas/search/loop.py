"""The bookkeeping of a search: which design next, and what became of the last."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.search.limits import Limits
from bbnas.search.prices import Prices
from bbnas.search.proposals import Proposals
from bbnas.search.stopping import go_on_with, next_rung
from bbnas.search.trials import Trials
from bbnas.space import Space
from bbnas.store.ledger import MAX_DEATHS, Counts, Job, Known, Ledger, Refusal
from bbnas.study import Candidate

# After so many suggestions in a row that are no new candidate, a design is drawn at random.
PATIENCE = 10
# From this many candidates on there is a knee worth looking around.
REFINE_FROM = 20
DRAWS = 300
# So many failures in a row are the machine's, not the designs'.
MAX_FAILURES = 5


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Puts a Ctrl-C off to the end of the block, so that a result just won is not lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pending.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pending:
            raise KeyboardInterrupt


@dataclass(frozen=True)
class Event:
    """One step of a search, with how it stands after it.

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
    """Ask, evaluate, tell: hands out Jobs and takes their outcomes, whoever evaluates them.

    ``baselines`` are (name, design) to evaluate first.
    """

    ledger: Ledger
    trials: Trials
    space: Space
    prices: Prices
    proposals: Proposals
    budget: int
    rng: np.random.Generator
    limits: Limits
    baselines: Sequence[tuple[str, Design]] = ()
    on_event: Callable[[Event], None] | None = None

    def __post_init__(self) -> None:
        self.exhausted = False
        self.note = ""
        self._running: dict[int, int | None] = {}  # candidate → trial
        self._stopped: dict[int, int | None] = {}  # those of this run, likewise
        self._found: dict[int, Candidate] = {}
        self._started = time.monotonic()
        self._trained: set[int] = set()
        self._failed: list[Job] = []  # in a row
        self._over: set[str] = set()  # designs over a limit
        self._baselines = list(self.baselines)
        self._remaining: Iterator[Design] | None = None
        self._front, self._best = 0, math.nan
        self._catch_up()
        self._emit("start")

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, here or in another process."""
        counts = self.ledger.counts()
        settled = self.exhausted and counts.claimed == counts.done
        return (counts.done >= self.budget or settled) and self._promising() is None

    @property
    def trained(self) -> int:
        """How many candidates this run has trained, be it in part."""
        return len(self._trained)

    def next(self) -> Job | None:
        """A design to evaluate; None if, for now, there is nothing to hand out.

        Raises:
            UserError: no design of the space keeps the limits.
        """
        counts = self.ledger.counts()
        ended = sum(c.evaluation.status != "stopped" for c in self._found.values())
        if counts.done > len(self._found) or counts.done - counts.stopped > ended:
            self._catch_up()
        if job := self._again() or self._further():
            return job
        return None if counts.done >= self.budget else self._baseline() or self._suggested()

    def finish(self, job: Job, found: Evaluation) -> None:
        """Record and report what was measured for ``job``."""
        trial = self._running.pop(job.number)
        self._trained.add(job.number)
        self._failed = [*self._failed, job] if found.status == "failed" else []
        found = self.prices.complete(found)
        stopped = found.status == "stopped"
        if stopped:
            self._stopped[job.number] = trial
        with uninterrupted():
            notes = {} if stopped else self.trials.tell(trial, found)
            recorded = self.ledger.finish(job, found, notes)
        if recorded:
            self._note(Candidate(job.number, found, job.baseline))
        if len(self._failed) >= MAX_FAILURES:
            self.ledger.hand_back(self._failed)
            raise UserError(
                f"{len(self._failed)} candidates in a row failed, the last with: {found.error}; "
                "nothing is lost: mend that and run the same command again"
            )

    def failed(self, job: Job, reason: str) -> None:
        """Record that ``job`` could not be evaluated: an error that is not the design's."""
        config = self.ledger.config
        self.finish(
            job,
            Evaluation(
                design=job.design,
                task=config.task,
                protocol=config.protocol,
                data=config.data,
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
        """The worker that had ``job`` is gone: it is evaluated again, but not for ever."""
        deaths = self.ledger.died(job)
        if deaths >= MAX_DEATHS:
            self.failed(job, f"{deaths} workers died evaluating it, the last: {reason}")
            return
        self.trials.drop(self._running.pop(job.number))
        self._emit("message", text=f"a worker died ({reason}); trial {job.number} starts again")

    def say(self, text: str) -> None:
        """A line for the user."""
        self._emit("message", text=text)

    def close(self) -> None:
        """Hand out nothing more; the ledger hands back the candidates that are still running."""
        self._running.clear()
        self._emit("end")

    def _catch_up(self) -> None:
        """Learn what was done before this run, or is done by another one beside it."""
        for candidate, notes in self.ledger.outcomes():
            number, new = candidate.number, candidate.evaluation
            before = self._found.get(number)
            if before is not None:
                old = before.evaluation
                if old.status != "stopped" or (old.status, old.rungs) == (new.status, new.rungs):
                    continue
            priced = self.prices.complete(new)
            self._found[number] = replace(candidate, evaluation=priced)
            if before is None or new.status != "stopped":
                self.trials.drop(self._stopped.pop(number, None))
                self.trials.remember(priced, notes)
        self._look()

    def _again(self) -> Job | None:
        job = self.ledger.take_over()
        return None if job is None else self._start(job, self._trial_for(job.design))

    def _further(self) -> Job | None:
        """A stopped candidate that is worth more training, as those at its rung now stand."""
        while (number := self._promising()) is not None:
            job = self.ledger.go_on(number)
            if job is None:  # another run was faster
                del self._found[number]
                continue
            trial = self._stopped.pop(number, None)
            return self._start(job, self._trial_for(job.design) if trial is None else trial)
        return None

    def _promising(self) -> int | None:
        own = {n: c.evaluation for n, c in self._found.items() if not c.baseline}
        return go_on_with(self.ledger.config, own, self._running)

    def _start(self, job: Job, trial: int | None) -> Job:
        if not job.baseline:
            known = self._found.get(job.number)
            rung = next_rung(self.ledger.config, None if known is None else known.evaluation)
            job = replace(job, until=rung)
        self._running[job.number] = trial
        if self.prices.clock is not None:
            self.prices.clock(job.design)  # now, so that no finished training waits for it
        return job

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
            claim = self._claim(design, self._trial_for(design), name)
            if isinstance(claim, Job):
                return claim
            if claim is Refusal.FULL:
                self._emit("message", text=f"no budget left for baseline {name}: raise it")
        return None

    def _suggested(self) -> Job | None:
        if not self.limits.attainable:
            self._exhaust()
        fruitless = 0
        while not self.exhausted and self.ledger.counts().claimed < self.budget:
            if fruitless < PATIENCE:
                trial, design = self.trials.ask(self._neighbour() or self._proposed())
            else:
                unseen = self._unseen()
                if unseen is None:
                    self._exhaust()
                    return None
                trial, design = self.trials.ask(unseen)
            if excess := self.limits.excess(design):
                self.trials.avoid(trial, excess)
                self.ledger.reject()
                self._over.add(design.key)
                fruitless += 1
                self._emit("skip")
                continue
            claim = self._claim(design, trial, "")
            if isinstance(claim, Job):
                return claim
            fruitless = fruitless + 1 if claim is Refusal.DUPLICATE else 0
        return None

    def _neighbour(self) -> Design | None:
        """In every second turn a neighbour of the knee, as soon as there is one."""
        config, claimed = self.ledger.config, self.ledger.counts().claimed
        if not config.refine or claimed < REFINE_FROM or claimed % 2:
            return None
        passed = self.ledger.designs() | self._over
        return self.proposals.refine(self._found, passed, self.limits.counted)

    def _proposed(self) -> Design | None:
        """What the runs so far tell to try; None leaves it to the sampler."""
        config = self.ledger.config
        if (
            config.sampler != "ehvi"
            or len(self._found) < config.sampler_options["n_startup_trials"]
        ):
            return None
        # Latency is measured for what is proposed alone.
        passed = self.ledger.designs() | self._over
        return self.proposals.propose(self._found, passed, self.limits.counted)

    def _claim(self, design: Design, trial: int | None, baseline: str) -> Job | Known | Refusal:
        claim = self.ledger.claim(design, baseline, self.budget)
        if isinstance(claim, Job):
            return self._start(claim, trial)
        if isinstance(claim, Known):
            found = self.prices.complete(claim.found)
            self.trials.tell(trial, found)
            self._note(Candidate(claim.job.number, found, baseline))
        elif claim is Refusal.DUPLICATE:
            self.trials.avoid(trial)
            self._emit("skip")
        else:
            self.trials.drop(trial)
        return claim

    def _trial_for(self, design: Design) -> int | None:
        """A trial for a design that was not the sampler's choice; None outside the space."""
        return self.trials.ask(design)[0] if self.space.contains(design) else None

    def _unseen(self) -> Design | None:
        """A design within the limits that the study does not have, or None if there is none."""
        seen = self.ledger.designs()

        def fits(design: Design) -> bool:
            return design.key not in seen and not self.limits.excess(design)

        for _ in range(DRAWS):
            if fits(design := self.space.sample(self.rng)):
                return design
        if self._remaining is None:
            self._remaining = self.space.enumerate()
        # What was passed over once is seen, or over a limit, for good.
        return next((design for design in self._remaining if fits(design)), None)

    def _exhaust(self) -> None:
        if not self.exhausted:
            name, done = self.space.name, self.ledger.counts().claimed
            if self.limits.bounds and done == 0:
                raise self.limits.refusal()
            within = " within the limits" if self.limits.bounds else ""
            self.note = f"space {name!r} holds no design{within} besides the {done} of this study"
            self.exhausted = True
            self._emit("message", text=self.note)

    def _note(self, candidate: Candidate) -> None:
        self._found[candidate.number] = candidate
        if candidate.evaluation.status != "stopped":
            self._look()
        elif self._promising() == candidate.number:  # it goes on at once
            return
        self._emit("candidate", candidate)

    def _look(self) -> None:
        """Where the front and the best PSNR are now, without baselines."""
        from bbnas.analysis.pareto import minimised, non_dominated, useful

        config = self.ledger.config
        good = [
            c.evaluation
            for c in self._found.values()
            if not c.baseline and useful(config, c.evaluation)
        ]
        if good:
            self._front = int(non_dominated(minimised(good, config.objectives)).sum())
            self._best = max(e.psnr for e in good)

    def _emit(
        self,
        kind: Literal["start", "candidate", "skip", "message", "end"],
        candidate: Candidate | None = None,
        text: str = "",
    ) -> None:
        if self.on_event is None:
            return
        counts = self.ledger.counts()
        elapsed = time.monotonic() - self._started
        pace = elapsed / self.trained if self.trained else math.nan  # of what is stopped, too
        self.on_event(
            Event(
                kind=kind,
                budget=self.budget,
                counts=counts,
                running=len(self._running),
                front=self._front,
                best_psnr=self._best,
                elapsed=elapsed,
                remaining=pace * (self.budget - counts.done),
                candidate=candidate,
                text=text,
            )
        )
