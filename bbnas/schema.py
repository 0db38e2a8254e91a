"""YAML and JSON files and mappings to values; every error names the file, key and rule."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from bbnas.errors import UserError, short, why
from bbnas.formats import YAML, other_format
from bbnas.text import from_json


class Value(BaseModel):
    """A frozen value object; an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


M = TypeVar("M", bound=BaseModel)


DEEPEST = 50  # levels of nesting in a YAML file
MOST = 100_000  # values in a YAML file, those that an alias repeats included
LARGEST = 1 << 63  # an integer is below it


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, whose every error has a line.

    PyYAML recurses as deep as a file is nested, and lets the errors of ``int`` and ``date`` pass.
    Aliases can repeat a value that holds aliases, so a short file can hold billions of values.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._sizes: dict[yaml.Node, int] = {}  # number of values, by finished node

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._fault(f"nested deeper than {DEEPEST} levels: flatten it", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if not isinstance(event, yaml.AliasEvent):
            self._sizes[node] = 1 + sum(self._sizes[child] for child in _children(node))
        elif node not in self._sizes:
            raise self._fault(f"alias *{event.anchor} is inside what it repeats: cut it", event)
        if self._sizes[node] > MOST:
            raise self._fault(f"more than {MOST:,} values: shorten it", event)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # whatever int(), date() and their like raise
            kind = str(node.tag).rpartition(":")[2]
            raise self._fault(
                f"{short(node.value)} is not a valid {kind}: quote it if it is text", node
            ) from error
        if isinstance(value, int) and not -LARGEST <= value < LARGEST:
            raise self._fault(f"{short(node.value)} has more than 64 bits: give less", node)
        return value

    def _fault(self, problem: str, at: Any) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=at.start_mark)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [inner for pair in node.value for inner in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def names_file(text: str) -> bool:
    """Whether ``text``, which may also be a built-in name, is the path of a YAML file."""
    try:
        return Path(text).suffix in {".yaml", ".yml"} or Path(text).exists()
    except OSError:  # too long for a path, say
        return False


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        content = parse_yaml(Path(path).read_text(encoding="utf-8"), path)
        if not isinstance(content, dict):
            held = "nothing" if content is None else type(content).__name__
            raise UserError(f"{path}: must hold keys and values, holds {held}")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, UserError) as error:
        if other := other_format(path, YAML, "give a YAML file"):
            raise other from error
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not valid YAML ({error}); save it in UTF-8") from error
    return content


def parse_yaml(text: str, where: str | Path) -> Any:
    """What ``text`` says; ``where`` (a file, an option) begins the error. Nothing else in bbnas
    parses YAML.

    Raises:
        UserError: it is not YAML, is nested too deep, or is too large.
    """
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(
            f"{where}, line {line}: not valid YAML ({error.reason}); remove the character"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"{where}, line {line}: not valid YAML ({problem}); correct it") from error


def validate(model: type[M], content: Mapping[str, Any], where: str | Path) -> M:
    """``content`` as a ``model``; ``where`` (a file, an option) begins every error.

    Raises:
        UserError: an unknown key or a value out of its rule.
    """
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(model, error)}") from error


def read_json(model: type[M], path: Path, what: str, again: str) -> M:
    """``path`` as a ``model`` whose field ``format`` is the version of the file.

    ``what`` names the kind of file in an error, and ``again`` says how to make it.

    Raises:
        UserError: no such file, no JSON, another version, an unknown key or a value out of its
            rule.
    """
    try:
        content = from_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {again}") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({why(error)}); {again}") from error
    version = model.model_fields["format"].default
    if not isinstance(content, dict) or content.get("format") != version:
        raise UserError(f"{path}: not {what} that this bbnas reads; {again}")
    return validate(model, content, path)


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
        text = f"unknown key {short(key)} (known: {', '.join(names)}){hint}"
    elif first["type"] == "missing":
        text = f"key {key!r} is missing"
    else:
        rule = _RULES.get(first["type"], first["msg"].removeprefix("Value error, "))
        rule = rule.replace("Input should be ", "must be ")
        # A rule over the whole names what it is about itself.
        text = f"{key} = {short(first['input'])}: {rule}" if first["loc"] else rule
    return text + (f" (and {len(others)} more)" if others else "")


_RULES = {"model_type": "must hold keys and values", "tuple_type": "must be a list"}


def _inner(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """The model at ``loc`` inside ``model``."""
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is not None and isinstance(field.annotation, type):
            model = field.annotation
    return model
