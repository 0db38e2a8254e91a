"""The report in one call, and what a notebook shows of a study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import bbnas
from bbnas.analysis import recommend
from bbnas.analysis.fidelity import summary
from bbnas.errors import UserError
from bbnas.fidelity import Fidelity, Interval, MeasuredFidelity
from bbnas.reporting import (
    plot_curves,
    plot_front,
    plot_hypervolume,
    plot_parallel,
    plot_timeline,
    plot_times,
    report,
    study_html,
)
from bbnas.reporting.html import PLOTLY
from bbnas.store import FIDELITY, open_store
from bbnas.store.fidelities import add_fidelity, shipped_fidelities
from bbnas.tasks import get_task


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_it_is_at_the_top_and_writes_page_and_table(synthetic_study, tmp_path):
    assert bbnas.report is report
    study = synthetic_study(30)
    path = report(study, repeats=0, pictures=False, csv="all.csv", pick="trial 3")
    assert str(path) == "reports/first.html"
    assert "trial 3" in path.read_text()
    assert {p.name for p in path.parent.iterdir()} == {"first.html", PLOTLY}
    assert len(pd.read_csv("all.csv")) == 30
    inline = report(study, tmp_path / "one" / "page.html", repeats=0, pictures=False, inline=True)
    assert [p.name for p in inline.parent.iterdir()] == ["page.html"]


def test_a_pick_that_does_not_exist_writes_nothing(synthetic_study):
    with pytest.raises(UserError, match="trial 999"):
        report(synthetic_study(10), pick="trial 999", repeats=0, pictures=False)
    assert not Path("reports").exists()


def test_a_study_without_results_still_has_a_page(synthetic_study):
    empty = replace(synthetic_study(2), candidates=())
    assert report(empty).is_file()


def test_it_quotes_the_fidelity_that_was_measured_here(synthetic_study):
    study = synthetic_study(10)
    config = study.config
    interval = Interval(0.71, 0.6, 0.8)
    result = Fidelity(
        designs=24, useful=20, floor=None, kendall_tau=interval, spearman_rho=interval, pairs=200,
        ordered_pairs=0.96, top=0.75, proxy_noise=0.03, long_noise=0.02, proxy_seconds=5.0,
        long_seconds=60.0, baselines={"OPs": interval}, biases=(),
    )  # fmt: skip
    known = MeasuredFidelity(
        "sr4", "bbcu", config.protocol, config.protocol, config.data, result, {"device": "cpu"}
    )
    add_fidelity(open_store(None, FIDELITY, create=True), known)
    assert "0.71" in report(study, repeats=0, pictures=False).read_text().split("<nav")[0]


def test_it_quotes_the_fidelity_that_ships_where_none_was_measured_here(
    synthetic_study, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shipped = shipped_fidelities(get_task("sr4"))[0]
    study = synthetic_study(12)
    page = report(study, repeats=0, pictures=False).read_text()
    assert "on other images" in page
    config = replace(study.config, protocol=shipped.protocol.with_seed(3), data=shipped.data)
    page = report(replace(study, config=config), repeats=0, pictures=False).read_text()
    head = page.split("<nav")[0]
    assert f"{shipped.result.kendall_tau.value:.2f}" in head
    assert "another machine" in head
    assert shipped.machine in page
    assert summary(shipped)[0].partition(":")[0] in page


def test_a_notebook_shows_a_study_as_a_table_of_escaped_text(synthetic_study):
    study = synthetic_study(30)
    page = study._repr_html_()
    assert page == study_html(study)
    for value in (
        "first",
        "sr4",
        "bbcu",
        "30 designs",
        f"trial {recommend(study).candidate.number}",
    ):
        assert value in page
    space = study.config.space.model_copy(update={"name": "<b>"})
    evil = replace(study, config=replace(study.config, space=space))
    assert "&lt;b&gt;" in study_html(evil)
    assert "<b>" not in study_html(evil)
    assert "none: " in study_html(replace(study, candidates=()))


def test_a_notebook_shows_figures(synthetic_study):
    study = synthetic_study(30)
    for plot in (plot_front, plot_hypervolume, plot_parallel, plot_curves):
        assert "text/html" in plot(study)._repr_mimebundle_() or plot(study).data
    norm = plot_front(study, x="params", colour="norm")
    assert {trace.meta["mode"] for trace in norm.data if trace.visible} == {"always", "norm"}
    with pytest.raises(UserError, match="'shape'"):
        plot_front(study, colour="shape")
    with pytest.raises(UserError, match="'bytes'"):
        plot_front(study, x="bytes")
    with pytest.raises(UserError, match="older bbnas"):
        plot_timeline(study)
    with pytest.raises(UserError, match="no latencies"):
        plot_times(study)
    with pytest.raises(UserError, match="trial 999"):
        plot_front(study, "trial 999")
    with pytest.raises(UserError, match="no candidates"):
        plot_front(replace(study, candidates=()))
