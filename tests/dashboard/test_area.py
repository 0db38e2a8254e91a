"""Shapes on the front: what lies within them, and how an address keeps them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bbnas.dashboard.area import CORNERS, Area
from bbnas.evaluation import Evaluation
from bbnas.figures.front import DRAWN, draw_front, front_figure
from bbnas.study import Candidate, Study


def drawn(selections: list[Any], *, x: str = "ops", above: float = 0.0, hidden: Any = ()) -> Area:
    told = {"x": x, "colour": "params", "above": above, "hidden": list(hidden)}
    area = Area.drawn({**told, "selections": selections})
    assert area is not None
    return area


def box(x0: float, y0: float, x1: float, y1: float) -> dict[str, Any]:
    return {"type": "rect", "x0": x0, "y0": y0, "x1": x1, "y1": y1}


def lasso(*corners: tuple[float, float]) -> dict[str, Any]:
    return {"type": "path", "path": "M" + "L".join(f"{x},{y}" for x, y in corners) + "Z"}


def with_last(study: Study, **figures: Any) -> Study:
    """``study`` with the evaluation of its last candidate changed."""
    *rest, last = study.candidates
    changed = replace(last, evaluation=replace(last.evaluation, **figures))
    return replace(study, candidates=(*rest, changed))


def test_every_candidate_in_a_shape_is_selected_drawn_or_not(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(DRAWN + 400, diverged=0)
    figure = front_figure(study, None)
    assert figure is not None
    shown = {n for trace in draw_front(figure)["data"] for n in trace.get("customdata", ())}
    found = drawn([box(1e9, 20, 1e11, 26)]).numbers(study)
    within = {c.number for c in study.candidates if inside(c.evaluation, 1e9, 20, 1e11, 26)}
    assert found == within
    assert found - shown


def inside(e: Evaluation, x0: float, y0: float, x1: float, y1: float) -> bool:
    return x0 <= e.ops <= x1 and y0 <= e.psnr <= y1


def test_the_edges_of_a_lasso_are_straight_on_the_log_axis(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(2, diverged=0)
    # From (1 G, 20 dB) to (100 G, 30 dB): at 10 G the edge is at 25 dB, on a linear axis at 20.9.
    area = drawn([lasso((1e9, 20.0), (1e11, 30.0), (1e11, 20.0))])
    for psnr, within in ((24.9, True), (25.1, False)):
        assert (1 in area.numbers(with_last(study, ops=1e10, psnr=psnr))) == within


def test_a_stopped_candidate_lies_at_its_rung_and_what_has_no_place_is_outside(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(20, diverged=0)
    ops = study.candidates[-1].evaluation.ops
    area = drawn([box(ops * 0.9, 23.9, ops * 1.1, 24.1)])
    lost = {"psnr": math.nan, "ssim": math.nan}
    stopped = {"status": "stopped", "rungs": ((125, 24.0),), **lost}
    assert 19 in area.numbers(with_last(study, **stopped))
    assert 19 not in area.numbers(with_last(study, **(stopped | {"rungs": ()})))
    slow = drawn([box(1e-3, 0, 1e6, 99)], x="latency")
    assert slow.numbers(with_last(study, latency=0.002)) == {19}  # the others were not measured


def test_what_the_legend_hides_is_not_selected(synthetic_study: Callable[..., Study]) -> None:
    study = synthetic_study(60, diverged=0)
    figure = front_figure(study, None)
    assert figure is not None
    members = {dot.number for dot in figure.dots if dot.kind == "front"}
    every = [box(1, 0, 1e15, 99)]
    assert drawn(every).numbers(study) == set(range(60))
    area = drawn(every, hidden=["Pareto front"])
    assert area.numbers(study) == set(range(60)) - members
    assert Area.of(str(area)) == area


def test_over_the_overlay_psnr_is_counted_from_bicubic(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(40, diverged=0)
    plain = drawn([box(1, 25.0, 1e15, 26.0)])
    gains = drawn([box(1, 0.0, 1e15, 1.0)], above=25.0)
    assert plain.numbers(study) == gains.numbers(study) != frozenset()
    assert gains.outlines(25.0)[0]["y0"] == pytest.approx(0.0)


@pytest.mark.parametrize("corners", [3, 25, 3000])
def test_an_address_keeps_a_lasso_in_less_than_2000_characters(
    synthetic_study: Callable[..., Study], corners: int
) -> None:
    study = synthetic_study(400, diverged=0)
    turns = [2 * math.pi * i / corners for i in range(corners)]
    ring = [(10 ** (10.5 + 0.8 * math.cos(t)), 25.4 + 0.5 * math.sin(t)) for t in turns]
    area = drawn([lasso(*ring), box(1e9, 20, 2e9, 24)])
    text = str(area)
    assert len(text) < 2000
    assert sum(map(len, area.shapes)) <= CORNERS
    again = Area.of(text)
    assert again is not None
    # Rounded to a thousandth of a decade and of a dB: a shape loses or gains a dot on its edge.
    assert len(again.numbers(study) ^ area.numbers(study)) <= 2
    outlines = again.outlines(0.0)
    assert [one["type"] for one in outlines] == ["path", "rect"]
    assert drawn(outlines).numbers(study) == again.numbers(study)


@pytest.mark.parametrize(
    "corners", ["", "|", "|1,2", "|1,2,3", "|a,b,c,d", "|-1,2,3,4", "|nan,2,3,4"]
)
def test_what_is_no_area_is_none(corners: str) -> None:
    assert Area.of(f"ops{corners}") is None
    assert Area.of("bytes|1,2,3,4") is None


def test_an_unknown_colouring_of_an_address_is_harmless(
    synthetic_study: Callable[..., Study],
) -> None:
    area = Area.of("ops/__class__|1,0,1e15,99|!body")
    assert area is not None
    candidates: tuple[Candidate, ...] = synthetic_study(5, diverged=0).candidates
    assert len(area.numbers(synthetic_study(5, diverged=0))) == len(candidates)


def test_a_recommended_design_that_the_legend_hides_is_not_selected(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(20, diverged=0)
    whole = [box(1e6, 0, 1e13, 99)]
    everything = drawn(whole).numbers(study)
    assert 7 in everything
    assert drawn(whole, hidden=["trial 7"]).numbers(study) == everything - {7}
    kept = Area.of(str(drawn(whole, hidden=["trial 7"])))
    assert kept is not None
    assert kept.numbers(study) == everything - {7}
