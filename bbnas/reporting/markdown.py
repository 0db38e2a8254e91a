"""Texts and tables in GitHub's Markdown, where a reader sees what was written."""

from __future__ import annotations

from collections.abc import Sequence

from bbnas.reporting.tables import TextTable


def literal(text: str) -> str:
    """``text`` with Markdown's own characters escaped, in one line."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def pipes(rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> list[str]:
    """The lines of a table whose first row is its heading; cells are Markdown already."""
    rules = ["---:" if right else "---" for right in numeric]
    return [f"| {' | '.join(row)} |" for row in (rows[0], rules, *rows[1:])]


def grid(table: TextTable) -> list[str]:
    """The lines of ``table``, without its title and note."""
    rows = [[literal(cell) for cell in row] for row in (table.columns, *table.rows)]
    return pipes(rows, table.numeric)
