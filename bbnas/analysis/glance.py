"""A study at a glance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bbnas.analysis.estimates import estimate
from bbnas.analysis.knee import standing
from bbnas.evaluation import Evaluation
from bbnas.study import Study


@dataclass(frozen=True)
class Glance:
    """A study in a line of a list of studies. ``best_psnr`` (dB) is that of its own candidates,
    NaN if none is useful; ``recommended`` is the label of the design, None if there is none.
    """

    study: str
    task: str
    space: str
    designs: int
    best_psnr: float
    recommended: str | None
    finished: datetime | None
    storage: str


def glance(study: Study) -> Glance:
    """What a list of studies tells of each: a tenth of a second, and no torch."""
    own = study.own()
    chosen = None
    if own:
        estimates = estimate(study.config, own, study.evaluations(), study.confirmations)
        chosen = standing(study.config, estimates).estimates.candidates[0]
    return Glance(
        study=study.config.name,
        task=study.config.task,
        space=study.config.space.name,
        designs=len(study.candidates),
        best_psnr=max((c.evaluation.psnr for c in own), default=math.nan),
        recommended=None if chosen is None else chosen.evaluation.design.label(),
        finished=max((c.finished for c in study.candidates if c.finished), default=study.created),
        storage=study.storage,
    )


def point(evaluation: Evaluation) -> dict[str, Any]:
    """A design and its figures in plain values; the latency where it is known."""
    return {
        "design": evaluation.design.to_dict(),
        "psnr": evaluation.psnr,
        "ssim": evaluation.ssim,
        "ops": evaluation.ops,
        "params": evaluation.params,
        **({"latency": evaluation.latency} if math.isfinite(evaluation.latency) else {}),
    }
