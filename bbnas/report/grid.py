"""A table as texts, for whatever page or terminal shows it."""

from __future__ import annotations

from dataclasses import dataclass

from bbnas.paper.write import literal


@dataclass(frozen=True)
class Table:
    """``numeric`` columns are right-aligned; ``note`` says how to read it."""

    name: str
    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def grid(table: Table) -> list[str]:
    """The lines of it in GitHub's Markdown, without title and note."""
    heads = [literal(column) for column in table.columns]
    rules = ["---:" if numeric else "---" for numeric in table.numeric]
    rows = [[literal(cell) for cell in row] for row in table.rows]
    return [f"| {' | '.join(line)} |" for line in (heads, rules, *rows)]
