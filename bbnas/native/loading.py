"""Loads the compiled library and chooses one of its instruction sets."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from bbnas.errors import UserError, unknown

# $BBNAS_LIBRARY names another library, such as the one with sanitizers of tests/engine/fuzz.py.
LIBRARY = Path(os.environ.get("BBNAS_LIBRARY") or Path(__file__).with_name("_native.so"))
ISAS = ("avx512", "avx2", "neon", "portable")  # best first
VERSION = 5  # of the C interface: bbn_version() of engine.cpp


@cache
def library() -> ctypes.CDLL | str:
    """The library, or the reason why it cannot be used."""
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
    """The instruction set to run: ``isa``, else $BBNAS_ISA, else the best; "" for PyTorch.

    The default is never "portable": on a machine without a vector unit that the library supports,
    PyTorch's full-precision convolutions are much faster.

    Raises:
        UserError: the instruction set is unknown, or this machine or library cannot run it.
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
    """The path that trains on ``device``: ``native`` and the instruction set, or ``torch``.

    Raises:
        UserError: see ``choose_isa``.
    """
    isa = choose_isa() if device == "cpu" else ""
    return f"native {isa}" if isa else "torch"
