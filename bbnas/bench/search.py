"""``bbnas bench search``: what a search takes beside training, in small studies and large ones.

Training is replaced by a formula, or by a sleep (:mod:`bbnas.bench.simulated`).
"""

from __future__ import annotations

import math
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from bbnas.bench.dashboard import Limit
from bbnas.bench.simulated import NAME, Filling, Simulated, prices, simulated_study
from bbnas.environment import taken_on
from bbnas.errors import UserError
from bbnas.reporting.make import report
from bbnas.searching import search
from bbnas.searching.loop import Event
from bbnas.store.store import Store

# Candidates that are searched for at each size of the study.
MORE = 30
# Candidates of each worker whose efficiency is measured.
EACH = 10


@dataclass(frozen=True)
class Overhead:
    """What one outcome takes beside training, in a study of ``candidates``.

    ``each_ms`` is the wall time of the search from its first proposal to its last outcome by the
    number of outcomes, without the sleep; ``sampler_ms`` and ``database_ms`` are the sampler's and
    the database's parts of it. ``busy_ms`` is the processor time of this process: beside other
    work it is less than the wall time. ``proposal_ms`` and ``worst_ms`` are the median and the
    longest of the sampler's proposals. ``resume_s`` is the time from the call to the first
    proposal, less the start of Ray, which comes after it.
    """

    candidates: int
    workers: int
    outcomes: int
    resume_s: float
    each_ms: float
    sampler_ms: float
    database_ms: float
    busy_ms: float
    proposal_ms: float
    worst_ms: float

    @property
    def rest_ms(self) -> float:
        return self.each_ms - self.sampler_ms - self.database_ms


