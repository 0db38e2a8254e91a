from __future__ import annotations

from pathlib import Path

import pytest
from shared import TABLES as TABLES_OF_PAPER
from shared import needs_tables

import bbnas.paper.printed as module
from bbnas.errors import UserError
from bbnas.paper import TABLES, published
from bbnas.paper.printed import PRESET_OF, printed_rows, records
from bbnas.presets import PRESETS, load_design, preset_name
from bbnas.tasks import TASKS, get_task

PACKAGE = Path(module.__file__).parent


@needs_tables
def test_the_package_s_figures_are_the_paper_s():
    ours = {path.name: path.read_bytes() for path in PACKAGE.glob("*.csv")}
    assert ours == {path.name: path.read_bytes() for path in TABLES_OF_PAPER.glob("*.csv")}
    assert set(ours) == {table.file for table in TABLES.values()}


@pytest.mark.parametrize(
    ("table", "rows", "results"),
    [("table1", 22, 5), ("table2", 8, 9), ("table3", 8, 8), ("table4", 4, 5), ("table5", 7, 1)],
)
def test_rows_are_the_paper_s(table, rows, results):
    found = printed_rows(table)
    assert len(found) == rows
    assert {len(row.results) for row in found} == {results}
    # One row, one order of columns.
    assert len({tuple(r.dataset for r in row.results) for row in found}) == 1
    assert sum(len(row.results) for row in found) == len(records(table))


def test_figures_keep_their_digits():
    bam = next(row for row in printed_rows("table1") if row.label == "BAM")
    assert [r.psnr for r in bam.results] == ["37.21", "32.74", "31.6", "30.20", ""]
    bbcu = printed_rows("table3")[-1]
    assert bbcu.results[-1] == ("Classic5", "jpeg40", "34.45", "0.9044")


def test_every_label_is_a_preset_of_its_task_or_no_network():
    labels = set()
    for table in ("table1", "table2", "table3", "table4", "table5"):
        for row in printed_rows(table):
            labels.add(row.label)
            assert {result.task for result in row.results} <= TASKS.keys()
            if row.preset is not None:
                designs = {load_design(row.preset, get_task(r.task)).key for r in row.results}
                assert len(designs) == 1  # its tasks differ in level only
    assert set(PRESET_OF) <= labels
    assert set(PRESET_OF.values()) <= PRESETS.keys()
    without = {"Bicubic", *(r.label for r in printed_rows("table5") if r.label != "none")}
    assert labels - set(PRESET_OF) == without


def test_every_label_names_its_preset():
    for label, preset in PRESET_OF.items():
        assert preset_name(label) == (None if label == "none" else preset)


def test_an_unknown_table_is_named():
    with pytest.raises(UserError, match="unknown table 'table9': choose from table1"):
        printed_rows("table9")


def test_published_designs_are_those_of_table_1_with_their_gain_over_its_bicubic():
    found = {row.method: row for row in published("sr4")}
    assert len(found) == 10
    assert "Bicubic" not in found
    bbcu = found["BBCU-M"]
    assert (bbcu.ops, bbcu.params, bbcu.psnr) == (pytest.approx(3.95e9), 51e3, 31.54)
    assert bbcu.gain == pytest.approx(31.54 - 28.63)
    assert found["BNN"].gain < 0
    assert {row.method: row.gain for row in published("sr2")}["SRResNet"] == pytest.approx(
        38.00 - 33.97
    )


@pytest.mark.parametrize("task", sorted(TASKS.keys() - {"sr2", "sr4"}))
def test_nothing_is_laid_over_where_the_paper_has_no_baseline(task):
    assert published(task) == []
