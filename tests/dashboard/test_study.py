"""The page Study: what its callbacks answer, through the server."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from flask.testing import FlaskClient

from bbnas.dashboard.live import Live

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


def front(client: FlaskClient, area: str = "", choices: Sequence[str] = ()) -> Any:
    inputs = [
        ("version", "data", None),
        ("study-x", "value", "ops"),
        ("study-colour", "value", "params"),
        ("study-overlay", "value", []),
        ("study-area", "data", area),
        ("study-values", "value", list(choices)),
        *SLIDERS,
    ]
    state = [("study-key", "data", "live")]
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


def test_the_selected_dots_stand_out_and_the_area_is_drawn(client: FlaskClient) -> None:
    figure = front(client)
    places = {
        number: (x, y)
        for trace in figure["data"]
        for number, x, y in zip(trace.get("customdata", ()), trace["x"], trace["y"], strict=False)
    }
    x, y = places[3]
    area = f"ops|{x * 0.99},{y - 0.001},{x * 1.01},{y + 0.001}"
    inside = {n for n, (a, b) in places.items() if abs(a / x - 1) < 0.01 and abs(b - y) < 0.001}
    figure = front(client, area=area)
    assert marked(figure) == inside
    assert len(figure["layout"]["selections"]) == 1
    chosen = front(client, choices=["depth: 16"])
    both = front(client, area, ["depth: 16"])
    assert marked(both) == marked(chosen) & inside
    # Plotly would highlight all that its own selections hold.
    assert both["layout"]["selections"] == []
    assert len(both["layout"]["shapes"]) == 1


def marked(figure: Any) -> set[int]:
    return {
        trace["customdata"][i]
        for trace in figure["data"]
        for i in trace.get("selectedpoints") or ()
    }


def test_the_grid_holds_the_selected_candidates(writer, client: FlaskClient) -> None:  # type: ignore[no-untyped-def]
    def rows(choices: list[str]) -> list[int]:
        inputs = [
            ("version", "data", None),
            ("study-area", "data", ""),
            ("study-values", "value", choices),
        ]
        found = ask(client, "study-grid.rowData", inputs, [("study-key", "data", "live")])
        return [row["trial"] for row in found["study-grid"]["rowData"]]

    assert rows([]) == list(range(9, -1, -1))
    shallow = [
        n for n in range(9, -1, -1) if writer.study.candidates[n].evaluation.design.depth == 16
    ]
    assert rows(["depth: 16"]) == shallow
    assert rows(["depth: 16", "depth: 32"]) == rows([])


def test_a_click_on_a_value_adds_it_and_another_takes_it_back(client: FlaskClient) -> None:
    def clicked(chosen: list[str]) -> list[str]:
        told = {"name": "depth: 16", "at": 1}
        inputs = [("study-parallel-clicked", "data", told)]
        found = ask(client, "study-values.value", inputs, [("study-values", "value", chosen)])
        return list(found["study-values"]["value"])

    assert clicked(["width: 32"]) == ["width: 32", "depth: 16"]
    assert clicked(["depth: 16", "width: 32"]) == ["width: 32"]


def test_versions_answer_at_once_and_wait_when_asked(client: FlaskClient, live: Live) -> None:
    now = client.get("/version", base_url=HERE).get_json()
    assert now["studies"].keys() == {"live"}
    started = time.monotonic()
    client.get(f"/version?since={now['all'] - 1}", base_url=HERE)
    assert time.monotonic() - started < 5
