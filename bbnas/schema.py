"""YAML files and mappings to validated values; every error names the file, key and rule."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from bbnas.errors import UserError


class Value(BaseModel):
    """A frozen value object; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


M = TypeVar("M", bound=BaseModel)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not valid YAML ({error}); fix the file") from error
    content = parse_yaml(text, path)
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold keys and values, holds {type(content).__name__}")
    return content


def parse_yaml(text: str, where: str | Path) -> Any:
    """What ``text`` says; ``where`` (a file, an option) begins the error.

    Raises:
        UserError: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{where}: not valid YAML ({reason}); mend it") from error


def validate(model: type[M], content: Mapping[str, Any], where: str | Path) -> M:
    """``content`` as a ``model``; ``where`` (a file, an option) begins every error.

    Raises:
        UserError: an unknown key or a value out of its rule.
    """
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(model, error)}") from error


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    # An unknown key first: it is often the misspelling of one reported missing.
    # A default that rests on a faulty field is no fault of its own.
    faults = [
        fault
        for fault in error.errors(include_url=False)
        if fault["type"] != "default_factory_not_called"
    ]
    found = sorted(faults, key=lambda e: e["type"] != "extra_forbidden")
    first, *others = found
    key = ".".join(str(part) for part in first["loc"]) or "content"
    if first["type"] == "extra_forbidden":
        names = list(_inner(model, first["loc"][:-1]).model_fields)
        near = difflib.get_close_matches(str(first["loc"][-1]), names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        text = f"unknown key {key!r} (known: {', '.join(names)}){hint}"
    elif first["type"] == "missing":
        text = f"key {key!r} is missing"
    else:
        rule = _RULES.get(first["type"], first["msg"].removeprefix("Value error, "))
        rule = rule.replace("Input should be ", "must be ")
        # A rule over the whole names what it is about itself.
        text = f"{key} = {first['input']!r}: {rule}" if first["loc"] else rule
    return text + (f" (and {len(others)} more)" if others else "")


_RULES = {"model_type": "must hold keys and values", "tuple_type": "must be a list"}


def _inner(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model at ``loc`` inside ``model``."""
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is not None and isinstance(field.annotation, type):
            model = field.annotation
    return model
