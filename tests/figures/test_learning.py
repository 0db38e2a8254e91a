"""How one candidate was trained, against its evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.figures.learning import draw_learning, learning
from bbnas.study import Candidate


def test_a_whole_training_ends_with_its_psnr(evaluated: Callable[..., Evaluation]) -> None:
    e = replace(evaluated(Design(), 25.5), rungs=((125, 24.0), (500, 25.0)))
    values = learning(Candidate(3, e))
    assert values is not None
    assert values.scored == ((125, 24.0), (500, 25.0), (e.protocol.iterations, 25.5))
    assert values.loss == e.curve
    assert values.last is None
    drawn = draw_learning(values)
    assert drawn["data"][1]["y"] == [24.0, 25.0, 25.5]
    assert "shapes" not in drawn["layout"]


def test_a_stopped_one_ends_at_its_rung(evaluated: Callable[..., Evaluation]) -> None:
    lost = {"status": "stopped", "psnr": math.nan, "ssim": math.nan, "curve": ((50, 0.1),)}
    e = replace(evaluated(Design(), 25.5), rungs=((125, 24.0),), **lost)
    values = learning(Candidate(3, e))
    assert values is not None
    assert values.last == 125
    assert draw_learning(values)["layout"]["shapes"][0]["x0"] == 125


def test_a_failed_one_without_records_has_none(evaluated: Callable[..., Evaluation]) -> None:
    e = replace(evaluated(Design(), 25.5), status="failed", psnr=math.nan, curve=())
    assert learning(Candidate(3, e)) is None
