"""A dashboard as a process of its own, and Debian's Chromium on it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Artefacts to look at after a run: a screenshot of each view, in build/screenshots.
PICTURES = Path(__file__).parents[2] / "build" / "screenshots"


@contextmanager
def served(*arguments: str, folder: Path | None = None) -> Iterator[str]:
    """The address of ``bbnas dashboard ARGUMENTS`` on a free port, which ends afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bbnas", "dashboard", *arguments, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stderr.read()
        yield found[0].rstrip("/")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
