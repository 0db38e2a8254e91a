"""Presets: the named designs of the paper, and how a design is read by name or from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bbnas.design import METHODS, TITLES, Design
from bbnas.errors import UserError, unknown
from bbnas.schema import names_file, read_yaml
from bbnas.tasks import TASKS, Part, Task

# Backbones in full precision, by the width and the backbone's name in ``bbnas.tasks``.
_BACKBONES = {
    f"{name}{suffix}": (name, Design(width=width))
    for name in ("srresnet", "dncnn", "dncnn3")
    for suffix, width in (("", 64), ("-lite", 12))
}

PRESETS: dict[str, Design] = {
    **{name: full for name, (_, full) in _BACKBONES.items()},
    **{name: Design(binarize=(Part.BODY,), **fields) for name, fields in METHODS.items()},
    "bbcu-l": Design(binarize=(Part.BODY,), **METHODS["bbcu"]),
    "bbcu-m": Design(binarize=(Part.BODY, Part.UPSAMPLING), **METHODS["bbcu"]),
}


def presets(task: Task) -> dict[str, Design]:
    """The presets for the task's backbone, at its depth and with its parts, canonical."""
    return {
        name: design.replace(depth=task.backbone.depth).fitted(task)
        for name, design in PRESETS.items()
        if _BACKBONES.get(name, (task.backbone.name,))[0] == task.backbone.name
    }


def _plain(name: str) -> str:
    """Without case, hyphens and spaces."""
    return name.lower().replace("-", "").replace(" ", "")


_SPELLINGS = {_plain(title): name for name, title in TITLES.items()}
_SPELLINGS |= {_plain(name): name for name in PRESETS}


def preset_name(text: str) -> str | None:
    """The preset that ``text`` names, or None: also as the paper's tables spell it
    (``Bi-Real``, ``DnCNN-3-Lite``).
    """
    return text if text in PRESETS else _SPELLINGS.get(_plain(text))


def _task_of(preset: str) -> str:
    return next(t.name for t in TASKS.values() if t.backbone.name == _BACKBONES[preset][0])


def load_design(name_or_path: str | Path, task: Task = TASKS["sr4"]) -> Design:
    """A preset by name (:func:`preset_name`) as it fits the task, or a design from a YAML file.

    Without a depth in the file it is that of the task's backbone.

    Raises:
        UserError: neither a preset nor a file, the file is not a design, or the preset is the
            backbone of other tasks.
    """
    text = str(name_or_path)
    preset = preset_name(text)
    if preset is not None and (text in PRESETS or not Path(text).exists()):
        fitting = presets(task)
        if preset not in fitting:
            raise UserError(
                f"preset {preset!r} is not the backbone of task {task.name}: "
                f"use {next(iter(fitting))} there, or --task {_task_of(preset)}"
            )
        return fitting[preset]
    if names_file(text):
        return Design.from_dict(at_depth(read_yaml(text), task), text).fitted(task)
    raise unknown("preset (or a .yaml file)", text, PRESETS)


def at_depth(content: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """The fields of a design, with the depth of the task's backbone where they have none."""
    return {"depth": task.backbone.depth} | dict(content)
