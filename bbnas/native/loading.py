"""Chooses an instruction set of the compiled library."""

from __future__ import annotations

import os

from bbnas.errors import UserError, unknown
from bbnas.runtime import ISAS, isas, library


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


def counting(isa: str, times: int) -> None:
    """Count the bits of 16 outputs and three words ``times`` times, in registers alone.

    The time of this call bounds the speed of a 1-bit convolution.

    Raises:
        UserError: there is no library.
    """
    found = library()
    if isinstance(found, str):
        raise UserError(f"the engine has no compiled library: {found}")
    found.bbn_counting(isa.encode(), times)
