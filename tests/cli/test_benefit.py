from __future__ import annotations

import json

import pytest


def test_benefit_prints_the_paper_s_columns_of_what_the_search_measured(at_home) -> None:
    code, out, err = at_home("benefit", "first")
    assert (code, err) == (0, "")
    # Table 6: OPs of each part in full precision and 1-bit, in M.
    for printed in ("99.53", "1.56", "67,947.73", "1,061.68", "76,441.19", "1,194.39", "24.88"):
        assert printed in out
    code, again, err = at_home("benefit", "first", "--json")
    assert (code, err) == (0, "")
    parts = json.loads(again)["parts"]
    assert [row["part"] for row in parts] == ["head", "body", "upsampling", "tail"]
    for row in parts:
        saved = (row["ops_f"] - row["ops_b"]) / 1e6
        assert row["vc"] == pytest.approx((row["psnr_f"] - row["psnr_b"]) / saved * 1e6)


def test_benefit_wants_a_study_or_a_task(at_home) -> None:
    for args in (["benefit"], ["benefit", "first", "--task", "sr4"]):
        code, out, err = at_home(*args)
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert "own" in at_home("benefit", "first", "--protocol", "proxy")[2]
