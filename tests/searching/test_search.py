from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quick import SPACE, Formula, Price, price, quick_search

from bbnas.analysis import recommend, study_benefit
from bbnas.cost import ops_and_params
from bbnas.design import METHODS, Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.presets import PRESETS, load_design
from bbnas.protocol import PROTOCOLS
from bbnas.runs.benefit import benefit_designs
from bbnas.searching import SAMPLERS, summary
from bbnas.searching.loop import Event
from bbnas.space import Space, load_space
from bbnas.store import Store
from bbnas.study import Study
from bbnas.tasks import Part, get_task


def axes(**changed: Any) -> Space:
    return Space.from_dict(SPACE | {"axes": SPACE["axes"] | changed})


TINY = axes(
    binarize=[["body"]], norm="none", k_ratio=1, activation=["rprelu", "relu"], width=[16, 32]
)


def keys(result: Any) -> list[str]:
    return [candidate.evaluation.design.key for candidate in result.study.candidates]


SHORT = PROTOCOLS["proxy"].model_copy(update={"iterations": 7, "rungs": ()})


def test_the_budget_counts_distinct_designs(tmp_path: Path) -> None:
    result = quick_search(tmp_path, 15)
    assert len(set(keys(result))) == len(keys(result)) == 15
    assert result.complete
    assert not result.interrupted
    assert result.trained == 15
    space = Space.from_dict(SPACE)
    assert all(space.contains(c.evaluation.design) for c in result.study.candidates)
    assert [c.number for c in result.study.candidates] == list(range(15))


def test_the_same_call_again_is_complete_at_once(tmp_path: Path) -> None:
    first = quick_search(tmp_path, 12)
    log = tmp_path / "log"
    again = quick_search(tmp_path, 12, evaluator=Formula(log=str(log)))
    assert again.complete
    assert again.trained == 0
    assert not log.exists()
    assert again.study.candidates == first.study.candidates


def test_a_larger_budget_extends(tmp_path: Path) -> None:
    first = quick_search(tmp_path, 10)
    more = quick_search(tmp_path, 16)
    assert more.trained == 6
    assert more.study.candidates[:10] == first.study.candidates
    assert len(set(keys(more))) == 16


def test_a_seed_repeats_a_search_and_another_does_not(tmp_path: Path) -> None:
    found = {}
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        folder = tmp_path / name
        folder.mkdir()
        result = quick_search(folder, 14, seed=seed, sampler_options={"n_startup_trials": 4})
        found[name] = keys(result)
    assert found["a"] == found["b"] != found["c"]


def test_a_resumed_search_does_not_repeat_its_beginning(tmp_path: Path) -> None:
    quick_search(tmp_path, 10, sampler="random")
    assert quick_search(tmp_path, 20, sampler="random").study.duplicates < 10


def test_a_diverged_candidate_is_evaluated_and_infeasible(tmp_path: Path) -> None:
    only = axes(binarize=[["body"]], k_ratio=4, activation="relu")
    result = quick_search(tmp_path, 4, space=only)
    assert [c.evaluation.status for c in result.study.candidates] == ["diverged"] * 4
    assert all(math.isnan(c.evaluation.psnr) for c in result.study.candidates)
    assert math.isnan(result.study.candidates[0].evaluation.curve[-1][1])
    assert result.counts.failed == 4
    assert summary(result.study, result)["recommended"] is None


def test_an_exhausted_space_ends_the_search_and_says_so(tmp_path: Path) -> None:
    result = quick_search(tmp_path, 100, space=TINY)
    assert result.complete
    assert set(keys(result)) == {design.key for design in TINY.enumerate()}
    assert f"no design besides the {TINY.count()}" in result.note


def test_limits_reject_before_training(tmp_path: Path) -> None:
    limit = sorted(price(d).ops for d in Space.from_dict(SPACE).enumerate())[100]
    log = tmp_path / "log"
    result = quick_search(tmp_path, 20, max_ops=limit, evaluator=Formula(log=str(log)))
    assert result.complete
    assert all(c.evaluation.ops <= limit for c in result.study.candidates)
    assert len(log.read_text().splitlines()) == 20
    assert result.study.rejected == result.counts.rejected > 0


