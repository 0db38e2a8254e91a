from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from quick import Formula, axes, keys, quick_search

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation


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
