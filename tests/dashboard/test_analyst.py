"""The process that analyses: it follows, is replaced, and ends with its dashboard."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from bbnas.analysis import recommend
from bbnas.dashboard.analyst import Bounds
from bbnas.dashboard.live import Live, LiveStudy


def until(live: Live, reached: Callable[[LiveStudy], bool]) -> LiveStudy:
    ends = time.monotonic() + 60
    while not reached(one := live.study("live")):
        assert time.monotonic() < ends
        live.changed_since(live.version, 0.5)
    return one


def analysts(process: psutil.Process) -> list[psutil.Process]:
    """Its children, but Python's own that removes semaphores."""
    found = process.children(recursive=True)
    return [
        child
        for child in found
        if "multiprocessing.resource_tracker" not in " ".join(child.cmdline())
    ]


def test_it_recommends_as_a_search_does_and_within_limits(live: Live) -> None:
    one = until(live, lambda one: bool(one.analysis and one.analysis.findings))
    study = one.snapshot.study
    assert live.choice(one, Bounds()).number == recommend(study).candidate.number
    most = min(c.evaluation.ops for c in study.own())
    assert live.choice(one, Bounds(ops=most)).number == (
        recommend(study, max_ops=most).candidate.number
    )
    assert "1" in live.choice(one, Bounds(ops=1.0)).missing


def test_one_that_is_killed_is_replaced(writer: Any, live: Live) -> None:
    until(live, lambda one: one.analysed == one.version)
    (child,) = analysts(psutil.Process())
    child.kill()
    writer.write(writer.study.candidates[10])
    one = until(live, lambda one: one.version == one.analysed and one.version > 1)
    assert one.analysis
    assert one.analysis.choice.number is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_none_outlives_its_dashboard(writer: Any, number: int) -> None:
    command = [sys.executable, "-m", "bbnas", "dashboard", str(writer.file), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = re.search(r"http://\S+", process.stderr.readline())
        assert address
        server, ends = psutil.Process(process.pid), time.monotonic() + 60
        while not analysts(server):
            urllib.request.urlopen(f"{address[0]}study?study=live").read()
            assert time.monotonic() < ends
            time.sleep(0.2)
        children = server.children(recursive=True)
        process.send_signal(number)
        process.wait(10)
        assert psutil.wait_procs(children, timeout=10)[1] == []
    finally:
        process.kill()
        process.wait()
