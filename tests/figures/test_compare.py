"""Fronts of several studies in one figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bbnas.analysis import front
from bbnas.analysis.compare import common_scale, race
from bbnas.figures.compare import draw_fronts, draw_race, fronts
from bbnas.study import Study


@pytest.fixture
def studies(synthetic_study: Callable[..., Study]) -> list[Study]:
    one = synthetic_study(40, skip_psnr=20.0)
    other = synthetic_study(40, seed=1, skip_psnr=21.0, data="others", name="other")
    return [one, other]


@pytest.mark.parametrize("cost", ["ops", "params"])
def test_points_are_above_the_skip_of_their_study(studies: list[Study], cost: str) -> None:
    scale = common_scale(studies)
    found = fronts(studies, scale, cost)  # type: ignore[arg-type]
    for study, one in zip(studies, found, strict=True):
        wanted = {
            c.number: c.evaluation.psnr - float(study.config.skip_psnr or 0)
            for c in front(study, ("psnr", cost))
        }
        assert {p.number: p.psnr for p in one.front} == pytest.approx(wanted)
        costs = [p.cost for p in one.front]
        assert costs == sorted(costs)


def test_names_are_escaped_and_marked_designs_ringed(studies: list[Study]) -> None:
    scale = common_scale(studies)
    number = front(studies[1])[0].number
    found = fronts(
        studies, scale, marked=[frozenset(), frozenset({number})], names=["<img onerror>", "b"]
    )
    drawn = draw_fronts(found, scale)
    text = str(drawn)
    assert "<img" not in text
    rings = [t for t in drawn["data"] if "open" in t["marker"]["symbol"]]
    assert [ring["customdata"] for ring in rings] == [[[1, number]]]
    assert scale.title in text


def test_a_race_has_a_line_for_each_study(studies: list[Study]) -> None:
    run = race(studies, common_scale(studies))
    assert run is not None
    lines = draw_race(run, ["a", "b"])["data"]
    assert [line["name"] for line in lines] == ["a", "b"]
    assert all(line["x"][0] == line["y"][0] == 0 for line in lines)
    seconds = sum(c.evaluation.seconds for c in studies[0].candidates)
    assert lines[0]["x"][-1] == pytest.approx(seconds / 60)


def test_a_study_without_results_has_no_points(studies: list[Study]) -> None:
    empty = replace(studies[0], candidates=())
    (one,) = fronts([empty], common_scale([empty]))
    assert (one.front, one.others) == ((), ())
    assert race([empty], common_scale([empty])) is None
