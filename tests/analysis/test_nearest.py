"""The candidates of a large study that are estimated."""

from __future__ import annotations

from collections.abc import Callable

from bbnas.analysis import front, recommend
from bbnas.analysis.nearest import ESTIMATED, nearest
from bbnas.study import Study


def test_the_front_and_what_lies_next_to_it_is_kept(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(300, seed=3)
    kept = nearest(study, 60)
    numbers = {c.number for c in kept.candidates}
    assert len(numbers) == 60
    assert {c.number for c in front(study)} <= numbers
    # Whatever is left out is dominated by something that is kept.
    for left in study.own():
        if left.number not in numbers:
            e = left.evaluation
            assert any(
                c.evaluation.psnr >= e.psnr and c.evaluation.ops <= e.ops for c in kept.candidates
            )
    assert nearest(kept, 60) is kept


def test_a_large_study_is_recommended_from_the_nearest(
    synthetic_study: Callable[..., Study],
) -> None:
    study = synthetic_study(2000, seed=1)
    chosen = recommend(study)
    assert len(chosen.estimates.candidates) == ESTIMATED
    assert chosen.left_out == len(study.own()) - ESTIMATED
    assert f"the {ESTIMATED} designs nearest to the front" in dict(chosen.rows())["estimated from"]
    # A trial by number is estimated even where it is far from the front.
    kept = {c.number for c in chosen.estimates.candidates}
    far = next(c for c in study.own() if c.number not in kept)
    assert recommend(study, str(far.number)).candidate == far


def test_a_small_study_is_estimated_whole(synthetic_study: Callable[..., Study]) -> None:
    chosen = recommend(synthetic_study(50))
    assert chosen.left_out == 0
    assert "estimated from" not in dict(chosen.rows())
