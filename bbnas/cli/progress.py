"""Progress on standard error: a live panel on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from bbnas.signals import keeps
from bbnas.text import duration, share

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from bbnas.bench.sampler.efficiency import Trace
    from bbnas.data.sets import DataProgress
    from bbnas.inference import RestoreProgress
    from bbnas.runs.train_all import Trained
    from bbnas.searching.loop import Event
    from bbnas.store import Store
    from bbnas.training import Progress

# Seconds between two lines where standard error is no terminal: a log of an hour stays readable.
LINE_SECONDS = 5.0
# Columns of the bar on a terminal: amount, times and bar fit 80.
BAR_WIDTH = 30


class Display:
    """How far something is: a bar, the time, what is known so far, and the latest news.

    Where standard error is no terminal, a line is printed at news, and else at most every
    ``LINE_SECONDS``.
    """

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._started = self._printed = time.monotonic()
        self._done = 0.0
        self._total: float | None = None
        self._amount = self._words = self._news = ""
        self._left = math.nan

    def update(
        self,
        done: float,
        total: float | None,
        words: str,
        *,
        left: float = math.nan,
        news: str = "",
        amount: str = "",
        line: bool = False,
    ) -> None:
        """``left`` is in seconds; ``amount`` is "done/total" unless given. ``line`` prints one
        even if the last is younger than ``LINE_SECONDS``, as ``news`` does.
        """
        self._done, self._total, self._words, self._left = done, total, words, left
        self._amount = amount or f"{done:,.0f}/{total:,.0f}"
        self._news = news or self._news
        if self._console is not None:
            return  # redrawn four times a second
        now = time.monotonic()
        if news or line or now - self._printed >= LINE_SECONDS:
            self._printed = now
            click.echo(
                " | ".join(filter(None, (self._amount, news, words, self._time()))), err=True
            )

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._console is None:
            click.echo(text, err=True)
        else:
            self._console.print(text, markup=False, highlight=False)

    def _time(self) -> str:
        elapsed = duration(time.monotonic() - self._started)
        return elapsed + (f", {duration(self._left)} left" if math.isfinite(self._left) else "")

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        bar = ProgressBar(self._total, self._done, width=BAR_WIDTH, pulse=self._total is None)
        head = Table.grid(padding=(0, 1))
        head.add_row(bar, Text(self._amount), Text(self._time()))
        lines = (
            Text(line, no_wrap=True, overflow="ellipsis") for line in (self._words, self._news)
        )
        return Group(head, *filter(None, lines))


@contextmanager
def _shown() -> Iterator[Display]:
    if not sys.stderr.isatty():
        yield Display(None)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    display = Display(console)
    # rich would send standard output, even of a pipe or a file, to the panel's terminal.
    with Live(display, console=console, transient=True, redirect_stdout=sys.stdout.isatty()):
        yield display


@contextmanager
def search_progress(quiet: bool) -> Iterator[Callable[[Event], None] | None]:
    """Shows each Event of ``bbnas.searching.search`` that is passed to what it yields."""
    if quiet:
        yield None
        return
    with _shown() as display:
        best, front = -math.inf, 0

        def show(now: Event) -> None:
            nonlocal best, front
            if now.kind == "message":
                display.say(now.text)
                return
            news = ""
            if now.candidate is not None and (now.best_psnr > best or now.front != front):
                found = now.candidate.evaluation
                what = "best so far" if now.best_psnr > best else "front changed"
                news = f"{what}: {found.result}, {found.design.label()}"
            if now.best_psnr > best:  # not while it is NaN
                best = now.best_psnr
            front = now.front
            words = ", ".join(_tally(now))
            display.update(
                now.counts.done,
                now.budget,
                words,
                left=now.remaining,
                news=news,
                line=now.kind in ("start", "end"),
            )

        yield show


def _tally(now: Event) -> Iterator[str]:
    if math.isfinite(now.best_psnr):
        yield f"front {now.front}, best {now.best_psnr:.2f} dB"
    if now.running:
        yield f"{now.running} training"
    for number, what in (
        (now.counts.stopped, "stopped early"),
        (now.counts.failed, "failed"),
        (now.counts.duplicates, "duplicate"),
    ):
        if number:
            yield f"{number} {what}"


@contextmanager
def trainings_progress(
    quiet: bool, store: Store | None
) -> Iterator[Callable[[Trained], None] | None]:
    """Shows each Trained of ``train_all`` that is passed to what it yields; ``store`` keeps them,
    or None.
    """
    kept = f"every training that ended is kept in {store}; the same command resumes"
    keeps("nothing is kept" if store is None else kept)
    if quiet:
        yield None
        return
    with _shown() as display:

        def show(now: Trained) -> None:
            e = now.evaluation
            words = f"{now.label}: {f'{e.psnr:.2f} dB' if e.feasible else e.status}"
            last = now.done == now.total
            display.update(now.done, now.total, words, left=now.remaining, line=last)

        yield show


@contextmanager
def training_progress(quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Shows each Progress of ``bbnas.training.train`` that is passed to what it yields."""
    if quiet:
        yield None
        return
    with _shown() as display:

        def show(now: Progress) -> None:
            news = "" if now.psnr is None else f"validation {now.psnr:.2f} dB"
            best = "" if now.best_psnr is None else f", best validation {now.best_psnr:.2f} dB"
            words = f"L1 {now.loss:.4f}{best}"
            display.update(
                now.iteration,
                now.iterations,
                words,
                left=now.seconds_left,
                news=news,
                line=now.iteration == now.iterations,
            )

        yield show


@contextmanager
def work_progress(quiet: bool) -> Iterator[Callable[[DataProgress], None] | None]:
    """Shows each DataProgress that is passed to what it yields."""
    if quiet:
        yield None
        return
    with _shown() as display:
        doing, started = "", time.monotonic()

        def show(now: DataProgress) -> None:
            nonlocal doing, started
            if now.what != doing:
                doing, started = now.what, time.monotonic()
            left = math.nan
            if now.total and now.done:
                left = (time.monotonic() - started) * (now.total / now.done - 1)
            display.update(now.done, now.total, now.what, left=left, amount=_amount(now))

        yield show


def _amount(now: DataProgress) -> str:
    scale, unit = (1e6, " MB") if now.in_bytes else (1, "")
    total = f"/{now.total / scale:,.0f}" if now.total is not None else ""
    return f"{now.done / scale:,.0f}{total}{unit}"


@contextmanager
def restore_progress(quiet: bool) -> Iterator[Callable[[RestoreProgress], None] | None]:
    """Shows each RestoreProgress that is passed to what it yields."""
    if quiet:
        yield None
        return
    with _shown() as display:
        started = time.monotonic()

        def show(now: RestoreProgress) -> None:
            left = math.nan
            if now.done:
                left = (time.monotonic() - started) * (now.total / now.done - 1)
            part = f"{share(now.done % 1)} of " if now.done % 1 else ""
            amount = f"{int(now.done):,}/{now.total:,}"
            display.update(now.done, now.total, f"{part}{now.source}", left=left, amount=amount)

        yield show


@contextmanager
def simulation_progress(quiet: bool) -> Iterator[Callable[[Trace, int, int, float], None] | None]:
    """Shows each Trace of ``simulate_all`` that is passed to what it yields."""
    keeps("nothing is kept")
    if quiet:
        yield None
        return
    with _shown() as display:

        def show(trace: Trace, done: int, total: int, left: float) -> None:
            words = f"{trace.contender}, seed {trace.seed}: {trace.volume[-1]:.3f} of the front"
            display.update(done, total, words, left=left, line=done == total)

        yield show
