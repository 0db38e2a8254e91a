"""Wheels built as a release builds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def built_wheel(project: Path, folder: Path) -> Path:
    """The wheel of ``project``, written to ``folder``."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=project,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (built,) = folder.glob("*.whl")
    return built
