"""A study in a line, and its recommendation as lines of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from bbnas.analysis.estimates import estimate
from bbnas.analysis.recommend import Recommendation, standing
from bbnas.evaluation import Evaluation
from bbnas.study import Candidate, Study
from bbnas.tasks import get_task
from bbnas.text import COSTS, count, decibel, listed, plural, share

# Standard errors on either side of a 95 % confidence interval.
CONFIDENCE = 1.96


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


class Line(NamedTuple):
    """A line of the table."""

    label: str
    value: str


def overview(study: Study, recommendation: Recommendation) -> list[Line]:
    """The recommended design, its PSNR beside three others, and its costs.

    Differences in PSNR are those of the estimates from all runs, with the half width of their 95 %
    confidence intervals; a design that was not evaluated itself is estimated likewise.
    """
    from bbnas.cost import ops_and_params

    task = get_task(study.config.task)
    chosen = recommendation.candidate
    here = chosen.evaluation
    design = here.design
    kept = [str(part) for part in task.parts if not design.binary(part)]
    binary = [str(part) for part in task.parts if design.binary(part)]
    lines = [
        Line("recommended", f"trial {chosen.number}: {design.label()}"),
        Line("1-bit", listed(binary) if binary else "nothing"),
        Line("full precision", listed(kept) if kept else "nothing"),
        Line("size", f"{design.width} channels, {design.depth} body convolutions"),
        Line(
            "PSNR",
            f"{decibel(recommendation.psnr)} ± {CONFIDENCE * recommendation.error:.2f}, "
            f"estimated from {plural(len(study.evaluations()), 'run')}",
        ),
    ]
    if study.config.skip_psnr is not None:
        gain = decibel(recommendation.psnr - study.config.skip_psnr, sign=True)
        floor = decibel(study.config.skip_psnr)
        lines.append(Line(f"against {task.skip}", f"{gain} ({floor})"))
    best = recommendation.alternatives.get("best PSNR")
    full = replace(here, design=design.replace(binarize=()).canonical())
    ops, params = ops_and_params(full.design, task)
    full = replace(full, ops=ops, params=params)
    for label, other in (
        ("against the best of the front", None if best is None else best.evaluation),
        ("against full precision", full if design.binarize else None),
    ):
        if other is not None:
            lines.append(Line(label, f"{_gap(study, here, other)}, {_fewer(here, other)}"))
    lines += [
        Line(cost.title, cost.words(getattr(here, name)))
        for name, cost in COSTS.items()
        if name in study.config.objectives
    ]
    if confirmed := [e for e in study.confirmations if e.design.key == design.key and e.feasible]:
        longest = max(confirmed, key=lambda e: e.protocol.iterations).protocol
        designs = len({e.design.key for e in study.confirmations})
        lines.append(
            Line(
                "confirmed",
                f"{plural(len(confirmed), 'training')} of {longest.iterations:,} iterations, "
                f"as {plural(designs, 'candidate')} had",
            )
        )
    return lines


def _gap(study: Study, here: Evaluation, there: Evaluation) -> str:
    """The difference in PSNR, with its 95 % confidence interval."""
    pair = [Candidate(0, here), Candidate(1, there)]
    estimates = estimate(study.config, pair, study.evaluations(), study.confirmations)
    gap = float(estimates.psnr[0] - estimates.psnr[1])
    return f"{decibel(gap, sign=True)} ± {CONFIDENCE * estimates.error(0, 1):.2f}"


def _fewer(here: Evaluation, there: Evaluation) -> str:
    saved = {name: 1 - getattr(here, name) / getattr(there, name) for name in ("ops", "params")}
    words = [
        f"{share(abs(part))} {'fewer' if part > 0 else 'more'} {COSTS[name].title}"
        for name, part in saved.items()
        if math.isfinite(part)
    ]
    return f"{listed(words)} than {count(there.ops)} and {count(there.params)}"
