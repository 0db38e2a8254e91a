"""The compiled library behind ``bbnas.h``, opened by ctypes."""

from __future__ import annotations

import ctypes
import os
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_void_p,
)
from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_PLACES = (_HERE / "_native.so", _HERE.parent / "native" / "_native.so")  # in the wheel, in bbnas
# $BBNAS_LIBRARY names another library, such as the one with sanitizers of tests/engine/fuzz.py.
LIBRARY = Path(
    os.environ.get("BBNAS_LIBRARY") or next((p for p in _PLACES if p.exists()), _PLACES[-1])
)
ISAS = ("avx512", "avx2", "neon", "portable")  # best first
VERSION = 6  # BBN_VERSION of bbnas.h


class ModelError(Exception):
    """A model, an image or a machine that cannot be used: one line with the remedy."""


class CImage(ctypes.Structure):
    """``bbn_image``: strides are in elements."""

    _fields_ = [
        ("data", c_void_p),
        ("height", c_int32),
        ("width", c_int32),
        ("bytes", c_int32),
        ("row", c_int64),
        ("pixel", c_int64),
        ("channel", c_int64),
    ]


class COperation(ctypes.Structure):
    """``bbn_operation``."""

    _fields_ = [
        ("kind", c_char_p),
        ("part", c_char_p),
        ("inputs", c_int32),
        ("outputs", c_int32),
        ("scale", c_int32),
    ]


@cache
def library() -> ctypes.CDLL | str:
    """The library, with the types of its functions declared, or why it cannot be used."""
    if not LIBRARY.exists():
        return "not compiled: no C++ compiler was found when bbnas was installed"
    try:
        found = ctypes.CDLL(str(LIBRARY))
        if found.bbn_version() != VERSION:
            return f"{LIBRARY.name} is of another version: install bbnas again"
        _declare(found)
    except (OSError, AttributeError) as error:
        return f"{LIBRARY.name} cannot be loaded ({error})"
    return found


def _declare(found: ctypes.CDLL) -> None:
    image = POINTER(CImage)
    for name, result, arguments in (
        ("bbn_can", c_int, [c_char_p]),
        ("bbn_load", c_void_p, [c_char_p, c_char_p]),
        ("bbn_load_bytes", c_void_p, [c_char_p, c_size_t, c_char_p]),
        ("bbn_free", None, [c_void_p]),
        ("bbn_error", c_char_p, []),
        ("bbn_scale", c_int, [c_void_p]),
        ("bbn_channels", c_int, [c_void_p]),
        ("bbn_reach", c_int, [c_void_p]),
        ("bbn_isa", c_char_p, [c_void_p]),
        ("bbn_run", c_int, [c_void_p, image, image, c_int, c_int]),
        ("bbn_profile", c_int, [c_void_p, image, image, c_int, POINTER(c_double)]),
        ("bbn_operations", c_int, [c_void_p]),
        ("bbn_operation_at", COperation, [c_void_p, c_int]),
        ("bbn_peak_bytes", c_int64, [c_void_p]),
        ("bbn_counting", c_float, [c_char_p, c_int64]),
    ):
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments


@cache
def isas() -> tuple[str, ...]:
    """The instruction sets that this machine and library can run, best first."""
    found = library()
    if isinstance(found, str):
        return ()
    return tuple(isa for isa in ISAS if found.bbn_can(isa.encode()))
