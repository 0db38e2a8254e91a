"""Searches by formula in processes of their own, for tests that kill them or what they need, and
what such tests must not leave on a machine.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from bbnas.files import MEMORY, SHORT, TEMPORARY

HELPERS = Path(__file__).parent
MARK, TEST = "BBNAS_TEST_DRIVER", "BBNAS_TEST"
# Within these seconds what is killed is swept away.
SECONDS = 30.0


def marked(name: str, value: str) -> list[psutil.Process]:
    """The processes that have this variable in their environment, and run."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(name) == value and process.status() != "zombie":
                found.append(process)
    return found


def abandoned() -> set[Path]:
    """The temporary folders that no process holds; other tests may hold some."""
    found = set()
    for folder in (f for place in (MEMORY, SHORT) for f in place.glob(f"{TEMPORARY}*")):
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found.add(folder)
            os.close(descriptor)
    return found


def segments() -> set[Path]:
    """Shared memory, but for that of PostgreSQL, of temporary folders, and the semaphores of
    Python's pools, which tests beside this one have.
    """
    others = ("PostgreSQL.", "sem.", TEMPORARY)
    return {path for path in MEMORY.iterdir() if not path.name.startswith(others)}


@contextmanager
def nothing_left() -> Iterator[None]:
    """See that what begins in the block leaves no process, no temporary folder and no shared
    memory.
    """
    before, mark = abandoned() | segments(), uuid.uuid4().hex
    os.environ[TEST] = mark
    try:
        yield
    finally:
        del os.environ[TEST]
    end = time.monotonic() + SECONDS
    while left := [*_processes(mark), *sorted((abandoned() | segments()) - before)]:
        if time.monotonic() > end:
            for process in _processes(mark):
                process.kill()
            raise AssertionError(f"left behind: {left}")
        time.sleep(0.2)


def _processes(mark: str) -> list[psutil.Process]:
    """Python's own, which counts semaphores, ends with the process of the tests."""
    found = []
    for process in marked(TEST, mark):
        with suppress(psutil.Error):
            if "resource_tracker" not in " ".join(process.cmdline()):
                found.append(process)
    return found


class Driver:
    """A process that searches a study of ``folder`` with ``budget`` designs; see quick.py."""

    def __init__(
        self, folder: Path, budget: int, *, within: tuple[str, ...] = (), **arguments: Any
    ) -> None:
        self.log = folder / "log"
        formula = {"log": str(self.log)} | arguments.pop("formula", {})
        arguments |= {"folder": str(folder), "budget": budget, "formula": formula}
        self._mark = uuid.uuid4().hex
        path = os.pathsep.join([str(HELPERS.parents[1]), str(HELPERS)])
        self.process = subprocess.Popen(
            [*within, sys.executable, str(HELPERS / "quick.py"), json.dumps(arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path, MARK: self._mark},
        )

    def wait_for(self, holds: Callable[[], bool], seconds: float = 90) -> None:
        """Until ``holds()``; it must go on meanwhile."""
        end = time.monotonic() + seconds
        while not holds():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def done(self, seconds: float = 120) -> int:
        """The number of designs that it ends with."""
        out, err = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, err
        return int(json.loads(out)["done"])

    def processes(self) -> list[psutil.Process]:
        """What it has started, and what that has, as long as they run; without itself."""
        return [p for p in marked(MARK, self._mark) if p.pid != self.process.pid]

    def folders(self) -> list[Path]:
        """The temporary folders that its processes name."""
        words = [word for process in self.processes() for word in process.cmdline()]
        parts = [Path(word.partition("=")[2] or word) for word in words if "bbnas-run-" in word]
        return sorted({Path(*part.parts[:3]) for part in parts if part.parts[:2] == ("/", "tmp")})

    def leaves_nothing(self, folders: list[Path]) -> None:
        """See that within some seconds none of its processes and ``folders`` is there."""
        end = time.monotonic() + SECONDS
        while (left := self.processes()) or any(folder.exists() for folder in folders):
            assert time.monotonic() < end, (left, folders)
            time.sleep(0.2)


def evaluated(log: Path) -> Counter[tuple[str, str]]:
    """How often each (design, iterations) was begun, by the log of its evaluators."""
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter((line.split()[0], line.split()[2]) for line in lines)
