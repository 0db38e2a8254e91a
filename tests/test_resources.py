from __future__ import annotations

from bbnas.resources import builtin


def test_the_built_in_spaces_are_found_by_name() -> None:
    spaces = builtin("search_spaces")
    assert "bbcu" in spaces
    assert all(path.is_file() and path.stem == name for name, path in spaces.items())
