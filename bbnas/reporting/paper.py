"""A table of the paper, with ours beside it, as CSV, HTML, JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby

from bbnas.paper.tables import PaperTable
from bbnas.reporting.html import render
from bbnas.reporting.markdown import literal, pipes
from bbnas.reporting.tables import NONE


def to_csv(table: PaperTable) -> str:
    """Figures without the marks of notes; the last column holds the notes of the row."""
    return table.frame().to_csv(index=False, lineterminator="\n")


def to_json(table: PaperTable) -> str:
    """Rows by column with unrounded numbers, and notes with the cells that they concern."""
    rows = [
        {
            column.title: cell.text or None if cell.value is None else cell.value
            for column, cell in zip(table.columns, row, strict=True)
        }
        for row in table.rows
    ]
    notes = [
        {
            "mark": number,
            "text": text,
            "columns": [c.title for c in table.columns if number in c.notes],
            "cells": [
                [i, column.title]
                for i, row in enumerate(table.rows)
                for column, cell in zip(table.columns, row, strict=True)
                if number in cell.notes
            ],
        }
        for number, text in enumerate(table.notes, 1)
    ]
    content = {"table": table.name, "title": table.title, "rows": rows, "notes": notes}
    return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def to_markdown(table: PaperTable) -> str:
    """A table in GitHub's Markdown, with footnotes."""

    def marked(text: str, notes: tuple[int, ...]) -> str:
        return (literal(text) or NONE) + "".join(f"[^{n}]" for n in notes)

    heads = [marked(c.title, c.notes) if c.title else " " for c in table.columns]
    rows = [[marked(cell.text, cell.notes) for cell in row] for row in table.rows]
    lines = [f"**{literal(table.title)}**", ""]
    lines += pipes([heads, *rows], [bool(column.source) for column in table.columns])
    if table.notes:
        lines += ["", *(f"[^{n}]: {literal(note)}" for n, note in enumerate(table.notes, 1))]
    return "\n".join(lines) + "\n"


def to_html(table: PaperTable) -> str:
    """A page; heading and colour of a figure say whose it is."""
    groups = [(name, len(list(run))) for name, run in groupby(c.group for c in table.columns)]
    return render("reporting/paper.html.j2", table=table, groups=groups)


FORMATS: dict[str, Callable[[PaperTable], str]] = {
    "csv": to_csv,
    "html": to_html,
    "json": to_json,
    "markdown": to_markdown,
}
