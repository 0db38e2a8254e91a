"""Training networks: the loop, a design's evaluation, a recipe in full, states as files.

Names load on first use: importing torch takes more than a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Diverged": "loop",
    "Training": "loop",
    "learning_rate": "loop",
    "evaluate_design": "proxy",
    "Progress": "full",
    "train": "full",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"bbnas.training.{_HOME[name]}"), name)
    raise AttributeError(f"module 'bbnas.training' has no attribute {name!r}")
