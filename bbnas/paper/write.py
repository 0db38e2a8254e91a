"""A table of the paper as text: CSV, HTML, JSON, Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from bbnas.paper.tables import PaperTable

_HERE = Path(__file__).parent


def to_csv(table: PaperTable) -> str:
    """Figures without marks; what the notes say of a row is its last column."""
    return table.frame().to_csv(index=False, lineterminator="\n")


def to_json(table: PaperTable) -> str:
    """Rows by column, numbers unrounded in the unit of their heading; notes with their cells."""
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
    """A table of GitHub's Markdown with footnotes."""

    def marked(text: str, notes: tuple[int, ...]) -> str:
        return (literal(text) or "–") + "".join(f"[^{n}]" for n in notes)

    heads = [marked(c.title, c.notes) if c.title else " " for c in table.columns]
    lines = [heads, ["---:" if c.source else "---" for c in table.columns]]
    lines += [[marked(cell.text, cell.notes) for cell in row] for row in table.rows]
    text = [f"**{literal(table.title)}**", ""]
    text += [f"| {' | '.join(line)} |" for line in lines]
    if table.notes:
        text += ["", *(f"[^{n}]: {literal(note)}" for n, note in enumerate(table.notes, 1))]
    return "\n".join(text) + "\n"


def literal(text: str) -> str:
    """``text`` as Markdown shows it, in one line."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


def to_html(table: PaperTable) -> str:
    """One self-contained page: whose a figure is shows in its heading and its colour."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups = [(name, len(list(run))) for name, run in groupby(c.group for c in table.columns)]
    return environment.get_template("table.html.j2").render(table=table, groups=groups)


FORMATS: dict[str, Callable[[PaperTable], str]] = {
    "csv": to_csv,
    "html": to_html,
    "json": to_json,
    "markdown": to_markdown,
}
