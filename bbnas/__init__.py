"""bbnas: design-space exploration for binary image-restoration networks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name → the module that holds it. Loaded on first use: importing torch takes a second.
_PUBLIC = {
    "Design": "bbnas.design",
    "Part": "bbnas.tasks",
    "PRESETS": "bbnas.presets",
    "load_design": "bbnas.presets",
    "TASKS": "bbnas.tasks",
    "get_task": "bbnas.tasks",
    "Protocol": "bbnas.protocol",
    "PROTOCOLS": "bbnas.protocol",
    "Evaluation": "bbnas.evaluation",
    "Study": "bbnas.study",
    "UserError": "bbnas.errors",
    "Space": "bbnas.space",
    "load_space": "bbnas.space",
    "build": "bbnas.networks",
    "evaluate": "bbnas.inference",
    "count": "bbnas.cost",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'bbnas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
