"""bbnas: design-space exploration for binary image-restoration networks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name → the module that holds it. Loaded on first use: importing torch takes a second.
_PUBLIC = {
    "search": "bbnas.searching",
    "StudyConfig": "bbnas.study",
    "TrainingEvaluator": "bbnas.runs.executors",
    "open_study": "bbnas.store",
    "recommend": "bbnas.analysis",
    "report": "bbnas.reporting",
    "compare": "bbnas.reporting.compare",
    "export": "bbnas.analysis.export",
    "train": "bbnas.runs.train",
    "evaluate": "bbnas.inference",
    "restore": "bbnas.inference",
    "build": "bbnas.networks",
    "count": "bbnas.cost",
    "load_space": "bbnas.space",
    "load_dataset": "bbnas.data",
    "load_design": "bbnas.presets",
    "get_task": "bbnas.tasks",
    "Space": "bbnas.space",
    "Design": "bbnas.design",
    "Part": "bbnas.tasks",
    "Protocol": "bbnas.protocol",
    "Recipe": "bbnas.recipe",
    "Evaluation": "bbnas.evaluation",
    "Study": "bbnas.study",
    "UserError": "bbnas.errors",
    "PRESETS": "bbnas.presets",
    "PROTOCOLS": "bbnas.protocol",
    "TASKS": "bbnas.tasks",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'bbnas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
