"""A page of nothing but a heading, a paragraph and Plotly figures, for what is no study."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from bbnas.files import write_output


def write_figures(
    path: str | Path, title: str, words: str, figures: Sequence[dict[str, Any]]
) -> Path:
    """Write one self-contained page to ``path``, which is returned.

    ``figures`` are ``{"data": …, "layout": …}`` as Plotly's JavaScript reads them.

    Raises:
        UserError: the file cannot be written.
    """
    from plotly.graph_objects import Figure

    plots = [
        Figure(figure).to_html(include_plotlyjs=index == 0, full_html=False)
        for index, figure in enumerate(figures)
    ]
    html = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(title)} – bbnas</title>\n"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;"
        "padding:0 1rem;color:#1b2230}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(words)}</p>\n{''.join(plots)}\n</body>\n</html>\n"
    )
    return write_output(Path(path), html)
