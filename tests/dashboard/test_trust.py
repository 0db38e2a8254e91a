"""The page Trust: what it tells of rivals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from bbnas.dashboard import trust
from bbnas.rivals import place_of
from bbnas.study import Study
from tests.dashboard.test_study import ask
from tests.helpers.rivals import entrant, rivals

FOUND = rivals(entrant("1-bit", 26.0, 100), entrant("fp32", 26.5, 250))
OUTPUTS = (
    "..trust-content.children...trust-worth-words.children...trust-worth-figure-spec.data..."
    "trust-worth-drawn.hidden.."
)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def page(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = ask(client, OUTPUTS, [("version", "data", 1)], [KEY])
    return found


KEY = ("trust-key", "data", "live")


def test_without_rivals_it_says_how_to_measure_them(client: FlaskClient) -> None:
    before = page(client)
    assert "bbnas rivals live" in json.dumps(before["trust-worth-words"])
    assert before["trust-worth-drawn"]["hidden"] is True


def test_a_bad_file_is_told_beside_the_task_s(synthetic_study: Callable[..., Study]) -> None:
    study = synthetic_study(12, name="live")
    mine = FOUND.model_copy(update={"task": study.config.task, "data": study.config.data})
    mine.write(place_of(study.config.task))
    place_of("live").write_text("{}")
    words, found = trust.rivals(study)
    assert found == mine
    text = str(words)
    assert "measure again with bbnas rivals" in text
    assert "1 bit wins in time" in text


def test_the_figure_is_that_of_the_study_s_images(
    client: FlaskClient, synthetic_study: Callable[..., Study]
) -> None:
    config = synthetic_study(12, name="live").config
    other = FOUND.model_copy(update={"task": config.task, "data": "other images"})
    other.write(place_of("live"))
    assert page(client)["trust-worth-drawn"]["hidden"] is True
    other.model_copy(update={"data": config.data}).write(place_of("live"))
    found = page(client)
    assert found["trust-worth-drawn"]["hidden"] is False
    assert "1 bit wins in time" in json.dumps(found["trust-worth-words"])
    names = [trace["name"] for trace in found["trust-worth-figure-spec"]["data"]["data"]]
    assert names[:2] == ["1-bit", "fp32"]
