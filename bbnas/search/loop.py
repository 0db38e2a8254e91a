"""The bookkeeping of a search: which design next, and what became of the last."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from bbnas.analysis.words import COSTS
from bbnas.design import METHODS, Design
from bbnas.errors import UserError
from bbnas.evaluation import OBJECTIVES, Candidate, Evaluation
from bbnas.search.ledger import MAX_DEATHS, Counts, Job, Known, Ledger, Refusal
from bbnas.search.prices import Prices
from bbnas.search.proposals import Proposals
from bbnas.search.stopping import ON_THE_WAY, worth_more
from bbnas.search.trials import Trials
from bbnas.space import Space

# After so many suggestions in a row that are no new candidate, a design is drawn at random.
PATIENCE = 10
# From this many candidates on there is a knee worth looking around.
REFINE_FROM = 20
DRAWS = 300
# One in so many of the candidates at a rung goes on.
REDUCTION = 2.0
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

    ``baselines`` are (name, design) to evaluate first; ``limits`` are upper bounds by the name of
    a cost (``ops``, ``params``, ``latency``).
    """

    ledger: Ledger
    trials: Trials
    space: Space
    prices: Prices
    proposals: Proposals
    budget: int
    rng: np.random.Generator
    limits: dict[str, float] = field(default_factory=dict)
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
        self._failures = 0
        self._baselines = list(self.baselines)
        self._remaining: Iterator[Design] | None = None
        self._cheapest = dict.fromkeys(self.limits, math.inf)
        self._front, self._best = 0, math.nan
        self._knee, self._near = "", list[Design]()
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
        self._failures = self._failures + 1 if found.status == "failed" else 0
        found = self.prices.complete(found)
        stopped = found.status == "stopped"
        if stopped:
            self._stopped[job.number] = trial
        with uninterrupted():
            notes = {} if stopped else self.trials.tell(trial, found)
            recorded = self.ledger.finish(job, found, notes)
        if recorded:
            self._note(Candidate(job.number, found, job.baseline))
        if self._failures >= MAX_FAILURES:
            raise UserError(
                f"{self._failures} candidates in a row failed, the last with: {found.error}; "
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
            known = self._found.get(candidate.number)
            if (
                known is None
                or known.evaluation.status == "stopped" != candidate.evaluation.status
            ):
                priced = self.prices.complete(candidate.evaluation)
                self._found[candidate.number] = replace(candidate, evaluation=priced)
                self.trials.drop(self._stopped.pop(candidate.number, None))
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
        """The number of a stopped candidate to go on with, of the highest rung first."""
        config = self.ledger.config
        own = {n: c.evaluation for n, c in self._found.items() if not c.baseline}
        waiting = {n for n, e in own.items() if e.status == "stopped" and n not in self._running}
        if not waiting:
            return None
        costs = [name for name in config.objectives if name != "psnr"]
        for rung in reversed(config.protocol.rungs):
            there = {n: dict(e.rungs)[rung] for n, e in own.items() if rung in dict(e.rungs)}
            here = [n for n in waiting & there.keys() if own[n].rungs[-1][0] == rung]
            if not here:
                continue
            if not config.early_stopping:
                return min(here)
            points = [[getattr(own[n], name) for name in costs] for n in there]
            noise = ON_THE_WAY * config.protocol.noise
            worth = worth_more(list(there.values()), points, noise, REDUCTION)
            passed = [n for n, kept in zip(there, worth, strict=True) if kept and n in here]
            if passed:
                return max(passed, key=lambda n: there[n])
        return None

    def _until(self, job: Job) -> int | None:
        """The rung at which ``job`` is looked at next; None if it is trained to the end."""
        config = self.ledger.config
        if job.baseline or not config.early_stopping:
            return None
        known = self._found.get(job.number)
        last = known.evaluation.rungs[-1][0] if known and known.evaluation.rungs else 0
        return next((rung for rung in config.protocol.rungs if rung > last), None)

    def _start(self, job: Job, trial: int | None) -> Job:
        job = replace(job, until=self._until(job))
        self._running[job.number] = trial
        if self.prices.clock is not None:
            self.prices.clock(job.design)  # now, so that no finished training waits for it
        return job

    def _baseline(self) -> Job | None:
        while self._baselines:
            name, design = self._baselines.pop(0)
            design = design.canonical()
            if design.key in self.ledger.designs():
                continue
            if excess := self._excess(design):
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
        if not self._within_limits:
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
            if excess := self._excess(design):
                self.trials.avoid(trial, excess)
                self.ledger.reject()
                fruitless += 1
                self._emit("skip")
                continue
            claim = self._claim(design, trial, "")
            if isinstance(claim, Job):
                return claim
            fruitless = fruitless + 1 if claim is Refusal.DUPLICATE else 0
        return None

    def _neighbour(self) -> Design | None:
        """In every second turn an unseen design that differs from the knee in one choice.

        Each is one half of a matched pair: it tells what that choice is worth where it matters,
        and the recommendation cannot end beside a better design that nobody tried.
        """
        if not self.ledger.config.refine or self.ledger.counts().claimed % 2:
            return None
        seen = self.ledger.designs()
        fits = (d for d in self._near if d.key not in seen and not self._excess(d))
        return next(fits, None)

    def _proposed(self) -> Design | None:
        """What the runs so far tell to try; None leaves it to the sampler."""
        config = self.ledger.config
        if (
            config.sampler != "ehvi"
            or len(self._found) < config.sampler_options["n_startup_trials"]
        ):
            return None
        counted = {name: limit for name, limit in self.limits.items() if name != "latency"}

        def fits(design: Design) -> bool:  # latency is measured for what is proposed alone
            return all(self.prices(design, name) <= limit for name, limit in counted.items())

        return self.proposals.propose(self._found, self.ledger.designs(), fits)

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

    def _excess(self, design: Design) -> dict[str, float]:
        """By how much a design is over each limit, relative to the limit.

        What is over a limit that is counted is not measured for the one that is not.
        """
        excess: dict[str, float] = {}
        for name in sorted(self.limits, key=list(OBJECTIVES).index):
            if name == "latency" and excess:
                break
            value, limit = self.prices(design, name), self.limits[name]
            self._cheapest[name] = min(self._cheapest[name], value)
            if value > limit:
                excess[name] = value / limit - 1.0
        return excess

    def _unseen(self) -> Design | None:
        """A design within the limits that the study does not have, or None if there is none."""
        seen = self.ledger.designs()

        def fits(design: Design) -> bool:
            return design.key not in seen and not self._excess(design)

        for _ in range(DRAWS):
            if fits(design := self.space.sample(self.rng)):
                return design
        if self._remaining is None:
            self._remaining = self.space.enumerate()
        # What was passed over once is seen, or over a limit, for good.
        return next((design for design in self._remaining if fits(design)), None)

    @cached_property
    def _within_limits(self) -> bool:
        """Whether any design keeps the limits.

        Every design costs at least as much, in OPs and in Params, as one of its method that has
        all parts 1-bit that can be, at the smallest width and depth. Its latency can be less, but
        not by half.
        """
        axes = self.space.axes
        subsets = [set(subset) for subset in axes.binarize]
        largest = [s for s in subsets if not any(s < other for other in subsets)]
        width, depth = min(axes.width), min(axes.depth)
        excesses = (
            self._excess(Design(binarize=tuple(subset), width=width, depth=depth, **unit))
            for subset in largest
            for unit in [METHODS[method] for method in axes.method] or [{}]
        )
        return any(
            all(name == "latency" and excess < 1 for name, excess in found.items())
            for found in excesses
        )

    def _exhaust(self) -> None:
        if not self.exhausted:
            self.exhausted, self.note = True, self._why_exhausted()
            self._emit("message", text=self.note)

    def _why_exhausted(self) -> str:
        name, done = self.space.name, self.ledger.counts().claimed
        if self.limits and done == 0:
            limits = ", ".join(f"max_{n} {COSTS[n].amount(v)}" for n, v in self.limits.items())
            known = {n: v for n, v in self._cheapest.items() if math.isfinite(v)}
            least = ", ".join(f"{n} {COSTS[n].amount(v)}" for n, v in known.items())
            raise UserError(
                f"no design of space {name!r} keeps {limits}: the smallest have {least}; "
                "raise the limit"
            )
        within = " within the limits" if self.limits else ""
        return f"space {name!r} holds no design{within} besides the {done} of this study"

    def _note(self, candidate: Candidate) -> None:
        self._found[candidate.number] = candidate
        if candidate.evaluation.status != "stopped":
            self._look()
        elif self._promising() == candidate.number:  # it goes on at once
            return
        self._emit("candidate", candidate)

    def _look(self) -> None:
        """Where the front, the best PSNR and the knee are now, without baselines."""
        from bbnas.analysis.estimates import estimate
        from bbnas.analysis.pareto import minimised, non_dominated, useful
        from bbnas.analysis.recommend import standing

        config = self.ledger.config
        own = [c for c in self._found.values() if not c.baseline]
        good = [c for c in own if useful(config, c.evaluation)]
        if not good:
            return
        points = minimised([c.evaluation for c in good], config.objectives)
        self._front = int(non_dominated(points).sum())
        self._best = max(c.evaluation.psnr for c in good)
        if config.refine and len(own) >= REFINE_FROM:
            surrogate = self.proposals.surrogate(self._found)
            estimates = estimate(config, good, [], surrogate=surrogate)
            best = standing(config, estimates).estimates.candidates[0]
            design = best.evaluation.design
            if design.key != self._knee:
                self._knee, self._near = design.key, self.space.neighbours(design)

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
