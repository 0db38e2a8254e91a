"""Training, scoring, checkpoints and restoring: everything that runs a network.

Names load on first use: recipes and exports must not wait a second for torch.
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