def test_limits_that_leave_few_designs_find_each_of_them(tmp_path: Path) -> None:
    within = [d for d in TINY.enumerate() if price(d).params <= 20_000]
    result = quick_search(tmp_path, 50, space=TINY, max_params=20_000)
    assert 0 < len(within) < TINY.count()
    assert set(keys(result)) == {d.key for d in within}
    assert "within the limits" in result.note


def test_limits_that_leave_nothing_say_what_would_do(tmp_path: Path) -> None:
    least = min(price(d).params for d in Space.from_dict(SPACE).enumerate())
    with pytest.raises(UserError, match=rf"no design of space 'small'.*params {least:,.0f}"):
        quick_search(tmp_path, 5, max_params=10)


@pytest.mark.parametrize(("space", "task"), [("bbcu", "sr4"), ("methods", "denoise25")])
def test_that_nothing_keeps_the_limits_is_known_from_a_few_costs(
    space: str, task: str, tmp_path: Path
) -> None:
    asked: set[Design] = set()

    def cost(design: Design) -> Price:
        asked.add(design)
        return price(design)

    chosen = load_space(space, get_task(task))
    evaluator = Formula(task=get_task(task), prices=cost)
    with pytest.raises(UserError, match="raise the limit"):
        quick_search(tmp_path, 5, space=chosen, evaluator=evaluator, max_ops=1)
    assert len(asked) <= len(METHODS)


@settings(max_examples=10)
@given(data=st.data())
def test_no_design_costs_less_than_the_ones_asked_for_the_limits(data: st.DataObject) -> None:
    task = data.draw(st.sampled_from(("sr4", "jpeg10")))
    space = load_space(data.draw(st.sampled_from(("bbcu", "methods"))), get_task(task))
    space = space.fitted(get_task(task))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    design = space.sample(rng)
    axes = space.axes
    least = ops_and_params(
        design.replace(
            binarize=max(axes.binarize, key=len), width=min(axes.width), depth=min(axes.depth)
        ),
        get_task(task),
    )
    cost = ops_and_params(design, get_task(task))
    assert least.ops <= cost.ops
    assert least.params <= cost.params


def test_baselines_come_first_and_are_marked(tmp_path: Path) -> None:
    inside = Design(binarize=(Part.BODY,), width=32, depth=16)
    outside = PRESETS["srresnet"].replace(width=48)
    result = quick_search(tmp_path, 10, baselines={"mine": inside, "other": outside})
    marked = {c.baseline: c.evaluation.design.key for c in result.study.candidates if c.baseline}
    assert marked == {"mine": inside.key, "other": outside.key}
    assert [c.baseline for c in result.study.candidates][:2] == ["mine", "other"]
    assert len(result.study.candidates) == 10
    again = quick_search(tmp_path, 12, baselines={"mine": inside, "other": outside})
    assert again.trained == 2
    assert again.study.duplicates == result.study.duplicates


def test_baselines_are_presets_as_they_fit_the_task_and_equal_ones_once(tmp_path: Path) -> None:
    result = quick_search(
        tmp_path,
        8,
        space=load_space("methods", get_task("denoise25")),
        evaluator=Formula(task=get_task("denoise25")),
        baselines={
            name: load_design(name, get_task("denoise25"))
            for name in ("dncnn", "bbcu-l", "bbcu-m", "reactnet", "bbcu-v1")
        },
    )
    own = {c.baseline: c.evaluation.design for c in result.study.candidates if c.baseline}
    assert list(own) == ["dncnn", "bbcu-l", "reactnet"]  # bbcu-m has no upsampling to binarize
    assert {(d.width, d.depth) for d in own.values()} == {(64, 18)}


