"""``bbnas bench dashboard``: how soon a page of the dashboard shows a large study, and its news.

The study is simulated (:mod:`bbnas.bench.simulated`). A dashboard serves it from a database, and a
browser shows it.
"""

from __future__ import annotations

import math
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bbnas.bench.simulated import NAME, Filling
from bbnas.environment import taken_on
from bbnas.errors import UserError
from bbnas.store.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Say = Callable[[str], None]
# Seconds over which processor time is measured while nothing changes.
IDLE = 10.0
TABS = 20
# Seconds after which a page that does not come is given up.
MOST = 180
UPDATES = 5


@dataclass(frozen=True)
class Limit:
    """A measurement and the most that it may be."""

    what: str
    measured: float
    most: float | None
    unit: str


@dataclass(frozen=True)
class DashboardSpeed:
    """How fast the page of a study of ``candidates`` is, on ``machine``.

    - ``query_s``: reading the whole study from its database, once.
    - ``paint_s``: from opening the address in the browser, the study being read, to its front on
      the screen.
    - ``update_ms``: processor time that the server takes for one new result, with one tab open;
      the analysis that follows in the background is not in it.
    - ``seen_s``: from a commit to its point on the screen.
    - ``idle_share``, ``idle_tabs_share``: of one core, while nothing changes, with one tab and
      with ``tabs``.

    Medians over several updates. Those that need a browser are NaN without one.
    """

    machine: str
    candidates: int
    tabs: int
    query_s: float
    paint_s: float
    update_ms: float
    seen_s: float
    idle_share: float
    idle_tabs_share: float

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The measurements, with the most that each may be, if there is a limit."""
        return (
            Limit("study read from its database", self.query_s, None, "s"),
            Limit("front on the screen", self.paint_s, 1.0, "s"),
            Limit("server's work for one result", self.update_ms, 200.0, "ms"),
            Limit("result on the screen after", self.seen_s, 2.0, "s"),
            Limit("idle, 1 tab", 100 * self.idle_share, 2.0, "% of a core"),
            Limit(f"idle, {self.tabs} tabs", 100 * self.idle_tabs_share, None, "% of a core"),
        )

    @property
    def passed(self) -> bool:
        """Whether no limit is exceeded; what was not measured exceeds none."""
        return not any(one.most is not None and one.measured > one.most for one in self.limits)


def bench_dashboard(
    candidates: int = 10_000, say: Callable[[str], None] = print
) -> DashboardSpeed:
    """Measure the dashboard on a simulated study of so many candidates.

    Raises:
        UserError: fewer than 10 candidates.
    """
    if candidates < 10:
        raise UserError(f"{candidates} candidates: must be 10 or more")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bbnas-bench-")))
        file = folder / f"{NAME}.db"
        say(f"writing a study of {candidates:,} simulated candidates")
        search = stack.enter_context(Filling.on(f"sqlite:///{file}"))
        search.write(candidates)
        query = _query(file)
        say("starting the dashboard")
        address, server = stack.enter_context(_served(file))
        browser = stack.enter_context(_browser())
        if browser is None:
            say("no browser: what needs one is not measured (bbnas[dev] and Chromium)")
            return _without_browser(candidates, query, server)
        first = _new_page(browser)
        paint = _paint(first, address)
        say(f"front on the screen after {paint:.2f} s; {UPDATES} new results")
        updates = [_update(first, search, server) for _ in range(UPDATES)]
        say(f"idle for {IDLE:g} s with one tab, then with {TABS}")
        one = _share(server)
        for _ in range(TABS - 1):
            _paint(_new_page(browser), address)
        first.bring_to_front()
        first.wait_for_timeout(5000)
        return DashboardSpeed(
            machine=taken_on(),
            candidates=candidates,
            tabs=TABS,
            query_s=query,
            paint_s=paint,
            update_ms=1e3 * statistics.median(work for work, _ in updates),
            seen_s=statistics.median(seen for _, seen in updates),
            idle_share=one,
            idle_tabs_share=_share(server),
        )


def _without_browser(candidates: int, query: float, server: psutil.Process) -> DashboardSpeed:
    unknown = math.nan
    share = _share(server)
    return DashboardSpeed(
        taken_on(), candidates, TABS, query, unknown, unknown, unknown, share, unknown
    )


def _query(file: Path) -> float:
    started = time.perf_counter()
    watch = Watch(f"sqlite:///{file}")
    watch.look()
    watch.close()
    return time.perf_counter() - started


@contextmanager
def _served(file: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of the study's page in a dashboard of its own process, and that process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bbnas", "dashboard", str(file), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        found = re.search(r"http://\S+?/", said)
        if found is None:
            raise UserError(f"the dashboard did not start: {said.strip()}")
        yield f"{found[0]}study?study={NAME}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _browser() -> Iterator[Browser | None]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def _new_page(browser: Browser) -> Page:
    page = browser.new_page()
    page.set_default_timeout(1e3 * MOST)
    return page


# Whether the front's figure holds the candidate.
HOLDS = """number => {
  const plot = document.querySelector("#study-front .js-plotly-plot");
  return Boolean(plot && plot.data && plot.data.some(
    trace => Array.from(trace.customdata ?? []).flat().includes(number)));
}"""


def _paint(page: Page, address: str) -> float:
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_function(
        """() => document.querySelector("#study-front .js-plotly-plot .scatterlayer")"""
    )
    return time.perf_counter() - started


def _update(page: Page, search: Filling, server: psutil.Process) -> tuple[float, float]:
    """Processor seconds of the server and seconds until the screen for one more result."""
    page.wait_for_timeout(3000)  # the analysis of the last one is over
    before = _seconds(server)
    search.write(1, whole=True)
    started = time.perf_counter()
    page.wait_for_function(HOLDS, arg=search.last, polling=20)
    return _seconds(server) - before, time.perf_counter() - started


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _share(process: psutil.Process) -> float:
    """Of one core, over ``IDLE`` seconds."""
    before = _seconds(process)
    time.sleep(IDLE)
    return (_seconds(process) - before) / IDLE
