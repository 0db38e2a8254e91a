"""The file of ``bbnas rivals``, written and read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bbnas.errors import UserError
from bbnas.rivals import read_rivals
from bbnas.tasks import get_task
from tests.analysis.test_worth import entrant, rivals


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sr4.json"
    rivals(entrant("1-bit", 26.0, 100), entrant("int8", 26.1, 50)).write(path)
    return path


def test_what_is_written_is_read(file: Path) -> None:
    found = read_rivals(file, get_task("sr4"))
    assert found == rivals(entrant("1-bit", 26.0, 100), entrant("int8", 26.1, 50))
    assert [e.precision for e in found.one_bit] == ["1-bit"]
    assert [e.precision for e in found.others] == ["int8"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 99}, "not a file of rivals that this bbnas reads"),
        ({"threads": 0}, "threads = 0"),
        ({"surplus": 1}, "unknown key"),
    ],
)
def test_a_file_of_another_version_or_a_false_value_is_refused(
    file: Path, changes: dict[str, object], words: str
) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(UserError, match=words):
        read_rivals(file)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, None, "soon"])
def test_a_time_that_is_none_is_refused(file: Path, seconds: object) -> None:
    content = json.loads(file.read_text())
    content["entrants"][0]["seconds"] = seconds
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"entrants\.0\.seconds"):
        read_rivals(file)


def test_no_json_no_file_and_another_task(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is of sr4, not of jpeg10"):
        read_rivals(file, get_task("jpeg10"))
    file.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        read_rivals(file)
    with pytest.raises(UserError, match="cannot be read"):
        read_rivals(tmp_path / "none.json")
