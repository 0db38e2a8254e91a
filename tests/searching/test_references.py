from __future__ import annotations

from pathlib import Path
from typing import Any

from quick import Formula, quick_search

from bbnas.analysis import recommend, study_benefit
from bbnas.runs.benefit import benefit_designs
from bbnas.searching import summary
from bbnas.space import load_space
from bbnas.tasks import Part, get_task


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
