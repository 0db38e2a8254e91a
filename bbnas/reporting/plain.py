"""A page of a heading, a paragraph and figures, for what is no study: profiles and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bbnas.figures.theme import Spec
from bbnas.reporting.html import write_html


def write_figures(
    path: str | Path, title: str, words: str, figures: Sequence[Spec], *, inline: bool = False
) -> Path:
    """Write the page to ``path``, which is returned; see :func:`bbnas.reporting.html.write_html`.

    Raises:
        UserError: a file cannot be written.
    """
    named = {str(number): figure for number, figure in enumerate(figures)}
    template = "reporting/figures.html.j2"
    return write_html(path, template, inline=inline, title=title, words=words, figures=named)