@dataclass(frozen=True)
class SearchSpeed:
    """Overheads on ``machine`` in ``storage``, with the ``sampler``, and what the largest study
    takes: its report (s, bytes) and the most memory (bytes) that this process had.

    ``efficiency`` is the share of their time in which ``workers`` workers were training candidates
    of one second, while all of them were there, and ``pace`` the outcomes in a second then; NaN
    where they were not measured. ``report_busy_s`` is processor time.
    """

    machine: str
    storage: str
    sampler: str
    overheads: tuple[Overhead, ...]
    report_s: float
    report_busy_s: float
    report_bytes: int
    memory: int
    workers: int
    efficiency: float
    pace: float

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The measurements that have a limit."""
        largest = max(self.overheads, key=lambda o: o.candidates)
        beside = [
            Limit(
                f"beside training and sampler, {o.candidates:,} candidates, {o.workers} workers",
                o.each_ms - o.sampler_ms,
                30.0 if o.workers == 1 else 100.0,
                "ms",
            )
            for o in self.overheads
        ]
        return (
            *beside,
            Limit("proposal, median", largest.proposal_ms, 50.0, "ms"),
            Limit("proposal, longest", largest.worst_ms, 1000.0, "ms"),
            Limit("resume", largest.resume_s, 5.0, "s"),
            Limit("report", self.report_s, 10.0, "s"),
            Limit("size of the report", self.report_bytes / 1e6, 12.0, "MB"),
            Limit("memory of the search", self.memory / 1e6, 1000.0, "MB"),
        )

    @property
    def passed(self) -> bool:
        """Whether no limit is exceeded."""
        within = all(one.most is None or one.measured <= one.most for one in self.limits)
        return within and not self.efficiency < 0.85


def bench_search(
    candidates: Sequence[int] = (100, 1000, 10_000),
    workers: Sequence[int] = (1, 2),
    storage: str | None = None,
    sampler: str = "ehvi",
    efficient: int = 0,
    say: Callable[[str], None] = print,
) -> SearchSpeed:
    """Measure searches that go on in studies of so many ``candidates``, by so many ``workers``.

    ``storage``: a database URL, a temporary SQLite file by default; ``efficient``: the number of
    workers whose efficiency is measured, none by default.

    Raises:
        UserError: the database holds a study of the same name.
    """
    config = simulated_study(sampler)
    with tempfile.TemporaryDirectory(prefix="bbnas-bench-") as folder:
        url = storage or f"sqlite:///{folder}/{NAME}.db"
        store = Store(url, create=True)
        taken = NAME in store.studies()
        store.close()
        if taken:
            raise UserError(f"{store} holds a study {NAME!r} already: give an empty database")
        overheads, held = [], 0
        for size in sorted(candidates):
            say(f"filling the study up to {size:,} simulated candidates")
            with Filling.on(url, config) as filling:
                filling.write(max(0, size - held))
            held = max(size, held)
            for number in workers:
                say(f"{MORE} more by {number} worker{'' if number == 1 else 's'}")
                overheads.append(_overhead(url, sampler, size, held + MORE, number))
                held += MORE
        say("report")
        began, busy = time.perf_counter(), time.process_time()
        page = Path(folder) / "report.html"
        store = Store(url)
        report(store.load_study(NAME), page, repeats=0, pictures=False)
        store.close()
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        efficiency = pace = math.nan
        if efficient:
            say(f"{EACH * efficient} candidates of one second by {efficient} workers")
            efficiency, pace = _efficiency(f"sqlite:///{folder}/efficient.db", sampler, efficient)
        shown = str(store)
        return SearchSpeed(
            machine=taken_on(),
            storage=shown.split(":", maxsplit=1)[0],
            sampler=sampler,
            overheads=tuple(overheads),
            report_s=seconds,
            report_busy_s=busy,
            report_bytes=page.stat().st_size,
            memory=_most_memory(),
            workers=efficient,
            efficiency=efficiency,
            pace=pace,
        )


def _overhead(url: str, sampler: str, size: int, budget: int, workers: int) -> Overhead:
    times: list[tuple[float, float]] = []  # by the clock, and of this process
    starts: list[tuple[float, float]] = []

    def on_event(event: Event) -> None:
        if event.kind == "start":
            starts.append((time.perf_counter(), time.process_time()))
        elif event.kind == "candidate":
            times.append((time.perf_counter(), time.process_time()))

    config = simulated_study(sampler)
    known = prices(config.space, Simulated().task) if workers > 1 else {}
    began = time.perf_counter()
    result = search(
        config,
        Simulated(prices=known),
        budget,
        storage=url,
        workers=workers,
        benefit=False,
        confirm=0,
        on_event=on_event,
    )
    # Ray starts between the first proposal and the first outcome.
    first = starts[0] if workers == 1 else times[0]
    outcomes = max(1, len(times) - (workers > 1))
    taken, busy = (last - since for last, since in zip(times[-1], first, strict=True))
    return Overhead(
        candidates=size,
        workers=workers,
        outcomes=outcomes,
        resume_s=starts[0][0] - began,
        each_ms=1e3 * taken / outcomes,
        sampler_ms=1e3 * sum(result.suggesting) / outcomes,
        database_ms=1e3 * result.database_seconds / outcomes,
        busy_ms=1e3 * busy / outcomes,
        proposal_ms=1e3 * statistics.median(result.suggesting),
        worst_ms=1e3 * max(result.suggesting),
    )


def _efficiency(url: str, sampler: str, workers: int) -> tuple[float, float]:
    """By candidates trained to the end, from when all workers have begun until the first has
    none left; and their number in a second of that time.
    """
    config = replace(simulated_study(sampler), early_stopping=False)
    result = search(
        config,
        Simulated(seconds=1.0, prices=prices(config.space, Simulated().task)),
        EACH * workers,
        storage=url,
        workers=workers,
        benefit=False,
        confirm=0,
    )
    begun: dict[int, datetime] = {}
    ended: dict[int, datetime] = {}
    for attempt in result.study.attempts:
        if attempt.worker is not None and attempt.finished is not None:
            begun.setdefault(attempt.worker, attempt.started)
            ended[attempt.worker] = attempt.finished
    since, until = max(begun.values()), min(ended.values())
    finished = [a.finished for a in result.study.attempts if a.finished is not None]
    inside = sum(since < at <= until for at in finished)
    seconds = (until - since).total_seconds()
    pace = inside / seconds if seconds > 0 else math.nan
    return pace / workers, pace


def _most_memory() -> int:
    """Bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
