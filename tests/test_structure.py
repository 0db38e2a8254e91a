"""The structure of the package: one name, one thing."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import bbnas

PACKAGE = Path(bbnas.__file__).parent


def test_class_names_are_unique() -> None:
    names = Counter(
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, number in names.items() if number > 1] == []


def test_the_table_of_contents_is_what_can_be_imported() -> None:
    assert dir(bbnas) == sorted(bbnas.__all__)
    for name in bbnas.__all__:
        assert getattr(bbnas, name) is not None
    # A room never takes the name of a function.
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert not rooms & set(bbnas.__all__)
