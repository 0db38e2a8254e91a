from __future__ import annotations

import json

import yaml

from bbnas.design import Design
from bbnas.presets import PRESETS
from tests.cli.test_cli import run


def test_presets_are_listed_with_the_printed_costs(capsys) -> None:
    code, out, _ = run(capsys, "design", "list", "--task", "denoise25")
    assert code == 0
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    # Table 2.
    assert lines["dncnn"][-2:] == ["38.42", "667.01"]
    assert lines["bbcu"][-2:] == ["0.80", "24.19"]
    assert "srresnet" not in lines
    found = json.loads(run(capsys, "design", "list", "--task", "jpeg10", "--json")[1])
    costs = {row["name"]: (row["ops"], row["params"]) for row in found["presets"]}
    # 18 body convolutions in 1-bit, head and tail of one image channel in full precision.
    assert costs["bbcu"][1] == 2 * 9 * 64 + 18 * 9 * 64**2 / 32
    assert costs["bbcu"][0] == (2 * 9 * 64 + 18 * 9 * 64**2 / 64) * 320 * 180


def test_a_preset_is_shown_as_it_fits_the_task(capsys) -> None:
    found = json.loads(run(capsys, "design", "show", "bbcu-m", "--task", "jpeg10", "--json")[1])
    assert (found["design"]["binarize"], found["design"]["depth"]) == (["body"], 18)
    assert found["label"] == "body, BBCU, 64×18"


def test_design_show_prints_a_file_that_is_the_design(capsys, tmp_path) -> None:
    code, out, _ = run(capsys, "design", "show", "bbcu-m")
    assert code == 0
    assert PRESETS["bbcu-m"].key in out
    assert Design.from_dict(yaml.safe_load(out)) == PRESETS["bbcu-m"]
    file = tmp_path / "again.yaml"
    file.write_text(out)
    again = json.loads(run(capsys, "design", "show", str(file), "--json")[1])
    assert again["key"] == PRESETS["bbcu-m"].key
