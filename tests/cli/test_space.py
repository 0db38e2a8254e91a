from __future__ import annotations

import json

from bbnas.design import ABLATED, Design
from bbnas.space import load_space
from tests.cli.test_cli import run


def test_space_show_counts_distinct_designs(capsys) -> None:
    code, out, _ = run(capsys, "space", "show", "bbcu", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["designs"] == load_space("bbcu").count()
    assert found["key"] == load_space("bbcu").key
    assert len(found["axes"]["binarize"]) == 16

    _, table, _ = run(capsys, "space", "show", "bbcu")
    assert f"{found['designs']:,} distinct designs" in table
    for axis in set(Design.model_fields) - {"method", *ABLATED}:
        assert axis in table


def test_a_space_is_shown_as_the_task_has_it(capsys) -> None:
    found = json.loads(run(capsys, "space", "show", "methods", "--task", "jpeg10", "--json")[1])
    assert found["axes"]["binarize"] == [["body"]]  # DnCNN-3 has no upsampling
    assert found["axes"]["depth"] == [18]
    assert found["designs"] == len(found["axes"]["method"]) * len(found["axes"]["width"])
    listed = json.loads(run(capsys, "space", "list", "--task", "jpeg10", "--json")[1])["spaces"]
    assert {s["name"]: s["designs"] for s in listed}["methods"] == found["designs"]


def test_space_list_names_the_built_in_spaces(capsys) -> None:
    code, out, _ = run(capsys, "space", "list", "--json")
    assert code == 0
    assert "bbcu" in [s["name"] for s in json.loads(out)["spaces"]]
    assert "bbcu" in run(capsys, "space", "list")[1]
