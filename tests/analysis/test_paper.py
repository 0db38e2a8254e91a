from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bbnas.analysis.paper import BICUBIC, PUBLISHED, published

TABLE = Path(__file__).parents[3] / "shared" / "paper" / "table1_sr.csv"


@pytest.mark.skipif(not TABLE.exists(), reason="the paper's tables are not beside the repository")
def test_published_designs_are_those_of_table_1():
    with TABLE.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["dataset"] == "Set5"]
    printed = {
        (f"sr{row['scale']}", row["method"]): (
            float(row["ops_g"]),
            float(row["params_k"]),
            float(row["psnr_db"]),
        )
        for row in rows
        if row["ops_g"]
    }
    ours = {(p.task, p.method): (p.ops / 1e9, p.params / 1e3, p.psnr) for p in PUBLISHED}
    assert ours.keys() == printed.keys()
    for key, values in printed.items():
        assert ours[key] == pytest.approx(values)
    bicubic = {f"sr{r['scale']}": float(r["psnr_db"]) for r in rows if r["method"] == "Bicubic"}
    assert bicubic == BICUBIC


def test_gain_is_over_the_bicubic_row_of_the_same_table():
    gains = {row.method: row.gain for row in published("sr4")}
    assert gains["BBCU-M"] == pytest.approx(31.54 - 28.63)
    assert gains["BNN"] < 0
    assert published("sr3") == []
