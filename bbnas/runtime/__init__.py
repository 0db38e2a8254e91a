"""Runs packed models (.bbn) by the compiled library alone: numpy is all that it needs.

This package imports nothing of bbnas. It is a room of bbnas, and by itself the wheel
``bbnas-runtime`` (``make runtime``), where its name is ``bbnas_runtime``.
"""

from .binding import ISAS, LIBRARY, VERSION, ModelError, isas, library
from .model import BbnModel, BbnOperation, load

__all__ = [
    "ISAS",
    "LIBRARY",
    "VERSION",
    "BbnModel",
    "BbnOperation",
    "ModelError",
    "isas",
    "library",
    "load",
]
