"""Using trained networks: loading, scoring on benchmarks, restoring images. Nothing trains here.

Names load on first use: importing torch takes more than a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "resolve_device": "device",
    "CheckpointInfo": "checkpoint",
    "load_checkpoint": "checkpoint",
    "import_checkpoint": "importing",
    "Difference": "scoring",
    "Score": "scoring",
    "difference": "scoring",
    "score": "scoring",
    "skip_psnr": "scoring",
    "evaluate": "evaluating",
    "evaluate_checkpoint": "evaluating",
    "RestoreProgress": "restoring",
    "Restored": "restoring",
    "restore": "restoring",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"bbnas.inference.{_HOME[name]}"), name)
    raise AttributeError(f"module 'bbnas.inference' has no attribute {name!r}")