def test_benefit_compares_the_parts_of_the_task_s_backbone() -> None:
    designs = benefit_designs(get_task("jpeg10"))
    assert list(designs) == ["none", "head", "body", "tail"]
    assert {d.depth for d in designs.values()} == {18}
    narrow = benefit_designs(get_task("sr2"), load_space("methods", get_task("sr2")))
    assert list(narrow) == ["none", "head", "body", "upsampling", "tail"]
    assert {(d.width, d.depth) for d in narrow.values()} == {(64, 32)}


def test_the_guide_passes_over_parts_that_the_space_never_binarizes(tmp_path: Path) -> None:
    space = load_space(
        "methods", get_task("sr4")
    )  # body, or body and upsampling; never head or tail
    result = quick_search(tmp_path, 6, space=space, guide="vcvp")
    assert {str(e.design.binarize[0]) for e in result.study.references[1:]} == set(Part)
    assert len(result.study.candidates) == 6


def test_nothing_is_seeded_unasked(tmp_path: Path) -> None:
    assert not any(c.baseline for c in quick_search(tmp_path, 10).study.candidates)


def test_a_baseline_over_a_limit_is_left_out_with_a_word(tmp_path: Path) -> None:
    said: list[str] = []
    result = quick_search(
        tmp_path,
        5,
        baselines={"srresnet": PRESETS["srresnet"]},
        max_params=20_000,
        on_event=lambda e: said.append(e.text),
    )
    assert not any(c.baseline for c in result.study.candidates)
    assert "baseline srresnet is over max_params: left out" in said


