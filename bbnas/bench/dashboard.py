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
    - ``paint_s``: from asking for the address in a browser without a cache, the study being read,
      to the frame in which all dots of its front are on the screen; ``answered_s`` of it are after
      the server's answer, the page's HTML, has come. ``whole_s``: to the frame with the
      recommended design, the last part of the page; from the same moment.
    - ``update_ms``: processor time that the server takes for one new result, with one tab open,
      until its point is on the screen; ``analysis_ms``: that of the process that then estimates
      recommendation and effects.
    - ``seen_s``: from a commit to its point on the screen.
    - ``idle_share``, ``idle_tabs_share``: of one core, by both processes while nothing changes,
      with one tab and with ``tabs``.

    Medians over several updates. Those that need a browser are NaN without one.
    """

    machine: str
    candidates: int
    tabs: int
    query_s: float
    paint_s: float
    answered_s: float
    whole_s: float
    update_ms: float
    analysis_ms: float
    seen_s: float
    idle_share: float
    idle_tabs_share: float

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The measurements, with the most that each may be, if there is a limit."""
        return (
            Limit("study read from its database", self.query_s, None, "s"),
            Limit("front on the screen, from the request", self.paint_s, 1.0, "s"),
            Limit("front on the screen, from the answer", self.answered_s, None, "s"),
            Limit("whole page, from the request", self.whole_s, None, "s"),
            Limit("server's work for one result", self.update_ms, 200.0, "ms"),
            Limit("analyst's work for one result", self.analysis_ms, None, "ms"),
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
        paint, answered, whole = _paint(first, address)
        say(f"front on the screen after {paint:.2f} s; {UPDATES} new results")
        _until_idle(first, server)
        updates, analyses = zip(
            *(_update(first, search, server) for _ in range(UPDATES)), strict=True
        )
        say(f"idle for {IDLE:g} s with one tab, then with {TABS}")
        one = _share(server)
        for _ in range(TABS - 1):
            _paint(_new_page(browser), address)
        first.bring_to_front()
        _until_idle(first, server)
        return DashboardSpeed(
            machine=taken_on(),
            candidates=candidates,
            tabs=TABS,
            query_s=query,
            paint_s=paint,
            answered_s=answered,
            whole_s=whole,
            update_ms=1e3 * statistics.median(work for work, _ in updates),
            analysis_ms=1e3 * statistics.median(analyses),
            seen_s=statistics.median(seen for _, seen in updates),
            idle_share=one,
            idle_tabs_share=_share(server),
        )


def _without_browser(candidates: int, query: float, server: psutil.Process) -> DashboardSpeed:
    unknown = math.nan
    share = _share(server)
    return DashboardSpeed(taken_on(), candidates, TABS, query, *(unknown,) * 6, share, unknown)


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


# Notes, as soon as the page begins, when two things are in a frame that is on the screen.
NOTE = """() => {
  window.noted = {};
  const wanted = {
    front: ".js-plotly-plot .scatterlayer path.point",
    whole: "#study-recommendation .headline",
  };
  const look = () => {
    for (const [name, selector] of Object.entries(wanted)) {
      if (noted[name] === undefined && document.querySelector(selector)) {
        noted[name] = null;
        requestAnimationFrame(() => setTimeout(() => { noted[name] = performance.now() / 1e3; }));
      }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
TIMES = """() => noted.whole && [noted.front, noted.whole,
  performance.getEntriesByType("navigation")[0].responseEnd / 1e3]"""


def _paint(page: Page, address: str) -> tuple[float, float, float]:
    """Seconds until the front is on the screen from the request and from the answer, and until the
    whole page is.
    """
    page.add_init_script(f"({NOTE})()")
    page.goto(address, wait_until="commit")
    front, whole, answer = page.wait_for_function(TIMES).json_value()
    return front, front - answer, whole


def _update(
    page: Page, search: Filling, server: psutil.Process
) -> tuple[tuple[float, float], float]:
    """Processor seconds of the server and seconds until the screen for one more result; processor
    seconds of the analyst, which are over when this returns.
    """
    before, earlier = _seconds(server), _analyst(server)
    search.write(1, whole=True)
    started = time.perf_counter()
    page.wait_for_function(HOLDS, arg=search.last, polling=20)
    work, seen = _seconds(server) - before, time.perf_counter() - started
    _until_idle(page, server)
    return (work, seen), _analyst(server) - earlier


def _until_idle(page: Page, server: psutil.Process) -> None:
    """Until the estimate is of all results, and server and analyst have done nothing for three
    seconds.
    """
    page.wait_for_timeout(1000)
    page.wait_for_function("() => !document.querySelector('#study-recommendation .note')")
    last = -1.0
    while (now := _seconds(server) + _analyst(server)) > last + 0.1:
        last = now
        page.wait_for_timeout(3000)


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _analyst(server: psutil.Process) -> float:
    return sum(map(_seconds, server.children()))


def _share(process: psutil.Process) -> float:
    """Of one core, over ``IDLE`` seconds."""
    before = _seconds(process) + _analyst(process)
    time.sleep(IDLE)
    return (_seconds(process) + _analyst(process) - before) / IDLE
