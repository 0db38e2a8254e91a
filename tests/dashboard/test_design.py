"""The page Design over a real database: its parts, its recipe and its pictures."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from flask.testing import FlaskClient
from plotly.utils import PlotlyJSONEncoder

from bbnas.analysis.export import export
from bbnas.dashboard import design, pictures, usage
from bbnas.dashboard.live import Live
from bbnas.dashboard.page import Address
from bbnas.dashboard.restoring import Restoration, Restorations
from bbnas.data import Dataset
from bbnas.recipe import Recipe
from bbnas.runs.pictures import BICUBIC, FULL_PRECISION, RECOMMENDED
from bbnas.store import open_study
from bbnas.study import Study
from bbnas.text import to_json


def text_of(component: Any) -> str:
    """A component as it is sent to a browser."""
    return json.dumps(component, cls=PlotlyJSONEncoder)


def callback(client: FlaskClient, outputs: list[str], inputs: dict[str, Any]) -> dict[str, Any]:
    """What a callback of the page answers, as a browser asks for it."""
    ids = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in outputs]
    answer = client.post(
        "/_dash-update-component",
        json={
            "output": f"..{'...'.join(outputs)}.." if len(outputs) > 1 else outputs[0],
            "outputs": ids if len(ids) > 1 else ids[0],
            "inputs": [
                dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) | {"value": value}
                for name, value in inputs.items()
            ],
            "changedPropIds": list(inputs)[:1],
            "state": [],
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json["response"]


def trained(live: Live) -> int:
    """A trial with a PSNR."""
    (one,) = live.studies()
    return next(c.number for c in one.snapshot.study.candidates if c.evaluation.feasible)


def test_the_page_describes_a_candidate(client: FlaskClient, live: Live) -> None:
    chosen = {"study": "live", "trial": trained(live)}
    found = callback(
        client,
        [
            "design-shown.data",
            "design-head.children",
            "design-others.children",
            "design-cost-table.children",
            "design-recipe.children",
        ],
        {"design-chosen.data": chosen, "version.data": {}},
    )
    (one,) = live.studies()
    candidate = next(c for c in one.snapshot.study.candidates if c.number == chosen["trial"])
    head = to_json(found["design-head"])
    assert candidate.evaluation.design.label() in head
    assert f"{candidate.evaluation.psnr:.2f} dB" in head
    drawn = callback(
        client,
        ["design-drawing.children", "design-parts-spec.data", "design-curve-spec.data"],
        {"design-shown.data": chosen, "theme.data": "dark"},
    )
    assert "data:image/svg+xml;base64," in to_json(drawn["design-drawing"])
    assert drawn["design-parts-spec"]["data"]["data"]
    near = callback(
        client,
        ["design-neighbour-table.children"],
        {"design-chosen.data": chosen, "version.data": {}},
    )
    assert "/design?study=live&trial=" in to_json(near)


def test_the_recipe_is_that_of_the_command(
    client: FlaskClient, live: Live, tmp_path: Path
) -> None:
    number = trained(live)
    answer = client.get(f"/design/recipe?study=live&trial={number}")
    assert answer.headers["Content-Disposition"].endswith(f"live-trial{number}.yaml")
    wanted = export(open_study(str(tmp_path / "live.db")), f"trial {number}").to_yaml()

    def undated(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.strip().startswith("date:")]

    assert undated(answer.text) == undated(wanted)
    assert Recipe.model_validate(yaml.safe_load(answer.text)).provenance is not None


def test_what_is_not_there_is_not_found(client: FlaskClient) -> None:
    for address in (
        "/design/recipe?study=live&trial=999",
        "/design/recipe?study=none&trial=1",
        "/design/recipe?study=live&trial=x",
        "/design/recipe?study=live",
        "/design/picture?study=live&trial=1&image=0&method=HQ",
    ):
        assert client.get(address).status_code == 404


def test_addresses_name_a_trial_or_get_a_good_one(live: Live) -> None:
    (one,) = live.studies()
    page = design.layout(live, Address("design", ("live",), {"trial": str(trained(live))}))
    assert f'"trial": {trained(live)}' in text_of(page)
    best = max(one.snapshot.study.own(), key=lambda c: c.evaluation.psnr).number
    known = {best, *(c.number for c in one.snapshot.study.own())}
    assert design._wanted(one, Address("design", ("live",), {})) in known
    for asked in ("999", "<img>", "-1"):
        page = design.layout(live, Address("design", ("live",), {"trial": asked}))
        assert "no result of trial" in text_of(page)


def test_commands_are_quoted_and_name_the_storage(synthetic_study: Callable[..., Study]) -> None:
    study = synthetic_study(3)
    usual = usage.commands(study, study.candidates[0])
    assert shlex.split(usual["export"]) == [
        "bbnas", "export", "first", "--pick", "trial 0", "-o", "recipes/first-trial0.yaml"
    ]  # fmt: skip
    elsewhere = replace(study, storage="sqlite:////a folder/it's.db")
    words = shlex.split(usage.commands(elsewhere, study.candidates[0])["export"])
    assert words[3:5] == ["--storage", "sqlite:////a folder/it's.db"]


def finished(restorations: Restorations, study: Study) -> Restoration:
    deadline = time.monotonic() + 120
    while True:
        job = restorations.job(study, study.candidates[0])
        assert job is not None
        if job.state != "running":
            return job
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_pictures_are_restored_by_one_process_at_a_time(
    synthetic_study: Callable[..., Study], dataset: Dataset, photographs: Path
) -> None:
    study = synthetic_study(3, diverged=0.0, data=dataset.fingerprint)
    short = study.config.protocol.model_copy(update={"iterations": 2, "rungs": ()})
    study = replace(study, config=replace(study.config, protocol=short))
    first, second = study.candidates[:2]
    restorations = Restorations(str(photographs))
    assert restorations.job(study, first) is None
    assert restorations.start(study, first).state == "running"
    assert restorations.start(study, first).state == "running"
    assert restorations.start(study, second).state == "busy"
    job = finished(restorations, study)
    assert job.error == ""
    assert job.restored is not None
    assert list(job.restored.mean_psnr) == [BICUBIC, FULL_PRECISION, RECOMMENDED]
    for picture in job.restored.pictures:
        assert all(content.startswith(b"\x89PNG") for content in picture.png.values())
    page = text_of(pictures.restored("live", first, job, None))
    assert page.count('"restored left"') == len(job.restored.pictures)
    assert restorations.start(study, first) is job


def test_other_images_are_refused(
    synthetic_study: Callable[..., Study], photographs: Path
) -> None:
    study = synthetic_study(3, data="another")
    restorations = Restorations(str(photographs))
    restorations.start(study, study.candidates[0])
    job = finished(restorations, study)
    assert job.state == "failed"
    assert "--data" in job.error
