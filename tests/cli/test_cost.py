from __future__ import annotations

import json

import pytest

from tests.cli.test_cli import run


def test_cost_prints_the_paper_s_digits_and_plain_counts(capsys) -> None:
    code, out, _ = run(capsys, "cost", "bbcu-m")
    assert code == 0
    # Table 1: BBCU-M ×4.
    assert "3.95 G OPs, 51 K Params" in out
    # Table 6: the body's and the upsampling's operations in M, all binary here.
    assert "67,947.73" in out
    assert "76,441.19" in out
    found = json.loads(run(capsys, "cost", "bbcu-m", "--json")[1])
    fp = 3 * 9 * 64 * (1 + 16) * 320 * 180
    assert found["macs_fp"] == fp
    assert found["ops"] == pytest.approx(fp + found["macs_binary"] / 64)
    assert found["ops_challenge"] == pytest.approx(fp + found["macs_binary"] / 8)
    assert set(found["parts"]) >= {"head", "body", "upsampling", "tail"}
    assert sum(p["ops"] for p in found["parts"].values()) == pytest.approx(found["ops"])


def test_cost_grows_with_the_image(capsys) -> None:
    whole = json.loads(run(capsys, "cost", "bbcu-l", "--json")[1])
    quarter = json.loads(run(capsys, "cost", "bbcu-l", "--lq", "160x90", "--json")[1])
    assert quarter["ops"] == pytest.approx(whole["ops"] / 4)
    assert quarter["params"] == whole["params"]


@pytest.mark.parametrize("content", ["binarize: [bdy]", "widht: 3", "[", "- 1"])
def test_a_bad_design_file_is_named(capsys, tmp_path, content) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    code, out, err = run(capsys, "cost", str(file))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(file) in err
