"""The workers of a study: what each trains and has trained, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from bbnas.study import Attempt, Study

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class WorkerRecord:
    """A worker ``number`` of the process ``run`` (from 1) of a search on ``host``.

    ``ended`` counts the candidates that it trained to the end, ``stopped`` how often one was
    stopped at a rung, of which some go on later, ``failed`` those that diverged, failed or died
    with their worker. ``per_hour`` is the rate of all these between its first start and its last
    end, NaN before the first end. ``trial`` is in training there ``since`` then; None if none is.
    Times are in UTC, with their zone. ``node`` is the machine of a cluster that it is on, empty on
    the host of the search and before its first result.
    """

    host: str
    run: int
    number: int
    node: str
    ended: int
    stopped: int
    failed: int
    per_hour: float
    trial: int | None
    since: datetime | None


@dataclass(frozen=True)
class Workforce:
    """``workers`` in the order of their processes, and how often each cause ended an attempt
    without a result.
    """

    workers: tuple[WorkerRecord, ...]
    failures: dict[str, int]


def workers_of(study: Study, now: datetime) -> Workforce:
    """The workers of a study at ``now``; none in a database that recorded no attempt."""
    by_worker: dict[tuple[int, int], list[Attempt]] = {}
    for attempt, number in placed(study.attempts, now):
        by_worker.setdefault((attempt.run, number), []).append(attempt)
    runs = {run: place for place, run in enumerate(sorted({run for run, _ in by_worker}), 1)}
    nodes = _nodes(study)
    found = [
        _worker(runs[run], n, nodes.get((run, n), ""), mine)
        for (run, n), mine in sorted(by_worker.items())
    ]
    causes = Counter(
        e.error if e.error.startswith(e.status) else f"{e.status}: {e.error}".removesuffix(": ")
        for e in (c.evaluation for c in study.candidates)
        if e.status in ("diverged", "failed")
    )
    lost = Counter(a.outcome for a in study.attempts if a.outcome in LOST)
    causes.update({LOST[outcome]: times for outcome, times in lost.items()})
    return Workforce(tuple(found), dict(causes.most_common()))


# Outcomes of an attempt that has no result, in words.
LOST = {"died": "the worker died", "interrupted": "the search was interrupted"}


def _nodes(study: Study) -> dict[tuple[int, int], str]:
    """The nodes of the workers that gave the last results of candidates, by run and number."""
    last = {a.number: a for a in study.attempts if a.outcome not in ("", *LOST)}
    return {
        (a.run, a.worker): c.evaluation.environment["node"]
        for c in study.candidates
        if "node" in c.evaluation.environment
        and (a := last.get(c.number)) is not None
        and a.worker is not None
    }


def _worker(run: int, number: int, node: str, attempts: Sequence[Attempt]) -> WorkerRecord:
    outcomes = Counter(a.outcome for a in attempts)
    ends = [a.finished for a in attempts if a.finished is not None]
    hours = 0.0
    if ends:
        hours = (max(ends) - min(a.started for a in attempts)).total_seconds() / 3600
    now = next((a for a in attempts if a.finished is None), None)
    return WorkerRecord(
        host=attempts[0].host,
        run=run,
        number=number,
        node=node,
        ended=outcomes["ok"],
        stopped=outcomes["stopped"],
        failed=outcomes["diverged"] + outcomes["failed"] + outcomes["died"],
        per_hour=len(ends) / hours if hours else float("nan"),
        trial=None if now is None else now.number,
        since=None if now is None else now.started,
    )


def until(attempt: Attempt, now: datetime) -> datetime:
    """The end of an attempt; of one in training, ``now``."""
    return attempt.finished or max(now, attempt.started)


def placed(attempts: Sequence[Attempt], now: datetime) -> list[tuple[Attempt, int]]:
    """Attempts, in the order of their start, with their workers.

    Which worker trains a candidate is known when it ends. Until then, and where the worker died,
    its attempt has the first worker of its process that is free at that time. A process with
    several workers claims one candidate more than they can train: it waits for a worker, and is
    left out.
    """
    attempts = sorted(attempts, key=lambda a: a.started)
    taken: dict[tuple[int, int], list[Span]] = {}
    workers: dict[int, int] = {}  # the number of those that are known, by run
    for a in attempts:
        if a.worker is not None:
            taken.setdefault((a.run, a.worker), []).append((a.started, until(a, now)))
            workers[a.run] = max(workers.get(a.run, 0), a.worker + 1)
    found = []
    for a in attempts:
        worker, end = a.worker, until(a, now)
        if worker is None:
            free = (
                w
                for w in count()
                if all(b <= a.started or end <= s for s, b in taken.get((a.run, w), ()))
            )
            worker = next(free)
            if a.finished is None and worker >= workers.get(a.run, 0) > 1:
                continue
            taken.setdefault((a.run, worker), []).append((a.started, end))
        found.append((a, worker))
    return found
