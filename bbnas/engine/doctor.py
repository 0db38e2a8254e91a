"""The path that runs networks here, native or torch, and the reason for it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

from bbnas.environment import cpu
from bbnas.errors import UserError
from bbnas.native import ISAS, LIBRARY, build, choose_isa, isas, library


def examine() -> dict[str, Any]:
    """The path (``native`` or ``torch``), its reason, instruction sets, compiler and cores."""
    found = library()
    reason = found if isinstance(found, str) else f"{LIBRARY.name} is compiled and loads"
    try:
        isa = choose_isa()
    except UserError as error:
        isa, reason = "", str(error)
    if not isa and not isinstance(found, str) and reason.endswith("loads"):
        reason = "no AVX-512 VPOPCNTDQ, AVX2 or NEON here; PyTorch is faster than portable code"
    forced = os.environ.get("BBNAS_ISA")
    if forced and isa == ("" if forced == "torch" else forced):
        reason = f"BBNAS_ISA={forced}"
    stamp = LIBRARY.with_suffix(".stamp")
    current = None
    if LIBRARY.exists() and stamp.exists():
        current = stamp.read_text() == build.fingerprint()
    return {
        "path": "native" if isa else "torch",
        "reason": reason,
        "isa": isa or None,
        "isas": {name: name in isas() for name in ISAS},
        "library": LIBRARY if LIBRARY.exists() else None,
        "current": current,
        "compiler": build.compiler(),
        "machine": platform.machine(),
        "cpu": cpu(),
        "cores": os.cpu_count(),
    }


def engine(isa: str) -> str:
    """The version of the engine of ``isa``: the library's fingerprint, or torch's version."""
    if isa == "torch":
        return f"torch {version('torch')}"
    stamp = LIBRARY.with_suffix(".stamp")
    return stamp.read_text(encoding="utf-8")[:12] if stamp.exists() else "unknown"
