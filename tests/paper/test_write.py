from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bbnas.paper import TABLES, find_scores, paper_table
from bbnas.reporting.paper import FORMATS

EVIL = "<script>alert('1')</script> | [x](y) *b*"


@pytest.fixture(scope="module")
def tables():
    return {name: paper_table(name) for name in TABLES}


@pytest.mark.parametrize("name", TABLES)
def test_csv_holds_the_figures_without_marks(tables, name):
    table = tables[name]
    header, *rows = list(csv.reader(io.StringIO(FORMATS["csv"](table))))
    assert header == [*(c.title for c in table.columns), "notes"]
    assert [row[:-1] for row in rows] == [[cell.text for cell in row] for row in table.rows]
    assert len(set(header)) == len(header)
    if name == "table1":
        notes = {(row[0], row[1]): row[-1] for row in rows}
        assert notes["SRResNet", "×2"] == ""
        assert "146.14" in notes["SRResNet", "×4"]


def test_json_holds_numbers_and_notes_with_their_cells(tables):
    content = json.loads(FORMATS["json"](tables["table1"]))
    row = content["rows"][11]
    assert row["Method"] == "SRResNet"
    assert row["OPs (G) (paper)"] == 146.14
    assert row["OPs (G) (computed)"] == 146.0809728
    assert row["Manga109 SSIM (paper)"] == 0.9089
    assert content["rows"][2]["OPs (G) (computed)"] is None  # bicubic
    (note,) = [note for note in content["notes"] if "146.14" in note["text"]]
    assert note["cells"] == [[11, "OPs (G) (computed)"]]


def test_json_holds_both_sides_of_a_row_in_one_unit(tables):
    for name in ("table1", "table2", "table3", "table4"):
        for row in json.loads(FORMATS["json"](tables[name]))["rows"]:
            for figure in ("OPs (G)", "Params (K)"):
                ours = row.get(f"{figure} (computed)")
                if ours is not None:
                    assert row[f"{figure} (paper)"] == pytest.approx(ours, abs=0.5)
    for row in json.loads(FORMATS["json"](tables["table6"]))["rows"][:4]:
        assert row["body (computed)"] == pytest.approx(row["body (paper)"], abs=0.01)


@pytest.mark.parametrize("name", TABLES)
def test_markdown_is_one_table_with_footnotes(tables, name):
    table = tables[name]
    text = FORMATS["markdown"](table)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len(table.rows) + 2
    assert {line.count("|") for line in lines} == {len(table.columns) + 1}
    marks = set(re.findall(r"\[\^(\d+)\](?!:)", text))
    assert marks == set(re.findall(r"^\[\^(\d+)\]:", text, re.MULTILINE))
    assert len(marks) == len(table.notes)


class Cells(HTMLParser):
    """The text of each row's cells, and all that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()
        self.inside = False

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.fetched += [v for k, v in attributes if k in ("src", "href") and v[0] != "#"]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("name", TABLES)
def test_html_holds_every_cell_and_fetches_nothing(tables, name):
    table = tables[name]
    page = Cells()
    page.feed(FORMATS["html"](table))
    assert page.fetched == []
    assert page.rows[2:] == [
        [(cell.text or "–") + "".join(map(str, cell.notes)) for cell in row] for row in table.rows
    ]


def evil_protocol(study):
    return study.config.protocol.model_copy(update={"name": EVIL})


@pytest.mark.parametrize("form", FORMATS)
def test_what_users_wrote_stays_text(form, tmp_path, write_scores, synthetic_study):
    write_scores(tmp_path / "<b>run")
    study = synthetic_study(5, baselines=("bbcu-l",), data_description=EVIL)
    study = replace(study, config=replace(study.config, protocol=evil_protocol(study)))
    table = paper_table("table4", find_scores(tmp_path)[0], [study])
    text = FORMATS[form](table)
    if form == "html":
        assert EVIL not in text
        assert "<script>alert" not in text
        assert "&lt;b&gt;run" in text
    elif form == "markdown":
        assert "<script" not in text.replace("\\<", "")
        lines = [line for line in text.splitlines() if line.startswith("|")]
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert cells == {len(table.columns) + 1}
    elif form == "csv":
        assert EVIL in "".join(next(csv.reader(io.StringIO(text))))
    else:
        assert any(EVIL in key for key in json.loads(text)["rows"][0])


def test_an_empty_table_of_notes_has_no_list(tables):
    bare = replace(tables["table2"], notes=())
    assert "<ol>" not in FORMATS["html"](bare)
    assert "[^" not in FORMATS["markdown"](bare)
