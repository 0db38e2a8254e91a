"""An evaluation whose figures are not finite is no result, whoever makes it."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.presets import PRESETS

Evaluated = Callable[..., Evaluation]
DESIGN = PRESETS["bbcu-m"]
NO_NUMBERS = [math.nan, math.inf, -math.inf, np.float32("nan"), None, "25"]


@pytest.mark.parametrize("psnr", NO_NUMBERS, ids=repr)
def test_without_a_finite_psnr_it_failed(evaluated: Evaluated, psnr: object) -> None:
    found = replace(evaluated(DESIGN), psnr=psnr)
    assert found.status == "failed"
    assert not found.feasible
    assert math.isnan(found.psnr)
    assert "PSNR" in found.error
    assert pickle.loads(pickle.dumps(found)).status == "failed"  # noqa: S301 - as Ray sends it


@pytest.mark.parametrize("status", ["ok", "stopped"])
@pytest.mark.parametrize("psnr", NO_NUMBERS, ids=repr)
def test_without_a_finite_psnr_at_a_rung_it_failed(
    evaluated: Evaluated, status: str, psnr: object
) -> None:
    found = evaluated(DESIGN, status=status, rungs=((10, 24.0), (20, psnr)))
    assert found.status == "failed"
    assert "iteration 20" in found.error
    assert found.rungs == ((10, 24.0),)


def test_what_is_finite_stays_as_it_is(evaluated: Evaluated) -> None:
    found = evaluated(DESIGN, status="ok", psnr=np.float64(25.5), ssim=math.nan)
    assert (found.status, found.psnr, found.error) == ("ok", 25.5, "")
    for status in ("diverged", "failed"):
        kept = evaluated(DESIGN, status=status, psnr=math.nan, ssim=math.nan, error="why")
        assert (kept.status, kept.error) == (status, "why")
    assert evaluated(DESIGN, status="ok", ssim=math.inf).status == "failed"


@pytest.mark.parametrize("name", ["ops", "params", "seconds"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_costs_are_finite(evaluated: Evaluated, name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"^{name} = "):
        evaluated(DESIGN, **{name: value})


def test_a_status_is_known(evaluated: Evaluated) -> None:
    with pytest.raises(UserError, match=r"unknown status.*'OK'.*did you mean 'ok'"):
        evaluated(DESIGN, status="OK")
