"""Searches by formula in processes of their own, for tests that kill them or what they need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

HELPERS = Path(__file__).parent
MARK = "BBNAS_TEST_DRIVER"


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
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get(MARK) == self._mark
                if mine and process.pid != self.process.pid and process.status() != "zombie":
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def folders(self) -> list[Path]:
        """The temporary folders that its processes name."""
        words = [word for process in self.processes() for word in process.cmdline()]
        parts = [Path(word.partition("=")[2] or word) for word in words if "bbnas-run-" in word]
        return sorted({Path(*part.parts[:3]) for part in parts if part.parts[:2] == ("/", "tmp")})

    def leaves_nothing(self, folders: list[Path]) -> None:
        """See that within some seconds none of its processes and ``folders`` is there."""
        end = time.monotonic() + 20
        while (left := self.processes()) or any(folder.exists() for folder in folders):
            assert time.monotonic() < end, (left, folders)
            time.sleep(0.2)
        segments = os.listdir("/dev/shm")  # noqa: PTH208
        assert not [name for name in segments if "plasma" in name or "ray" in name]


def evaluated(log: Path) -> Counter[tuple[str, str]]:
    """How often each (design, iterations) was begun, by the log of its evaluators."""
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter((line.split()[0], line.split()[2]) for line in lines)
