"""What a template prints is escaped, and a page finds plotly.js beside it or holds it."""

from __future__ import annotations

import base64
import io
import json
import math
import re

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from bbnas.figures.theme import axes_layout
from bbnas.reporting.html import PLOTLY, data_uri, embed, render, unbroken, write_html
from bbnas.reporting.markdown import grid, literal
from bbnas.reporting.tables import TextTable

EVIL = "<img src=x onerror='alert(1)'></script><script>alert(1)</script>"
FIGURE = {"data": [{"x": [1.0, math.nan], "y": [1, 2], "name": EVIL}], "layout": {}}


def test_every_value_of_a_template_is_escaped_and_must_be_there() -> None:
    page = render("reporting/figures.html.j2", title=EVIL, words=EVIL, figures={}, inline=False)
    assert "<img" not in page
    assert page.count("&lt;img src=x") == 3  # title, heading, paragraph
    with pytest.raises(UndefinedError, match="words"):
        render("reporting/figures.html.j2", title="t", figures={}, inline=False)


def test_pages_of_a_folder_share_one_plotly(tmp_path) -> None:
    template, values = "reporting/figures.html.j2", {"title": "t", "words": "w"}
    for name in ("a.html", "b.html"):
        write_html(tmp_path / name, template, figures={"one": FIGURE}, **values)
    assert {path.name for path in tmp_path.iterdir()} == {"a.html", "b.html", PLOTLY}
    page = (tmp_path / "a.html").read_text()
    assert len(page) < 30_000
    assert re.findall('src="([^"]*)"', page) == [PLOTLY]
    made = (tmp_path / PLOTLY).stat().st_mtime_ns
    write_html(tmp_path / "c.html", template, figures={"one": FIGURE}, **values)
    assert (tmp_path / PLOTLY).stat().st_mtime_ns == made


def test_an_inline_page_is_one_file(tmp_path) -> None:
    path = write_html(
        tmp_path / "new" / "page.html",
        "reporting/figures.html.j2",
        inline=True,
        title="t",
        words="w",
        figures={"one": FIGURE},
    )
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]
    assert path.stat().st_size > 1e6
    assert PLOTLY + '"' not in path.read_text()


def test_embedded_json_cannot_leave_its_element() -> None:
    text = embed({"a": [EVIL, float("nan"), "\u2028"], "b": (1.5, None)})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {"a": [EVIL, None, "\u2028"], "b": [1.5, None]}


def test_a_data_uri_holds_every_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 255, (13, 17, 3), dtype=np.uint8)
    head, content = data_uri(image).split(",", 1)
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as back:
        assert back.format == "PNG"
        assert np.array_equal(np.array(back), image)


def test_units_do_not_break_from_their_numbers() -> None:
    assert unbroken("3.95 G OPs, 26.1 dB, 1-bit") == "3.95\u00a0G OPs, 26.1\u00a0dB, 1\u2011bit"


def test_markdown_shows_what_was_written() -> None:
    assert literal("a | b\n*c* <d>") == "a \\| b \\*c\\* \\<d\\>"
    table = TextTable("t", "T", ("a", "b", "c"), (False, True, True), (("x|y", "1", "–"),))
    assert grid(table.without_empty_columns()) == ["| a | b |", "| --- | ---: |", "| x\\|y | 1 |"]


def test_a_layout_is_changed_in_its_parts_or_replaced() -> None:
    layout = axes_layout("x", "y", 100, xaxis={"type": "log"}, barmode="stack")
    assert layout["xaxis"]["type"] == "log"
    assert layout["xaxis"]["title"]["text"] == "x"
    assert (layout["height"], layout["barmode"]) == (100, "stack")
