"""A table whose cells are texts, for any page or terminal."""

from __future__ import annotations

from dataclasses import dataclass, replace

NONE = "–"


@dataclass(frozen=True)
class TextTable:
    """``numeric`` columns are aligned to the right; ``note`` says how to read the table."""

    name: str
    title: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def without_empty_columns(self) -> TextTable:
        """The table without the columns that hold nothing but empty cells and dashes."""
        kept = [i for i, cells in enumerate(zip(*self.rows, strict=True)) if {*cells} - {"", NONE}]
        return replace(
            self,
            columns=tuple(self.columns[i] for i in kept),
            numeric=tuple(self.numeric[i] for i in kept),
            rows=tuple(tuple(row[i] for i in kept) for row in self.rows),
        )
