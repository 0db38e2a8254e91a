from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bbnas.analysis import study_benefit
from bbnas.figures.benefit import benefit_lengths


def test_benefit_bars_are_logarithmic(synthetic_study):
    rows = study_benefit(synthetic_study(1))
    rows = [replace(r, vc=v) for r, v in zip(rows, (1000.0, 10.0, 1.0, -3.0), strict=True)]
    assert benefit_lengths(rows, "vc") == pytest.approx([1.0, 0.5, 0.25, None])
    lost = [replace(r, vp=math.nan) for r in rows]
    assert benefit_lengths(lost, "vp") == [None] * 4