def test_another_study_in_the_database_is_asked_before_training(tmp_path: Path) -> None:
    quick_search(tmp_path, 100, space=TINY, name="first")
    log = tmp_path / "log"
    second = quick_search(
        tmp_path, 100, space=TINY, name="second", evaluator=Formula(log=str(log)), sampler="random"
    )
    assert not log.exists()
    assert second.trained == 0
    assert second.counts.reused == TINY.count() == len(second.study.candidates)
    assert Store(f"sqlite:///{tmp_path}/quick.db").studies() == ["first", "second"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_searches_and_resumes(sampler: str, tmp_path: Path) -> None:
    small = {"n_startup_trials": 4, "population_size": 4}
    options = {name: small[name] for name in small.keys() & SAMPLERS[sampler].options.keys()}
    quick_search(tmp_path, 6, sampler=sampler, sampler_options=options)
    result = quick_search(tmp_path, 8, sampler=sampler)
    assert len(set(keys(result))) == 8


@pytest.mark.parametrize("objectives", [("psnr",), ("params", "psnr")])
def test_fewer_objectives(objectives: tuple[str, ...], tmp_path: Path) -> None:
    found = quick_search(
        tmp_path, 8, objectives=objectives, sampler_options={"n_startup_trials": 4}
    )
    assert found.study.config.objectives == objectives
    assert len(found.study.candidates) == 8


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": TINY}, r"space\.axes\.binarize was .*, is now \[\['body'\]\]"),
        ({"evaluator": Formula(task=get_task("sr2"))}, "task was sr4, is now sr2"),
        (
            {"evaluator": Formula(protocol=SHORT)},
            r"protocol\.iterations was \d+, is now 7",
        ),
        (
            {"evaluator": Formula(data="0123", data_description="5 others")},
            r"data was 3 photographs.*5 others \(0123\)",
        ),
        ({"objectives": ("psnr", "ops")}, "objectives was"),
        ({"sampler": "random"}, "sampler was ehvi, is now random"),
        ({"sampler_options": {"n_startup_trials": 3}}, "sampler_options was"),
        ({"seed": 3}, r"protocol\.seed was 0, is now 3; seed was 0, is now 3"),
        ({"max_ops": 1e9}, "max_ops was None, is now 1000000000.0"),
    ],
)
def test_a_study_of_that_name_that_is_another(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    before = quick_search(tmp_path, 3).study
    with pytest.raises(UserError, match=said) as error:
        quick_search(tmp_path, 5, **changed)
    assert "--name" in str(error.value)
    assert Store(f"sqlite:///{tmp_path}/quick.db").load_study("quick") == before


def test_options_are_those_of_the_study_when_it_resumes(tmp_path: Path) -> None:
    quick_search(tmp_path, 3, sampler_options={"n_startup_trials": 3})
    config = quick_search(tmp_path, 5).study.config
    assert config.sampler_options["n_startup_trials"] == 3


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"budget": 0}, "budget 0: must be at least 1"),
        ({"budget": -3}, "budget -3"),
        ({"sampler": "tpa"}, "unknown sampler 'tpa'.*did you mean 'tpe'"),
        (
            {"sampler_options": {"population": 3}, "sampler": "nsga2"},
            "unknown option.*population_size",
        ),
        ({"sampler_options": {"n_startup_trials": "x"}}, "n_startup_trials.*must be int, is 'x'"),
        (
            {"sampler_options": {"population_size": 1}, "sampler": "nsga2"},
            "population_size.*change",
        ),
        ({"objectives": ("psnr", "speed")}, "unknown objective 'speed'"),
        ({"objectives": ("psnr", "psnr")}, "each once"),
        ({"guide": "vc"}, "unknown guide 'vc'"),
        ({"workers": 0}, "workers 0"),
        ({"seed": -1}, "seed -1"),
        ({"max_ops": -1.0}, "max_ops = -1"),
        ({"name": "../x"}, "study name '../x'"),
    ],
)
def test_bad_arguments(bad: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        quick_search(tmp_path, **({"budget": 3} | bad))
    assert not list(tmp_path.glob("*.db"))


def test_an_error_of_the_evaluator_is_a_failed_candidate(tmp_path: Path) -> None:
    result = quick_search(tmp_path, 30, evaluator=Formula(raises=32))
    failed = [c.evaluation for c in result.study.candidates if c.evaluation.status == "failed"]
    assert {e.design.width for e in failed} == {32}
    assert {e.error for e in failed} == {"ZeroDivisionError: of the evaluator"}
    assert len(keys(result)) == 30


@dataclass(frozen=True)
class Wrong(Formula):
    """Evaluates designs of one width as an author's evaluator with a fault might."""

    answer: Callable[[Evaluation], Any] = replace

    def __call__(self, design: Design, *rest: Any) -> Any:
        found = super().__call__(design, *rest)
        return self.answer(found) if design.width == 32 else found


def no_psnr(found: Evaluation) -> Evaluation:
    return replace(found, psnr=math.nan)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (no_psnr, "PSNR nan is not a finite number"),
        (lambda found: replace(found, psnr=math.inf), "PSNR inf is not a finite number"),
        (lambda found: None, "the evaluator returned NoneType instead of an Evaluation"),
        (lambda found: found.psnr, "the evaluator returned float instead of an Evaluation"),
        (
            lambda found: replace(found, design=found.design.replace(width=48)),
            "the evaluator returned the Evaluation of another design",
        ),
    ],
)
def test_what_is_no_result_is_a_failed_candidate(
    answer: Callable[[Evaluation], Any], error: str, tmp_path: Path
) -> None:
    result = quick_search(tmp_path, 12, evaluator=Wrong(answer=answer))
    found = [c.evaluation for c in result.study.candidates]
    failed = [e for e in found if e.design.width == 32 and e.status != "diverged"]
    assert failed
    assert {e.status for e in failed} == {"failed"}
    assert all(error in e.error for e in failed)
    assert result.counts.failed >= len(failed)
    assert all(e.design.width != 32 for e in found if e.feasible)
    with sqlite3.connect(tmp_path / "quick.db") as database:
        stored = database.execute(
            "SELECT count(*) FROM bbnas_evaluations WHERE status = 'ok' AND psnr IS NULL"
        ).fetchone()
    assert stored == (0,)


def test_costs_that_are_not_finite_stop_a_search_in_one_line(tmp_path: Path) -> None:
    evaluator = Wrong(answer=lambda found: replace(found, ops=math.nan))
    with pytest.raises(UserError, match=r"^ops = nan"):
        quick_search(tmp_path, 30, evaluator=evaluator)


