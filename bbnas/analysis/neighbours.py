"""The evaluated designs of a study that differ least from one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from operator import ne
from typing import Any

from bbnas.analysis.estimates import estimate
from bbnas.analysis.evidence import gap
from bbnas.analysis.pareto import useful
from bbnas.design import CHOICES, TITLES, UNIT_FIELDS, Design
from bbnas.evaluation import Evaluation
from bbnas.study import Candidate, Study
from bbnas.tasks import Part, get_task

# Estimates of a large study rest on this many runs, those nearest to the design: the Gaussian
# process takes the cube of their number, half a second for 400.
MOST_RUNS = 400


@dataclass(frozen=True)
class Change:
    """A choice in which two designs differ, with the values of both as text."""

    choice: str
    here: str
    there: str


@dataclass(frozen=True)
class Neighbour:
    """A candidate and the ``changes`` that lead to it.

    ``difference`` (dB) is by how much its PSNR exceeds that of the design it is compared with,
    estimated from the runs of the study, and ``error`` the standard error of that; NaN where no
    run is above the study's floor. ``measured`` (dB) is the difference of the two single runs
    (:func:`bbnas.analysis.evidence.gap`) where they differ in one choice, else NaN.
    """

    candidate: Candidate
    changes: tuple[Change, ...]
    difference: float
    error: float
    measured: float


def neighbours(study: Study, candidate: Candidate, most: int = 12) -> list[Neighbour]:
    """The ``most`` candidates that differ from ``candidate`` in the fewest choices.

    Of equally near ones those come first that were trained to the end, then the earlier ones. A
    part that is 1-bit or not is a choice, and so is each axis of the space; idle axes are equal.
    """
    own, names = candidate.evaluation.design, _names(study)
    here = _chosen(own, names, study.searches_methods)

    def distance(e: Evaluation) -> int:
        return sum(map(ne, here, _chosen(e.design, names, study.searches_methods)))

    far = [(distance(c.evaluation), not c.evaluation.feasible, c.number) for c in study.candidates]
    order = sorted(range(len(far)), key=far.__getitem__)
    nearest = [
        study.candidates[i] for i in order if study.candidates[i].number != candidate.number
    ]
    nearest = nearest[:most]
    if not nearest:
        return []
    runs = study.evaluations()
    if len(runs) > MOST_RUNS:
        runs = sorted(runs, key=distance)[:MOST_RUNS]
    differences = [(math.nan, math.nan)] * len(nearest)
    if any(useful(study.config, e) for e in runs):
        # What was confirmed is estimated together, as it is for the recommendation.
        again = {e.design.key for e in study.confirmations}
        beside = {c.number for c in (candidate, *nearest)}
        confirmed = [
            c
            for c in study.candidates
            if again and c.number not in beside and c.evaluation.design.key in again
        ]
        asked = [candidate, *nearest, *confirmed]
        found = estimate(study.config, asked, runs, study.confirmations)
        differences = [
            (float(found.psnr[i] - found.psnr[0]), found.error(0, i))
            for i in range(1, len(nearest) + 1)
        ]
    return [
        Neighbour(
            candidate=other,
            changes=changed,
            difference=difference,
            error=error,
            measured=gap(candidate.evaluation, other.evaluation)
            if len(changed) == 1
            else math.nan,
        )
        for other, (difference, error) in zip(nearest, differences, strict=True)
        for changed in [changes(study, own, other.evaluation.design)]
    ]


def changes(study: Study, here: Design, there: Design) -> tuple[Change, ...]:
    """The choices in which two designs of a study differ."""
    pairs = zip(_names(study), _values(study, here), _values(study, there), strict=True)
    return tuple(
        Change(_TITLES.get(name, name), _words(name, one), _words(name, other))
        for name, one, other in pairs
        if one != other
    )


def described(study: Study, design: Design) -> dict[str, str]:
    """Every choice of a design, by its name, as text."""
    pairs = zip(_names(study), _values(study, design), strict=True)
    return {_TITLES.get(name, name): _words(name, value) for name, value in pairs}


def _names(study: Study) -> tuple[str, ...]:
    """The choices of a study: parts, method, and the fields of Design that its space leaves to
    the method or asks.
    """
    fields = [f for f, *_ in CHOICES if not (study.searches_methods and f in UNIT_FIELDS)]
    return (*map(str, get_task(study.config.task).parts), "method", *fields)


def _values(study: Study, design: Design) -> tuple[Any, ...]:
    return _chosen(design, _names(study), study.searches_methods)


# Cached: a page asks for all candidates of a study each time.
@lru_cache(1 << 15)
def _chosen(design: Design, names: tuple[str, ...], by_method: bool) -> tuple[Any, ...]:
    chosen = {str(part): design.binary(part) for part in Part}
    # Where a space asks for the axes of a unit, the method is a choice of baselines alone.
    method = {"method": design.published if by_method else design.method}
    return tuple((chosen | method).get(name, getattr(design, name, None)) for name in names)


_WORDS = {field: words for field, _, words in CHOICES}
_TITLES = {field: name for field, name, _ in CHOICES} | {"k_ratio": "alignment"}


def _words(name: str, value: Any) -> str:
    match name:
        case "k_ratio" if value is not None:
            return f"{value:.3g} k*"
        case "method":
            return TITLES.get(value, "full precision")
        case _ if name in _WORDS:
            return _WORDS[name](value)
    return "1-bit" if value else "full precision"
