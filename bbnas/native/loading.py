"""Loads the compiled library and chooses among the instruction sets that it was compiled for."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from bbnas.errors import UserError, unknown

# $BBNAS_LIBRARY: another one, such as that with sanitizers which tests/engine/fuzz.py builds.
LIBRARY = Path(os.environ.get("BBNAS_LIBRARY") or Path(__file__).with_name("_native.so"))
ISAS = ("avx512", "avx2", "neon", "portable")  # best first
VERSION = 3


@cache
def library() -> ctypes.CDLL | str:
    """The library, or why there is none."""
    if not LIBRARY.exists():
        return "not compiled: no C++ compiler was found when bbnas was installed"
    try:
        found = ctypes.CDLL(str(LIBRARY))
        if found.bbn_version() != VERSION:
            return f"{LIBRARY.name} is of another version: install bbnas again"
    except (OSError, AttributeError) as error:
        return f"{LIBRARY.name} cannot be loaded ({error})"
    return found


@cache
def isas() -> tuple[str, ...]:
    """The instruction sets that this machine and library can run, best first."""
    found = library()
    if isinstance(found, str):
        return ()
    return tuple(isa for isa in ISAS if found.bbn_can(isa.encode()))


def choose_isa(isa: str | None = None) -> str:
    """The instruction set to run: the one named, $BBNAS_ISA, or the best; "" for PyTorch.

    Portable code runs only where it is asked for: where a machine has no vector unit that the
    library knows, PyTorch's full-precision convolutions are faster by far.

    Raises:
        UserError: an unknown one, or one that this machine or library cannot run.
    """
    wanted = isa or os.environ.get("BBNAS_ISA") or None
    able = isas()
    if wanted is None:
        return next((name for name in able if name != "portable"), "")
    if wanted == "torch":
        return ""
    if wanted not in ISAS:
        raise unknown("instruction set", wanted, (*ISAS, "torch"))
    if wanted not in able:
        reason = library() if isinstance(library(), str) else "this machine cannot run it"
        choices = ", ".join((*able, "torch"))
        raise UserError(f"instruction set {wanted!r}: {reason}; choose from {choices}")
    return wanted


def kernels(device: str = "cpu") -> str:
    """What trains on this device: ``native`` and the instruction set, or ``torch``.

    Raises:
        UserError: as ``choose_isa`` does.
    """
    isa = choose_isa() if device == "cpu" else ""
    return f"native {isa}" if isa else "torch"
