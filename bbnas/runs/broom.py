"""Removes what Ray leaves of a search that is killed: its folder, and processes that did not end.

As a program it waits for the end of the process that holds the other end of its pipe.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

# Names the folder in the environment of Ray's processes.
VARIABLE = "RAY_FOLDER_OF_BBNAS"
# Seconds for which it looks: a process that begins just then may start another one.
_SECONDS = 8.0


@contextlib.contextmanager
def swept(folder: Path) -> Iterator[None]:
    """If this process is killed in the block, a process of its own removes ``folder``, and ends
    the processes that have it in their environment.
    """
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as broom:
        try:
            yield
        finally:
            broom.kill()


def _sweep(folder: str) -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(VARIABLE) == folder:
                    process.kill()
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.5)


if __name__ == "__main__":
    sys.stdin.read()
    _sweep(sys.argv[1])
