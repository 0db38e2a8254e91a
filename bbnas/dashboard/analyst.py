"""What a dashboard says of a study beyond its rows: recommendation, reasons and effects.

An analysis takes a tenth of a second on 200 designs. The Gaussian process takes time with the cube
of the designs, so of a large study only those nearest to the front are estimated.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from bbnas.analysis import recommend
from bbnas.analysis.findings import StudyFindings
from bbnas.analysis.findings import findings as find
from bbnas.analysis.pareto import minimised, non_dominated
from bbnas.analysis.reasons import reasons
from bbnas.analysis.recommendation import Recommendation
from bbnas.errors import UserError
from bbnas.study import Candidate, Study

# Most designs that are estimated together: a few seconds on one core.
ESTIMATED = 400

_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Bounds:
    """Upper bounds of a recommended design: plain counts, and seconds."""

    ops: float | None = None
    params: float | None = None
    latency: float | None = None


@dataclass(frozen=True)
class Choice:
    """A recommendation and its reasons, or in ``missing`` why there is none."""

    recommendation: Recommendation | None = None
    reasons: tuple[str, ...] = ()
    missing: str = ""

    @property
    def number(self) -> int | None:
        """The trial number of the recommended design."""
        return None if self.recommendation is None else self.recommendation.candidate.number


@dataclass(frozen=True, eq=False)
class Analysis:
    """``study`` holds the designs that were estimated; ``left_out`` counts the others.

    ``findings`` are the effects of choices over all designs, which may be those of an earlier
    state; None before the first.
    """

    study: Study
    left_out: int
    findings: StudyFindings | None = None
    choice: Choice = field(default_factory=Choice)

    def within(self, limits: Bounds) -> Choice:
        """The recommendation within ``limits``."""
        if limits == Bounds():
            return self.choice
        with _one_at_a_time:  # tabs that ask the same wait for one answer
            return _choose(self, limits)

    @property
    def words(self) -> str:
        """What was left out, as a sentence; empty if nothing was."""
        if not self.left_out:
            return ""
        return (
            f"Estimated from the {len(self.study.candidates):,} designs nearest to the front; "
            f"{self.left_out:,} others are left out, since the estimate takes time with the cube "
            "of their number."
        )


def analyse(study: Study, findings: StudyFindings | None = None) -> Analysis:
    """The analysis of a study, reduced to its ESTIMATED best designs."""
    kept = nearest(study, ESTIMATED)
    analysis = Analysis(kept, len(study.candidates) - len(kept.candidates), findings)
    return replace(analysis, choice=_choose(analysis, Bounds()))


def with_findings(analysis: Analysis, study: Study) -> Analysis:
    """``analysis`` with the effects of choices over the whole ``study``."""
    found = replace(analysis, findings=find(study))
    return replace(found, choice=_choose(found, Bounds()))


@lru_cache(64)
def _choose(analysis: Analysis, limits: Bounds) -> Choice:
    study = analysis.study
    try:
        chosen = recommend(
            study, max_ops=limits.ops, max_params=limits.params, max_latency=limits.latency
        )
        found = analysis.findings
        return Choice(chosen, () if found is None else tuple(reasons(study, chosen, found)))
    except UserError as error:
        return Choice(missing=str(error))


def nearest(study: Study, most: int) -> Study:
    """``study`` with at most so many candidates: fronts are taken off one after the other until
    there are enough, and those that were confirmed stay. Designs without a PSNR, and those at or
    below the floor, go first.
    """
    if len(study.candidates) <= most:
        return study
    again = {e.design.key for e in study.confirmations}
    kept = [c for c in study.candidates if c.evaluation.design.key in again]
    left = [c for c in study.own() if c.evaluation.design.key not in again]
    while left and len(kept) < most:
        points = minimised([c.evaluation for c in left], study.config.objectives)
        first = non_dominated(np.nan_to_num(points, nan=np.inf))
        kept += [c for c, on in zip(left, first, strict=True) if on]
        left = [c for c, on in zip(left, first, strict=True) if not on]
    numbers = {c.number for c in kept[: max(most, len(again))]}
    return replace(study, candidates=tuple(_only(study.candidates, numbers)))


def _only(candidates: tuple[Candidate, ...], numbers: set[int]) -> list[Candidate]:
    return [c for c in candidates if c.number in numbers]
