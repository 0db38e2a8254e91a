"""The page Study: what its callbacks answer, through the server."""

from __future__ import annotations

import json
import time
from typing import Any

from flask.testing import FlaskClient

from bbnas.dashboard.live import Live
from bbnas.dashboard.numbers import in_ranges, ranges
from bbnas.dashboard.page import GRAPH

HERE = "http://127.0.0.1:8050"


def ask(client: FlaskClient, outputs: str, inputs: list[Any], state: list[Any]) -> Any:
    """The answer to a callback; ``inputs`` and ``state`` are (id, property, value)."""

    def told(values: list[Any]) -> list[dict[str, Any]]:
        return [{"id": i, "property": p, "value": v} for i, p, v in values]

    names = outputs.strip(".").split("...")
    wanted = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    body = {
        "output": outputs,
        "outputs": wanted if outputs.startswith("..") else wanted[0],
        "inputs": told(inputs),
        "state": told(state),
        "changedPropIds": [],
    }
    answer = client.post("/_dash-update-component", json=body, base_url=HERE)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)["response"]


SLIDERS = [(f"study-{name}", "value", 100) for name in ("ops", "params", "bytes", "latency")]


def front(client: FlaskClient, selected: list[int] | None = None) -> Any:
    inputs = [
        ("version", "data", None),
        ("theme", "data", "dark"),
        ("narrow", "data", False),
        ("study-x", "value", "ops"),
        ("study-colour", "value", "params"),
        ("study-overlay", "value", []),
        ("study-clear", "n_clicks", 0),
        *SLIDERS,
    ]
    state = [
        ("study-key", "data", "live"),
        ("study-selection", "data", selected or []),
    ]
    return ask(client, "study-front-spec.data", inputs, state)["study-front-spec"]["data"]


def points(figure: Any) -> set[int]:
    return {n for trace in figure["data"] for n in trace.get("customdata", [])}


def test_a_result_is_a_point_as_soon_as_it_is_committed(writer, live: Live, client) -> None:  # type: ignore[no-untyped-def]
    before = points(front(client))
    assert before == set(range(10))
    version = live.version
    writer.write(writer.study.candidates[10])
    ends = time.monotonic() + 60
    while live.version == version and time.monotonic() < ends:
        live.changed_since(version, 5)
    while (found := points(front(client))) == before:
        assert time.monotonic() < ends
    assert found == before | {10}


def test_selected_trials_are_marked(client: FlaskClient) -> None:
    figure = front(client, selected=[1, 2])
    marked = {
        trace["customdata"][i]
        for trace in figure["data"]
        for i in trace.get("selectedpoints") or ()
    }
    assert marked == {1, 2}


def test_the_grid_holds_the_selected_candidates(client: FlaskClient) -> None:
    def rows(selected: list[int]) -> list[int]:
        inputs = [("version", "data", None), ("study-selection", "data", selected)]
        found = ask(client, "study-grid.rowData", inputs, [("study-key", "data", "live")])
        return [row["trial"] for row in found["study-grid"]["rowData"]]

    assert rows([]) == list(range(9, -1, -1))
    assert rows([3, 5]) == [5, 3]


def test_no_button_sends_a_figure_elsewhere() -> None:
    assert "sendChartToCloud" in GRAPH["modeBarButtonsToRemove"]
    assert GRAPH["plotlyServerURL"] == ""


def test_trial_numbers_in_an_address() -> None:
    assert ranges([5, 3, 4, 12]) == "3-5,12"
    assert in_ranges("3-5,12,x,9-") == [3, 4, 5, 12]
    assert len(in_ranges("0-999999999")) <= 100_001


def test_versions_answer_at_once_and_wait_when_asked(client: FlaskClient, live: Live) -> None:
    now = client.get("/version", base_url=HERE).get_json()
    assert now["studies"].keys() == {"live"}
    started = time.monotonic()
    client.get(f"/version?since={now['all'] - 1}", base_url=HERE)
    assert time.monotonic() - started < 5
