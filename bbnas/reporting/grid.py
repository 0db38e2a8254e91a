"""A table as texts, for whatever page or terminal shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bbnas.paper.write import literal

NONE = "–"


@dataclass(frozen=True)
class Table:
    """``numeric`` columns are right-aligned; ``note`` says how to read it."""

    name: str
    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def told(self) -> Table:
        """Without columns that say nothing in any row."""
        kept = [i for i, cells in enumerate(zip(*self.rows, strict=True)) if {*cells} - {"", NONE}]
        return replace(
            self,
            columns=tuple(self.columns[i] for i in kept),
            numeric=tuple(self.numeric[i] for i in kept),
            rows=tuple(tuple(row[i] for i in kept) for row in self.rows),
        )


def grid(table: Table) -> list[str]:
    """The lines of it in GitHub's Markdown, without title and note."""
    heads = [literal(column) for column in table.columns]
    rules = ["---:" if numeric else "---" for numeric in table.numeric]
    rows = [[literal(cell) for cell in row] for row in table.rows]
    return [f"| {' | '.join(line)} |" for line in (heads, rules, *rows)]
