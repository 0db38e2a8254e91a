"""The file of rivals: which one belongs to a study, and what is told of a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bbnas.errors import UserError
from bbnas.rivals import place_of, read_rivals, rivals_of
from bbnas.tasks import get_task
from tests.helpers.rivals import entrant, rivals

TASK = get_task("sr4")
FOUND = rivals(entrant("1-bit", 26.0, 100), entrant("fp32", 26.5, 250))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_written_is_read() -> None:
    FOUND.write(place_of("sr4"))
    assert read_rivals(place_of("sr4"), TASK) == FOUND
    with pytest.raises(UserError, match="is of sr4, not of denoise25"):
        read_rivals(place_of("sr4"), get_task("denoise25"))


def test_a_study_has_its_own_rivals_or_those_of_its_task_on_the_same_images() -> None:
    told: list[str] = []
    assert rivals_of("mine", TASK, FOUND.data, told.append) is None
    FOUND.write(place_of("sr4"))
    assert rivals_of("mine", TASK, FOUND.data, told.append) == FOUND
    assert rivals_of("mine", TASK, "other images", told.append) is None
    own = FOUND.model_copy(update={"seeds": 2})
    own.write(place_of("mine"))
    assert rivals_of("mine", TASK, FOUND.data, told.append) == own
    assert not told


def test_a_file_of_an_earlier_version_is_told_and_passed_over() -> None:
    told: list[str] = []
    place_of("mine").parent.mkdir(parents=True)
    place_of("mine").write_text('{"format": 1}')
    FOUND.write(place_of("sr4"))
    assert rivals_of("mine", TASK, FOUND.data, told.append) == FOUND
    (line,) = told
    assert "measure again with bbnas rivals" in line
