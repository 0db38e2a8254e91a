"""What takes a while is shown on standard error: as a bar on a terminal, else in lines."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from bbnas.data.sets import Work
    from bbnas.runs.train_all import Trained
    from bbnas.searching.loop import Event
    from bbnas.training import Progress

LINE_SECONDS = 10.0


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


@contextmanager
def _counted() -> Iterator[Bar]:
    """A bar of how many of how many, with words behind."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task("", total=None)
        yield bar


def _count(bar: Bar, done: int, total: int, words: str) -> None:
    bar.update(bar.task_ids[0], total=total, completed=done, description=words)


@contextmanager
def search_progress(quiet: bool) -> Iterator[Callable[[Event], None] | None]:
    """Shows each Event of ``bbnas.searching.search`` that is passed to what it yields."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _counted() as bar:

            def show(now: Event) -> None:
                if now.kind == "message":
                    bar.console.print(now.text, markup=False, highlight=False)
                words = ", ".join(_tally(now))
                _count(bar, now.counts.done, now.budget, words)

            yield show
    else:

        def line(now: Event) -> None:
            if now.kind == "message":
                click.echo(now.text, err=True)
            elif now.kind == "candidate" and now.candidate is not None:
                found = now.candidate.evaluation
                tally = ", ".join(_tally(now))
                words = f"{found.result}, {found.design.label()} | {tally}"
                click.echo(f"{now.counts.done}/{now.budget} {words}", err=True)

        yield line


def _tally(now: Event) -> Iterator[str]:
    if now.counts.failed:
        yield f"{now.counts.failed} failed"
    if now.counts.duplicates:
        yield f"{now.counts.duplicates} duplicate"
    if math.isfinite(now.best_psnr):
        yield f"front {now.front}, best {now.best_psnr:.2f} dB"
    if math.isfinite(now.remaining):
        yield f"{duration(now.remaining)} left"


@contextmanager
def trainings_progress(quiet: bool) -> Iterator[Callable[[Trained], None] | None]:
    """Shows each Trained of ``train_named`` that is passed to what it yields."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _counted() as bar:
            yield lambda now: _count(bar, now.done, now.total, _outcome(now))
    else:
        yield lambda now: click.echo(f"{now.done}/{now.total} {_outcome(now)}", err=True)


def _outcome(now: Trained) -> str:
    e = now.evaluation
    result = f"{e.psnr:.2f} dB" if e.feasible else e.status
    return f"{result}, {now.label} | {duration(now.remaining)} left"


@contextmanager
def training_progress(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Shows each Progress of ``bbnas.training.train`` that is passed to what it yields."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _counted() as bar:

            def show(now: Progress) -> None:
                _count(bar, now.iteration, now.iterations, _words(now))

            yield show
    else:
        shown = time.monotonic()

        def line(now: Progress) -> None:
            nonlocal shown
            due = time.monotonic() - shown >= LINE_SECONDS
            if due or now.psnr is not None or now.iteration == now.iterations:
                shown = time.monotonic()
                click.echo(f"{now.iteration}/{now.iterations} {_words(now)}", err=True)

        yield line


@contextmanager
def work_progress(quiet: bool) -> Iterator[Callable[[Work], None] | None]:
    """Shows each Work on data that is passed to what it yields, with the time left."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def show(now: Work) -> None:
                if now.what not in tasks:
                    for finished in tasks.values():
                        bar.update(finished, visible=False)
                    tasks[now.what] = bar.add_task("", completed=now.done)
                words = f"{now.what}: {_amount(now)}"
                bar.update(tasks[now.what], total=now.total, completed=now.done, description=words)

            yield show
    else:
        shown = started = time.monotonic()
        doing = ""

        def line(now: Work) -> None:
            nonlocal shown, started, doing
            time_now = time.monotonic()
            if now.what != doing:
                doing, started = now.what, time_now
            if time_now - shown < LINE_SECONDS:
                return
            shown = time_now
            left = ""
            if now.total and now.done:
                seconds = (time_now - started) * (now.total / now.done - 1)
                left = f", {duration(seconds)} left"
            click.echo(f"{now.what}: {_amount(now)}{left}", err=True)

        yield line


def _amount(now: Work) -> str:
    scale, unit = (1e6, " MB") if now.in_bytes else (1, "")
    of = f" of {now.total / scale:,.0f}" if now.total is not None else ""
    return f"{now.done / scale:,.0f}{of}{unit}"


def _words(now: Progress) -> str:
    best = "" if now.best_psnr is None else f", best validation {now.best_psnr:.2f} dB"
    return f"L1 {now.loss:.4f}{best}, {duration(now.seconds_left)} left"
