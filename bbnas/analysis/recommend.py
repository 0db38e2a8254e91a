"""The recommended design of a study, and why."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbnas.analysis.estimates import Estimates, estimate
from bbnas.analysis.pareto import front, non_dominated, useful
from bbnas.analysis.reasons import reasons
from bbnas.analysis.surrogate import Array, runs_of
from bbnas.errors import UserError
from bbnas.study import OBJECTIVES, Candidate, Study, StudyConfig
from bbnas.tasks import get_task
from bbnas.text import COSTS, listed, plural

PICKS = ("knee", "best-psnr", "trial N")
# Two designs are told apart where their difference is beyond so many standard errors.
TOLD = 1.96


@dataclass(frozen=True)
class Recommendation:
    """One candidate, the rule that picked it, and the evidence in words.

    ``psnr`` (dB) is what all runs of the study together tell of it, ``error`` the standard error
    of that. ``ties`` are candidates that they do not tell from it, best first; ``rival`` is the
    best of those that they do. ``alternatives`` names other points of the front, as far as they
    exist: ``next cheaper`` (of those with fewer OPs, the one that loses least PSNR),
    ``cheapest``, ``next better`` (of those with more PSNR, the cheapest) and ``best PSNR``.
    """

    candidate: Candidate
    pick: str
    psnr: float
    error: float
    ties: tuple[Candidate, ...]
    rival: Rival | None
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
    prices = np.array(costs, dtype=np.float64).reshape(len(costs), len(quality)).T
    return int(_by_score(quality, prices, above_chord(quality, prices, quality, prices, floor))[0])


def above_chord(
    psnr: Array, costs: Array, front_psnr: Array, front_costs: Array, floor: float | None
) -> Array:
    """How far (dB) points lie above the chord of a front; see :func:`knee`."""
    low = front_psnr.min() if floor is None else floor
    span = front_psnr.max() - low
    widths, extremes = np.sqrt(costs), np.sqrt(front_costs)
    spans = np.ptp(extremes, axis=0) if extremes.size else np.ones(0)
    shares = (widths - extremes.min(axis=0)) / np.where(spans > 0, spans, np.inf)
    score: Array = psnr - low - (span * shares.mean(axis=1) if shares.shape[1] else 0.0)
    return score


def _by_score(psnr: Array, costs: Array, score: Array) -> NDArray[np.intp]:
    # Rounded, so that the last bit of a sum does not decide a tie.
    return np.lexsort([*costs.T[::-1], -psnr, -np.round(score, 12)])


@dataclass(frozen=True)
class Standing:
    """Candidates, best first, with how far (dB) each lies above the chord; see :func:`knee`."""

    estimates: Estimates
    score: Array


def standing(config: StudyConfig, estimates: Estimates) -> Standing:
    """The order in which a study recommends. Where some candidates were trained again by a longer
    protocol, these alone; the chord is that of all.
    """
    names = [name for name in config.objectives if OBJECTIVES[name] == "minimize"]
    rows = [[getattr(c.evaluation, name) for name in names] for c in estimates.candidates]
    costs = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    psnr = estimates.psnr
    kept = non_dominated(np.column_stack([-psnr, costs]))
    score = above_chord(psnr, costs, psnr[kept], costs[kept], config.skip_psnr)
    order = _by_score(psnr, costs, score)
    if any(estimates.confirmed):
        order = order[np.array(estimates.confirmed)[order]]
    else:  # what is dominated is no knee
        order = np.concatenate([order[kept[order]], order[~kept[order]]])
    return Standing(estimates.only(order.tolist()), score[order])


@dataclass(frozen=True)
class Rival:
    """The best candidate that is told from the recommended one: ``gap`` dB behind it, both seen
    above the chord, which is ``errors`` standard errors.
    """

    candidate: Candidate
    gap: float
    errors: float


def recommend(
    study: Study,
    pick: str = "knee",
    max_ops: float | None = None,
    max_params: float | None = None,
    max_latency: float | None = None,
) -> Recommendation:
    """The design to train in full.

    ``pick`` is ``knee`` (see :func:`knee`), ``best-psnr`` or ``trial N``; ``max_ops`` and
    ``max_params`` (plain counts) and ``max_latency`` (seconds) filter first. PSNR is what all
    runs together tell of a design (:func:`bbnas.analysis.estimates.estimate`), so that no lucky
    run decides. Baselines are never picked, except by number.

    Raises:
        UserError: nothing to pick from, nothing within the limits, or a pick that does not exist.
    """
    whole = study
    everything = study.evaluations()
    number = re.fullmatch(r"(?:trial\s*)?#?(\d+)", pick.strip())
    if number:
        own = [_by_number(study, int(number[1]))]
    elif pick in ("knee", "best-psnr"):
        study = _within(study, ops=max_ops, params=max_params, latency=max_latency)
        own = list(study.candidates)
    else:
        raise UserError(f"unknown pick {pick!r}: choose from {', '.join(PICKS)}")
    if not len(runs_of(study.config, everything)):  # no run that estimates could come from
        if number:
            return _alone(own[0])
        raise _nothing(study)
    estimates = estimate(study.config, own, everything, study.confirmations)
    ties: tuple[Candidate, ...] = ()
    rival = None
    here = int(np.argmax(estimates.psnr))
    if pick == "knee":
        order = standing(study.config, estimates)
        estimates, here = order.estimates, 0
        ties, rival = _told_apart(order)
    found = front(study)
    chosen = estimates.candidates[here]
    draft = Recommendation(
        candidate=chosen,
        pick="trial" if number else pick,
        psnr=float(estimates.psnr[here]),
        error=float(np.sqrt(max(estimates.covariance[here, here], 0.0))),
        ties=ties,
        rival=rival,
        reasons=(),
        alternatives=alternatives(found, chosen),
    )
    return replace(draft, reasons=tuple(reasons(whole, draft, found)))


def _alone(picked: Candidate) -> Recommendation:
    """A trial that was picked by number in a study with nothing else to say."""
    psnr = picked.evaluation.psnr
    return Recommendation(picked, "trial", psnr, math.nan, (), None, (), {})


def _told_apart(order: Standing) -> tuple[tuple[Candidate, ...], Rival | None]:
    """What is not told from the first, and the first of what is."""
    ties: list[Candidate] = []
    rival = None
    for i in range(1, len(order.score)):
        gap = float(order.score[0] - order.score[i])
        error = max(order.estimates.error(0, i), 1e-9)
        if gap < TOLD * error:
            ties.append(order.estimates.candidates[i])
        elif rival is None:
            rival = Rival(order.estimates.candidates[i], gap, gap / error)
    return tuple(ties), rival


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
