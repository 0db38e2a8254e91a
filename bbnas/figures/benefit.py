"""Bars of VC and VP (paper Eq. 10–11); a page draws them as HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from bbnas.analysis.benefit import BenefitRow


def benefit_lengths(rows: Sequence[BenefitRow], name: Literal["vc", "vp"]) -> list[float | None]:
    """Lengths in 0..1 of logarithmic bars that start at a tenth of the smallest positive value.

    None for a value that is not positive.
    """
    values = [float(getattr(row, name)) for row in rows]
    positive = [value for value in values if value > 0]
    if not positive:
        return [None] * len(values)
    start = math.log10(min(positive)) - 1
    span = math.log10(max(positive)) - start
    return [(math.log10(value) - start) / span if value > 0 else None for value in values]
