"""The page Compare over two real databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from plotly.utils import PlotlyJSONEncoder

from bbnas.dashboard import compare
from bbnas.dashboard.app import make_app
from bbnas.dashboard.live import Live
from bbnas.dashboard.page import Address
from bbnas.dashboard.sources import Sources
from bbnas.errors import UserError
from bbnas.store import Store
from bbnas.store.ledger import Job, Ledger
from bbnas.store.studies import enter
from bbnas.study import Study

OUTPUTS = (
    "compare-address.data",
    "compare-state.children",
    "compare-content.hidden",
    "compare-figure-spec.data",
    "compare-table.children",
    "compare-volume-spec.data",
    "compare-box.children",
    "compare-agreement.children",
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: Any, synthetic_study: Callable[..., Study]) -> Iterator[Live]:
    folder: Path = tmp_path_factory.mktemp("studies")
    for seed, name in enumerate(("one", "two")):
        study = synthetic_study(30, seed=seed, diverged=0.0, name=name, skip_psnr=20.0 + seed,
                                data=name)  # fmt: skip
        store = Store(f"sqlite:///{folder}/{name}.db", create=True)
        with Ledger(store, enter(store, study.config), study.config) as ledger:
            for candidate in study.candidates:
                job = ledger.claim(candidate.evaluation.design, "", 10**6)
                assert isinstance(job, Job)
                ledger.finish(job, candidate.evaluation, {})
        store.close()
    live = Live(Sources([str(folder)]))
    live.start()
    assert live.wait(20)
    yield live
    live.stop()
    for thread in threading.enumerate():  # none calculates when the process ends
        if thread.name.startswith("bbnas-"):
            thread.join(20)


def fill(live: Live, keys: list[str], trials: str = "") -> Any:
    client = make_app(live).server.test_client()
    values = {
        "compare-studies.value": keys,
        "compare-cost.value": "ops",
        "compare-trials.value": trials,
        "version.data": {},
    }
    return client.post(
        "/_dash-update-component",
        json={
            "output": f"..{'...'.join(OUTPUTS)}..",
            "outputs": [_id(name) for name in OUTPUTS],
            "inputs": [_id(name) | {"value": value} for name, value in values.items()],
            "changedPropIds": ["compare-studies.value"],
            "state": [],
        },
    ).json["response"]


def _id(name: str) -> dict[str, str]:
    return dict(zip(("id", "property"), name.rsplit(".", 1), strict=True))


def test_two_studies_are_compared_and_the_address_says_so(both: Live) -> None:
    found = fill(both, ["one", "two"], "1:0 2:3")
    assert found["compare-address"]["data"] == "?study=one&study=two&trials=1:0+2:3"
    assert found["compare-content"]["hidden"] is False
    figure = found["compare-figure-spec"]["data"]
    assert "above the skip" in json.dumps(figure["layout"])
    assert "differ in their images" in json.dumps(found["compare-state"])
    head = json.dumps(found["compare-table"])
    assert "/design?study=one&trial=0" in head
    assert "/design?study=two&trial=3" in head
    assert len(found["compare-volume-spec"]["data"]["data"]) == 2


def test_one_study_is_no_comparison(both: Live) -> None:
    found = fill(both, ["one"])
    assert found["compare-content"]["hidden"] is True
    assert "another study" in json.dumps(found["compare-state"])
    assert "compare-figure-spec" not in found


def test_candidates_are_named_by_study_and_trial(both: Live) -> None:
    studies = [both.study("one"), both.study("two")]
    assert compare.chosen("1:2, 2:0 1:2", studies) == [(0, 2), (1, 0)]
    for wrong in ("3:1", "0:1", "1:x", "<b>", "1:999"):
        with pytest.raises(UserError):
            compare.chosen(wrong, studies)


def test_a_click_adds_a_candidate_or_takes_it_out() -> None:
    assert compare.toggled("", "1:4") == "1:4"
    assert compare.toggled("1:4 2:7", "1:4") == "2:7"
    many = " ".join(f"1:{n}" for n in range(8))
    assert compare.toggled(many, "2:1").split()[0] == "1:1"


def test_the_layout_takes_the_address_and_at_most_six(both: Live) -> None:
    address = Address("compare", ("one", "two", *["one"] * 6), {"trials": "1:1", "cost": "<x>"})
    text = json.dumps(compare.layout(both, address), cls=PlotlyJSONEncoder)
    assert '"value": "ops"' in text
    assert '"value": "1:1"' in text
    assert text.count('"one"') < 10
