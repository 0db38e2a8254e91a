"""Optuna and its dashboard, the real ones, read what is written for them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import optuna
import optuna_dashboard
import pytest
from postgres import Server
from quick import Formula, quick_search
from werkzeug.test import Client

from bbnas.analysis import front
from bbnas.errors import UserError
from bbnas.presets import PRESETS
from bbnas.store.optuna import write_optuna
from bbnas.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Stopped and diverged candidates, and a baseline outside the space."""
    return quick_search(
        tmp_path_factory.mktemp("study"),
        40,
        early_stopping=True,
        evaluator=Formula(rungs=(100, 250), raises=16),
        baselines={"bbcu-l": PRESETS["bbcu-l"].replace(width=128)},
        sampler="random",
    ).study


def test_optuna_loads_what_the_study_holds(study: Study, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    write_optuna(study, url)
    loaded = optuna.load_study(study_name="quick", storage=url)
    assert loaded.metric_names == ["psnr", "ops", "params"]
    assert [direction.name for direction in loaded.directions] == [
        *("MAXIMIZE", "MINIMIZE", "MINIMIZE")
    ]
    states = {"ok": "COMPLETE", "stopped": "PRUNED", "diverged": "FAIL", "failed": "FAIL"}
    candidates = sorted(study.candidates, key=lambda c: c.number)
    assert len(loaded.trials) == len(candidates)
    assert {trial.state.name for trial in loaded.trials} == set(states.values())
    for trial, candidate in zip(loaded.trials, candidates, strict=True):
        e = candidate.evaluation
        assert trial.state.name == states[e.status]
        assert trial.values == ([e.psnr, e.ops, e.params] if e.feasible else None)
        assert trial.intermediate_values == dict(e.rungs)
        assert trial.user_attrs["design_key"] == e.design.key
        assert trial.user_attrs["trial"] == candidate.number
        assert (trial.user_attrs.get("psnr") is None) == math.isnan(e.psnr)
        if candidate.baseline:
            assert trial.params == {}
        else:
            assert trial.params["width"] == e.design.width
            assert trial.params["binarize_tail"] == ("tail" in e.design.binarize)
    best = {trial.user_attrs["trial"] for trial in loaded.best_trials}
    assert {c.number for c in front(study)} <= best


def test_its_dashboard_shows_the_trials(study: Study, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    write_optuna(study, url)
    client = Client(optuna_dashboard.wsgi(url))
    (one,) = json.loads(client.get("/api/studies").data)["study_summaries"]
    assert one["study_name"] == "quick"
    found = json.loads(client.get(f"/api/studies/{one['study_id']}").data)
    assert len(found["trials"]) == len(study.candidates)
    assert {trial["state"] for trial in found["trials"]} == {"Complete", "Pruned", "Fail"}
    whole = next(trial for trial in found["trials"] if trial["state"] == "Complete")
    assert len(whole["values"]) == 3
    asked = {param["name"] for trial in found["trials"] for param in trial["params"]}
    assert asked >= {"width", "norm"}
    assert {attr["key"] for attr in whole["user_attrs"]} >= {"design", "status", "ssim"}
    importance = client.get(f"/api/studies/{one['study_id']}/param_importances")
    assert importance.status_code == 200
    assert client.get(f"/csv/{one['study_id']}").status_code == 200


def test_a_server_takes_it_too_and_no_password_is_told(study: Study, postgres: Server) -> None:
    url = postgres.url()
    write_optuna(study, url)
    assert len(optuna.load_study(study_name="quick", storage=url).trials) == len(study.candidates)
    with pytest.raises(UserError, match="already") as error:
        write_optuna(study, url)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [("sqlite:////nowhere/x.db", "folder exists"), ("what", "no database URL")],
)
def test_a_database_that_cannot_be_written(study: Study, url: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        write_optuna(study, url)
