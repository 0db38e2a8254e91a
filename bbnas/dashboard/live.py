"""The studies of a dashboard in memory: one reader and one analyst for all of its tabs.

The reader looks at every database twice a second. The analyst, a process of its own, estimates,
which takes seconds on a large study: a page shows a point before the recommendation knows of it.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from dataclasses import dataclass, replace

from bbnas.dashboard.analyst import (
    Analysis,
    Analyst,
    AnalystGoneError,
    Bounds,
    Choice,
    Place,
    analyse,
    with_findings,
    within,
)
from bbnas.dashboard.sources import Sources
from bbnas.errors import UserError, unknown, why
from bbnas.store.watch import Snapshot, Watch

# Seconds between looks at a SQLite file, and between queries to a database server.
LOOK, QUERY = 0.5, 1.5
# Seconds between attempts to read a database that cannot be read.
RETRY = 2.0
# Analyses take at most a fifth of a core while a study grows.
SHARE = 0.2
# Seconds without a request after which a study is no longer analysed.
UNSEEN = 120.0
GONE = "The process that analyses was killed, perhaps for lack of memory; another one starts."

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LiveStudy:
    """A study as the dashboard knows it now; equal to itself alone, so that what a page shows of
    it can be kept for the next tab.

    ``place`` is where it lies. ``version`` counts its changes. ``analysis`` is that of
    ``analysed`` (a version), which may be older; None before the first one. ``analyses`` counts
    them. ``error`` says why its database cannot be read now.
    """

    key: str
    place: Place
    snapshot: Snapshot
    version: int
    analysis: Analysis | None = None
    analysed: int = 0
    analyses: int = 0
    error: str = ""

    @property
    def stamp(self) -> str:
        alive = sum(run.alive for run in self.snapshot.runs)
        return f"{self.version}.{self.analyses}.{alive}{'!' if self.error else ''}"


class Live:
    """All studies of ``sources``; ``start`` begins to read them, ``stop`` ends it."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._watches: dict[str, Watch] = {}
        self._due: dict[str, float] = {}
        self._studies: dict[str, LiveStudy] = {}
        self._asked: dict[str, float] = {}
        self._next: dict[str, float] = {}  # when a study may be analysed again
        self._changes = 0
        self._analyst = Analyst()
        self._limited = threading.Lock()
        self._ready = threading.Event()
        self._ended = threading.Event()
        self._news = threading.Condition()
        self._threads = [
            threading.Thread(target=work, name=f"bbnas-{name}", daemon=True)
            for name, work in (("reader", self._read), ("analyst", self._analyse))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads and the analyst."""
        self._ended.set()
        with self._news:
            self._news.notify_all()
        self._analyst.end()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def wait(self, seconds: float) -> bool:
        """Whether every database has been looked at once, within so many seconds."""
        return self._ready.wait(seconds)

    @property
    def ready(self) -> bool:
        """Whether every database has been looked at once."""
        return self._ready.is_set()

    @property
    def version(self) -> int:
        """Counts the changes of all studies."""
        return self._changes

    def changed_since(self, version: int, seconds: float) -> None:
        """Wait until ``version`` is not that of now, for so many seconds at most."""
        with self._news:
            self._news.wait_for(
                lambda: self._changes != version or self._ended.is_set(), timeout=seconds
            )

    def studies(self) -> list[LiveStudy]:
        """All studies, the one with the newest result first."""

        def newest(one: LiveStudy) -> float:
            moment = one.snapshot.last_result or one.snapshot.study.created
            return moment.timestamp() if moment else 0.0

        return sorted(self._studies.values(), key=newest, reverse=True)

    def errors(self) -> list[str]:
        """One line for each database that cannot be read now."""
        return [watch.error for watch in list(self._watches.values()) if watch.error]

    def study(self, key: str) -> LiveStudy:
        """The study ``key``, which is analysed from now on.

        Raises:
            UserError: there is none of that name.
        """
        found = self._studies.get(key)
        if found is None:
            raise (
                unknown("study", key, self._studies)
                if self._studies
                else UserError(f"no study {key!r}: {self.sources.words()} holds none yet")
            )
        waiting = found.analysed != found.version
        fresh = time.monotonic() - self._asked.get(key, -UNSEEN) < UNSEEN
        self._asked[key] = time.monotonic()
        if waiting and not fresh:
            with self._news:
                self._news.notify_all()
        return found

    def seen(self, key: str) -> None:
        """A page shows the study: it is analysed on."""
        if key in self._studies:
            self._asked[key] = time.monotonic()

    def stamps(self) -> dict[str, str]:
        """By study, a text that changes when a page of the study has to."""
        return {one.key: one.stamp for one in list(self._studies.values())}

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the reader must outlive any database
                log.warning("reader: %s", why(error))
            if not self.ready:
                gc.freeze()  # a full collection of 10,000 designs takes 0.5 s, and finds nothing
            self._ready.set()
            self._ended.wait(LOOK)

    def _look(self) -> None:
        wanted = self.sources.databases()
        for url, only in wanted.items():
            watch = self._watches.setdefault(url, Watch(url))
            if time.monotonic() < self._due.get(url, 0.0):
                continue
            names = watch.look()
            pause = RETRY if watch.error else QUERY if watch.on_server else 0.0
            self._due[url] = time.monotonic() + pause
            self._take(watch, names, only)
        for url in self._watches.keys() - wanted.keys():  # its file has left the folder
            watch = self._watches[url]
            self._take(watch, watch.look(), None)

    def _take(self, watch: Watch, names: set[str], only: set[str] | None) -> None:
        for name in {*watch.snapshots, *names} - {""}:
            if only is not None and name not in only:
                continue
            key = self._key(watch, name)
            snapshot = watch.snapshots.get(name)
            before = self._studies.get(key)
            if snapshot is None:
                self._studies.pop(key, None)
            elif before is None:
                self._studies[key] = LiveStudy(
                    key, Place(watch.url, name), snapshot, 1, error=watch.error
                )
            elif name in names or before.snapshot is not snapshot:  # a heartbeat is no version
                version = before.version + (name in names)
                self._studies[key] = replace(
                    before, snapshot=snapshot, version=version, error=watch.error
                )
        if names:
            with self._news:
                self._changes += 1
                self._news.notify_all()

    def _key(self, watch: Watch, name: str) -> str:
        """The name of a study in addresses: its own, with that of its file where they differ."""
        file = watch.url.rsplit("/", 1)[-1].split("?")[0].removesuffix(".db")
        key = name if watch.on_server or file == name else f"{file}:{name}"
        place, number = key, 2
        while (held := self._studies.get(place)) and held.snapshot.study.storage != (
            watch.storage
        ):
            place, number = f"{key}~{number}", number + 1
        return place

    def choice(self, one: LiveStudy, limits: Bounds) -> Choice:
        """The recommendation within ``limits``; an empty one before the first analysis."""
        if one.analysis is None or limits == Bounds():
            return one.analysis.choice if one.analysis else Choice()
        known = one.analysis.limited
        with self._limited:  # tabs that ask the same wait for one answer
            if limits not in known:
                try:
                    known[limits] = self._analyst.ask(within, one.place, limits)
                except (AnalystGoneError, UserError) as error:
                    return Choice(missing=str(error) or GONE)
        return known[limits]

    def _analyse(self) -> None:
        while not self._ended.is_set():
            with self._news:
                due = self._most_urgent()
                if due is None:
                    self._news.wait(0.5)
                    continue
            began, before = time.monotonic(), due.analysis
            seconds = RETRY * SHARE
            try:
                found = self._analyst.ask(analyse, due.place)
                self._publish(due, found)
                seconds = found.seconds
                if due.snapshot.study.candidates:
                    whole = self._analyst.ask(with_findings, due.place)
                    self._publish(due, whole)
                    seconds += whole.seconds
            except AnalystGoneError:
                if self._ended.is_set():
                    return
                log.warning("analysis of %s: %s", due.key, GONE)
                self._publish(due, replace(before or Analysis(), choice=Choice(missing=GONE)), 0)
            except UserError as error:
                log.warning("analysis of %s: %s", due.key, error)
                failed = Choice(missing=f"{error}.")
                self._publish(due, replace(before or Analysis(), choice=failed, limited={}))
            self._next[due.key] = began + seconds / SHARE

    def _publish(self, due: LiveStudy, found: Analysis, version: int | None = None) -> None:
        """``found`` is the analysis of ``version`` of a study, by default that which was due."""
        with self._news:
            now = self._studies.get(due.key)
            if now is not None:
                self._studies[due.key] = replace(
                    now,
                    analysis=found,
                    analysed=due.version if version is None else version,
                    analyses=now.analyses + 1,
                )
                self._changes += 1
                self._news.notify_all()

    def _most_urgent(self) -> LiveStudy | None:
        now = time.monotonic()
        stale = [
            one
            for one in list(self._studies.values())
            if one.analysed != one.version
            and now - self._asked.get(one.key, -UNSEEN) < UNSEEN
            and now >= self._next.get(one.key, 0.0)
        ]
        return min(stale, key=lambda one: one.analysed, default=None)
