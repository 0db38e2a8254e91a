"""Studies beside each other: the units that they share, and where they agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bbnas.analysis.compare import agreements, common_scale, race
from bbnas.analysis.findings import Finding, StudyFindings
from bbnas.analysis.hypervolume import Box, hypervolume
from bbnas.study import Study

Make = Callable[..., Study]


def test_equal_circumstances_are_compared_in_psnr(synthetic_study: Make) -> None:
    one, other = synthetic_study(20, skip_psnr=20.0), synthetic_study(20, seed=1, skip_psnr=20.0)
    seed = replace(other.config, protocol=other.config.protocol.with_seed(7))
    scale = common_scale([one, replace(other, config=seed)])
    assert not scale.relative
    assert scale.offset(one) == 0.0


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"data": "others"}, "images"), ({"task": "sr2"}, "tasks"), ({"protocol": 2}, "protocols")],
)
def test_other_circumstances_are_compared_above_the_skip(
    synthetic_study: Make, changes: dict[str, object], word: str
) -> None:
    one = synthetic_study(20, skip_psnr=20.0)
    if "protocol" in changes:
        changes = {"protocol": one.config.protocol.longer(4)}
    other = replace(one, config=replace(one.config, skip_psnr=23.0, **changes))  # type: ignore[arg-type]
    scale = common_scale([one, other])
    assert scale.relative
    assert word in scale.why[0]
    assert (scale.offset(one), scale.offset(other)) == (20.0, 23.0)


def test_a_study_without_the_skip_is_left_out(synthetic_study: Make) -> None:
    one = synthetic_study(20, skip_psnr=20.0)
    other = replace(one, config=replace(one.config, name="other", data="x", skip_psnr=None))
    scale = common_scale([one, other])
    assert scale.left_out == (1,)
    assert any("other" in words for words in scale.why)
    found = race([one, other], scale)
    assert found is not None
    assert found.progress[1] is None


def test_a_study_shifted_by_its_skip_runs_the_same_race(synthetic_study: Make) -> None:
    one = synthetic_study(40, skip_psnr=20.0)
    moved = tuple(
        replace(c, evaluation=replace(c.evaluation, psnr=c.evaluation.psnr + 3))
        for c in one.candidates
    )
    config = replace(one.config, data="others", skip_psnr=23.0)
    other = replace(one, config=config, candidates=moved)
    found = race([one, other], common_scale([one, other]))
    assert found is not None
    mine, its = found.progress
    assert mine is not None
    assert its is not None
    assert mine.volume == pytest.approx(its.volume)
    assert mine.seconds[-1] == pytest.approx(sum(c.evaluation.seconds for c in one.candidates))


def test_the_box_is_around_all_fronts(synthetic_study: Make) -> None:
    studies = [synthetic_study(30, seed=seed) for seed in (0, 1)]
    found = race(studies, common_scale(studies))
    assert found is not None
    ends = [c.evaluation for s in studies for c in s.own()]
    from bbnas.analysis import front

    box = Box.of([c.evaluation for s in studies for c in front(s)], found.objectives)
    for study, progress in zip(studies, found.progress, strict=True):
        assert progress is not None
        points = box.scaled([c.evaluation for c in front(study)])
        assert progress.volume[-1] == pytest.approx(hypervolume(points))
        assert np.all(np.diff(progress.volume) >= 0)
    assert len(ends) > 2


def finding(axis: str, effect: float, settled: bool) -> Finding:
    return Finding(
        axis, "1-bit", "full precision", effect, effect - 0.1, effect + 0.1, 0.01, settled,
        "pairs", 5, "", 0, "",
    )  # fmt: skip


def test_verdicts_need_settled_effects() -> None:
    def study(**effects: tuple[float, bool]) -> StudyFindings:
        return StudyFindings(tuple(finding(a, *e) for a, e in effects.items()), ())

    rows = agreements(
        [
            study(
                head=(-0.2, True), body=(-0.3, True), tail=(-0.4, True), upsampling=(0.1, False)
            ),
            study(head=(0.2, True), body=(-0.1, True), tail=(0.2, False)),
            None,
        ]
    )
    assert [(row.axis, row.verdict) for row in rows] == [
        ("head", "disagree"),
        ("body", "agree"),
        ("tail", "one study"),
        ("upsampling", "not settled"),
    ]
    assert rows[0].spread == pytest.approx(0.4)
    assert rows[3].effects[1:] == (None, None)
