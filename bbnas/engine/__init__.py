"""The engine runs trained binary networks by 1-bit operations, from one packed file.

``compile_network`` turns a network into a :class:`Program`, ``write_program`` writes the program
to a .bbn file, and ``load`` reads that file into a :class:`Model`, which restores images.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Module of each public name, imported on first use: packing needs torch, running does not.
_PUBLIC = {
    "Model": "bbnas.engine.model",
    "OpTime": "bbnas.engine.model",
    "load": "bbnas.engine.model",
    "Program": "bbnas.engine.program",
    "Op": "bbnas.engine.program",
    "Tensor": "bbnas.engine.program",
    "check": "bbnas.engine.program",
    "compile_network": "bbnas.engine.compile",
    "read_program": "bbnas.engine.file",
    "write_program": "bbnas.engine.file",
    "explain": "bbnas.engine.file",
    "isas": "bbnas.native",
}

__all__ = [
    "Model",
    "Op",
    "OpTime",
    "Program",
    "Tensor",
    "check",
    "compile_network",
    "explain",
    "isas",
    "load",
    "read_program",
    "write_program",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'bbnas.engine' has no attribute {name!r}")