def test_a_search_in_which_everything_fails_stops_with_the_reason(tmp_path: Path) -> None:
    only = axes(width=32)
    with pytest.raises(UserError, match=r"5 candidates in a row failed.*of the evaluator"):
        quick_search(tmp_path, 30, space=only, evaluator=Formula(raises=32))
    # With the trouble mended those that failed are evaluated again, and none is lost.
    mended = quick_search(tmp_path, 8, space=only)
    assert "failed" not in {c.evaluation.status for c in mended.study.candidates}
    assert len(keys(mended)) == 8


def test_what_fails_again_and_again_is_failed_in_the_end(tmp_path: Path) -> None:
    only = axes(width=32)
    for _ in range(3):
        with pytest.raises(UserError, match="5 candidates in a row failed"):
            quick_search(tmp_path, 30, space=only, evaluator=Formula(raises=32))
    mended = quick_search(tmp_path, 8, space=only)
    assert [c.evaluation.status for c in mended.study.candidates].count("failed") == 5


def test_a_failed_attempt_of_another_study_is_not_reused(tmp_path: Path) -> None:
    few = axes(binarize=[["body"]], norm="none", k_ratio=1, activation="rprelu", width=32)
    quick_search(tmp_path, 9, space=few, name="first", evaluator=Formula(raises=32))
    second = quick_search(tmp_path, 9, space=few, name="second")
    assert {c.evaluation.status for c in second.study.candidates} == {"ok"}
    assert second.counts.reused == 0


def test_events_tell_how_it_stands(tmp_path: Path) -> None:
    events: list[Event] = []
    result = quick_search(tmp_path, 15, on_event=events.append)
    assert [events[0].kind, events[-1].kind] == ["start", "end"]
    done = [e for e in events if e.kind == "candidate"]
    assert [e.counts.done for e in done] == list(range(1, 16))
    assert done[-1].remaining == 0
    best = max(c.evaluation.psnr for c in result.study.candidates if c.evaluation.feasible)
    assert done[-1].best_psnr == best
    assert done[-1].front == len(summary(result.study, result)["front"])
    assert [e.candidate for e in done if e.candidate is None] == []


def test_summary_is_json(tmp_path: Path) -> None:
    result = quick_search(tmp_path, 15)
    found = json.loads(json.dumps(summary(result.study, result), allow_nan=False))
    assert found["evaluated"] == 15
    assert found["study"] == "quick"
    assert found["space"] == "small"
    assert found["recommended"]["psnr"] in [point["psnr"] for point in found["front"]]
    assert Space.from_dict(SPACE).contains(Design.from_dict(found["recommended"]["design"]))


class Interrupting(Formula):
    """Presses Ctrl-C in the middle of the third evaluation."""

    calls = 0

    def __call__(self, design: Design, *_: object) -> Any:
        Interrupting.calls += 1
        if Interrupting.calls == 3:
            raise KeyboardInterrupt
        return super().__call__(design)


def test_ctrl_c_keeps_what_is_done_and_hands_the_rest_back(tmp_path: Path) -> None:
    result = quick_search(tmp_path, 8, evaluator=Interrupting())
    assert result.interrupted
    assert not result.complete
    assert len(result.study.candidates) == 2
    with sqlite3.connect(tmp_path / "quick.db") as database:
        states = database.execute("SELECT state FROM bbnas_candidates ORDER BY number").fetchall()
        waiting = database.execute("SELECT design_key FROM bbnas_candidates WHERE number = 2")
        handed_back = waiting.fetchone()[0]
    assert states == [("done",), ("done",), ("waiting",)]
    log = tmp_path / "log"
    again = quick_search(tmp_path, 8, evaluator=Formula(log=str(log)))
    assert again.complete
    assert log.read_text().split()[0] == handed_back


