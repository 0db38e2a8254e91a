"""What a process trains with: a worker's must be that of the search."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import bbnas
from bbnas.native import kernels


@dataclass(frozen=True)
class Build:
    """Versions of what decides a result, and the kernels that train on the device.

    ``bbnas`` is the version and eight hexadecimal digits of the sources, Python's and C++'s.
    """

    bbnas: str
    torch: str
    kernels: str

    def unlike(self, other: Build) -> str:
        """In words, the versions of ``other`` that are not those of this one; empty if all are."""
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in ("bbnas", "torch")]
        return " and ".join(f"{name} {b} instead of {a}" for name, a, b in pairs if a != b)


def build(device: str) -> Build:
    """The Build of this process, for training on ``device`` (``cpu`` or ``cuda``).

    Raises:
        UserError: see :func:`bbnas.native.choose_isa`.
    """
    return Build(f"{version('bbnas')} ({_sources()})", version("torch"), kernels(device))


@cache
def _sources() -> str:
    folder = Path(bbnas.__file__).parent
    files = [f for f in folder.rglob("*") if f.suffix in (".py", ".h", ".cpp")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:8]
