"""The recommended design of a study, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from bbnas.analysis.pareto import front, minimised, non_dominated, useful
from bbnas.analysis.reasons import reasons
from bbnas.analysis.words import COSTS, listed, plural
from bbnas.errors import UserError
from bbnas.evaluation import OBJECTIVES, Candidate, Evaluation, Study, StudyConfig
from bbnas.tasks import get_task

# dB: twice the standard deviation between seeds, some 0.03 dB for the default proxy
# (docs/measurements.md).
TIE = 0.06
PICKS = ("knee", "best-psnr", "trial N")


@dataclass(frozen=True)
class Recommendation:
    """One candidate, the rule that picked it, and the evidence in words.

    ``alternatives`` names other points of the front, as far as they exist: ``next cheaper`` (of
    those with fewer OPs, the one that loses least PSNR), ``cheapest``, ``next better`` (of those
    with more PSNR, the cheapest) and ``best PSNR``.
    """

    candidate: Candidate
    pick: str
    reasons: tuple[str, ...]
    alternatives: Mapping[str, Candidate]


def knee(psnr: ArrayLike, *costs: ArrayLike, floor: float | None = None) -> int:
    """The index of the knee of a front: ``knee(psnr, ops, params)``, arrays of equal length.

    PSNR is scaled linearly to 0..1 from ``floor`` (what the global skip gets for nothing; the
    front's lowest without it) to the front's best, and the square root of each cost to 0..1
    between the front's extremes. OPs and Params grow with the square of a network's width, so the
    root is the width of a full-precision network that costs as much: what the designer would
    otherwise narrow. The knee has the largest psnr_n − mean(cost_n): it lies farthest above the
    chord between the extremes, and a saving is taken exactly when it costs less PSNR than
    narrowing by as much does over the whole front. Ties go to the higher PSNR, then to the lower
    costs, then to the first.
    """
    quality = np.asarray(psnr, dtype=np.float64)
    prices = [np.asarray(cost, dtype=np.float64) for cost in costs]
    score = _scaled(quality, quality.min() if floor is None else floor)
    if prices:
        widths = [np.sqrt(price) for price in prices]
        score = score - np.mean([_scaled(width, width.min()) for width in widths], axis=0)
    # Rounded, so that the last bit of a sum does not decide a tie.
    return int(np.lexsort([*reversed(prices), -quality, -np.round(score, 12)])[0])


def knee_of(config: StudyConfig, front: Sequence[Evaluation]) -> int:
    """The index of the knee among the evaluations of a study's front."""
    costs = [name for name in config.objectives if OBJECTIVES[name] == "minimize"]
    columns = [[getattr(e, name) for e in front] for name in costs]
    return knee([e.psnr for e in front], *columns, floor=config.skip_psnr)


def knee_candidate(config: StudyConfig, candidates: Sequence[Candidate]) -> Candidate:
    """The recommendation among useful candidates, none of them a baseline: the knee of their
    front or, of the designs that one run cannot tell from it, the simplest.
    """
    points = minimised([c.evaluation for c in candidates], config.objectives)
    found = [c for c, kept in zip(candidates, non_dominated(points), strict=True) if kept]
    return simplest_tie(candidates, found[knee_of(config, [c.evaluation for c in found])])


def simplest_tie(candidates: Sequence[Candidate], best: Candidate) -> Candidate:
    """The candidate that does least element-wise work of those that one run cannot tell from
    ``best``: of the same OPs and Params, and less than ``TIE`` below it in PSNR.

    The luckiest of many runs is seldom the best design, and the paper's convention counts no
    normalisation or activation: where PSNR cannot decide, the work it leaves out does.
    """
    top = best.evaluation
    ties = [
        c
        for c in candidates
        if c.evaluation.psnr > top.psnr - TIE
        and (c.evaluation.ops, c.evaluation.params) == (top.ops, top.params)
    ]
    return min(ties, key=lambda c: (c.evaluation.design.elementwise, -c.evaluation.psnr))


def _scaled(values: np.ndarray, low: float) -> np.ndarray:
    span = values.max() - low
    return (values - low) / span if span > 0 else np.zeros_like(values)


def recommend(
    study: Study,
    pick: str = "knee",
    max_ops: float | None = None,
    max_params: float | None = None,
    max_latency: float | None = None,
) -> Recommendation:
    """The design to train in full.

    ``pick`` is ``knee`` (see :func:`knee`), ``best-psnr`` or ``trial N``; ``max_ops`` and
    ``max_params`` (plain counts) and ``max_latency`` (seconds) filter first. Baselines are never
    picked, except by number.

    Raises:
        UserError: nothing to pick from, nothing within the limits, or a pick that does not exist.
    """
    number = re.fullmatch(r"(?:trial\s*)?#?(\d+)", pick.strip())
    if number:
        chosen = _by_number(study, int(number[1]))
        found = front(study)
    elif pick in ("knee", "best-psnr"):
        study = _within(study, ops=max_ops, params=max_params, latency=max_latency)
        found = front(study)
        if pick == "knee":
            chosen = knee_candidate(study.config, study.candidates)
        else:
            chosen = max(found, key=lambda c: c.evaluation.psnr)
    else:
        raise UserError(f"unknown pick {pick!r}: choose from {', '.join(PICKS)}")
    pick = "trial" if number else pick
    others = alternatives(found, chosen)
    return Recommendation(chosen, pick, tuple(reasons(study, chosen, found, pick, others)), others)


def _by_number(study: Study, number: int) -> Candidate:
    for candidate in study.candidates:
        if candidate.number == number:
            if not candidate.evaluation.feasible:
                raise UserError(
                    f"trial {number}: {candidate.evaluation.result}; pick one that was trained to "
                    "its end"
                )
            return candidate
    numbers = [candidate.number for candidate in study.candidates]
    known = f"numbers run from {min(numbers)} to {max(numbers)}" if numbers else "it is empty"
    raise UserError(f"study {study.config.name!r} has no trial {number}: {known}")


def _nothing(study: Study) -> UserError:
    name = f"study {study.config.name!r}"
    total = len(study.candidates)
    if total == 0:
        return UserError(f"{name} has no candidates yet: run the search first")
    own = [c for c in study.candidates if not c.baseline]
    if not own:
        return UserError(
            f"{name} holds only {plural(total, 'baseline')}, which are never recommended: "
            "extend the search with a larger --budget, or pick one with --pick 'trial N'"
        )
    if any(c.evaluation.feasible for c in own):
        return UserError(
            f"{name} has nothing to recommend: none of {plural(len(own), 'candidate')} beats "
            f"{get_task(study.config.task).skip} ({study.config.skip_psnr:.2f} dB); extend the "
            "search with a larger --budget"
        )
    diverged = sum(c.evaluation.status == "diverged" for c in own)
    return UserError(
        f"{name} has nothing to recommend: all {plural(len(own), 'candidate')} failed "
        f"({diverged} diverged, {len(own) - diverged} failed otherwise); extend the search with "
        "a larger --budget, or lower the protocol's learning rate"
    )


def _within(study: Study, **given: float | None) -> Study:
    """``study`` with the feasible candidates of its own that keep the limits; at least one."""
    feasible = [
        c for c in study.candidates if useful(study.config, c.evaluation) and not c.baseline
    ]
    if not feasible:
        raise _nothing(study)
    limits = {name: limit for name, limit in given.items() if limit is not None}
    if "latency" in limits and study.latency is None:
        raise UserError(
            f"study {study.config.name!r} knows no latencies: measure them with "
            f"bbnas report {study.config.name} --latency, or search with --max-latency"
        )
    allowed = [c for c in feasible if all(getattr(c.evaluation, n) <= limits[n] for n in limits)]
    if not allowed:
        asked = [COSTS[name].words(limit) for name, limit in limits.items()]
        least = [
            cost.words(min(getattr(c.evaluation, name) for c in feasible))
            for name, cost in COSTS.items()
            if name != "latency" or study.latency is not None
        ]
        raise UserError(
            f"no candidate has at most {listed(asked)}: the smallest found are {listed(least)}; "
            "raise the limit or extend the search"
        )
    return replace(study, candidates=tuple(allowed))


def alternatives(found: list[Candidate], chosen: Candidate) -> dict[str, Candidate]:
    """Named points of a front (sorted by OPs) other than ``chosen``."""
    here = chosen.evaluation
    others = [c for c in found if c.number != chosen.number]
    cheaper = [c for c in others if c.evaluation.ops < here.ops]
    better = [c for c in others if c.evaluation.psnr > here.psnr]
    named: dict[str, Candidate] = {}
    if cheaper:
        # The one that gives up least PSNR, which need not be the neighbour in OPs.
        named["next cheaper"] = max(cheaper, key=lambda c: c.evaluation.psnr)
        named["cheapest"] = cheaper[0]
    if better:
        named["next better"] = min(better, key=lambda c: c.evaluation.ops)
        named["best PSNR"] = max(better, key=lambda c: c.evaluation.psnr)
    return named