def test_the_guide_binarizes_in_the_order_measured(tmp_path: Path) -> None:
    result = quick_search(tmp_path, 20, guide="vcvp")
    # By the formula every part costs 0.2 dB, so the one that saves most OPs and Params is first.
    references = result.study.references
    assert [e.design.binarize for e in references[:2]] == [(), (Part.HEAD,)]
    assert {e.design.width for e in references} == {64}
    subsets = {c.evaluation.design.binarize for c in result.study.candidates}
    prefixes = [(), (Part.BODY,), (Part.BODY, Part.UPSAMPLING)]
    assert subsets <= {*prefixes, (Part.BODY, Part.UPSAMPLING, Part.TAIL)}
    assert len(result.study.candidates) == 20
    log = tmp_path / "log"
    again = quick_search(tmp_path, 22, guide="vcvp", evaluator=Formula(log=str(log)))
    assert len(log.read_text().splitlines()) == again.trained == 2


def test_the_folder_of_a_storage_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert quick_search(".", 2, storage=None).study.storage == "sqlite:///studies/quick.db"
    assert (tmp_path / "studies" / "quick.db").is_file()
    quick_search(tmp_path, 2, storage="sqlite:///elsewhere/x.db")
    assert (tmp_path / "elsewhere" / "x.db").is_file()


def test_refinement_tries_the_neighbours_of_the_knee(tmp_path: Path) -> None:
    def share(study: Study) -> float:
        knee = recommend(study).candidate.evaluation.design
        near = {design.key for design in study.config.space.neighbours(knee)}
        return len(near & {c.evaluation.design.key for c in study.candidates}) / len(near)

    def searched(seed: int, refine: bool) -> float:
        name, options = f"{seed}-{refine}", {"refine": refine}
        return share(
            quick_search(tmp_path, 80, name=name, seed=seed, sampler_options=options).study
        )

    # Not all: the least promising come last, and the knee may still move near the end.
    assert fmean(searched(seed, refine=True) for seed in range(4)) > 0.7
    # How many of them a sampler happens upon by itself is chance.
    assert fmean(searched(seed, refine=False) for seed in range(2)) < 0.6


def test_the_best_are_trained_again_before_one_is_recommended(tmp_path: Path) -> None:
    told: list[str] = []

    def listen(event: Any) -> None:
        told.append(event.text)

    log = tmp_path / "log"
    result = quick_search(
        tmp_path, 30, confirm=3, evaluator=Formula(log=str(log)), on_event=listen
    )
    again = result.study.confirmations
    assert len(again) == 3
    protocol = result.study.config.protocol
    assert {e.protocol.seed for e in again} == {protocol.seed + 1}
    assert {e.protocol.iterations for e in again} == {protocol.longer(12).iterations}
    assert sum(text.startswith("confirming, ") for text in told) == 3
    assert len(log.read_text().splitlines()) == 33
    report = summary(result.study, result)
    assert report["confirmed"] == 3
    confirmed = {e.design.key for e in again}
    assert recommend(result.study).candidate.evaluation.design.key in confirmed
    # Nothing is trained twice, and a larger number adds to what there is.
    quick_search(tmp_path, 30, confirm=4, evaluator=Formula(log=str(log)))
    assert len(log.read_text().splitlines()) == 34


def test_vc_and_vp_are_measured_at_the_end_and_an_interruption_keeps_what_is_there(
    tmp_path: Path,
) -> None:
    def interrupt(event: Any) -> None:
        if event.text.startswith("VC and VP, 2 of "):
            raise KeyboardInterrupt

    log = tmp_path / "log"
    call = {"benefit": True, "confirm": 2, "evaluator": Formula(log=str(log))}
    result = quick_search(tmp_path, 8, **call, on_event=interrupt)
    assert result.interrupted
    assert len(result.study.candidates) == 8  # references are no candidates
    assert len(result.study.references) == 2
    again = quick_search(tmp_path, 8, **call)
    assert again.complete
    assert len(again.study.candidates) == 8
    assert {row.part for row in study_benefit(again.study)} == set(get_task("sr4").parts)
    trained = log.read_text().splitlines()
    # What a candidate is already is not trained again, and nothing is trained twice.
    alike = {c.evaluation.design.key for c in again.study.candidates}
    new = {e.design.key for e in again.study.references} - alike
    assert len(trained) == 8 + len(new) + 2
    quick_search(tmp_path, 8, **call)
    assert log.read_text().splitlines() == trained
