"""The recommended design of a study, and what it is compared with."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from statistics import fmean

import numpy as np

from bbnas.analysis.estimates import Z95, Estimates, confirmations_by_protocol, estimate
from bbnas.analysis.knee import Standing, standing
from bbnas.analysis.nearest import ESTIMATED, nearest
from bbnas.analysis.pareto import front, minimised
from bbnas.analysis.recommendation import (
    Confirmation,
    Passed,
    Recommendation,
    Rival,
    gap_between,
)
from bbnas.analysis.surrogate import Surrogate, runs_of
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Costs, Evaluation
from bbnas.study import Candidate, Study
from bbnas.tasks import Task, get_task
from bbnas.text import COSTS, listed, plural

PICKS = ("knee", "best-psnr", "trial N")


def recommend(
    study: Study,
    pick: str = "knee",
    max_ops: float | None = None,
    max_params: float | None = None,
    max_latency: float | None = None,
) -> Recommendation:
    """The design to train in full.

    ``pick`` is ``knee`` (:func:`bbnas.analysis.knee`), ``best-psnr`` or ``trial N``; ``max_ops``
    and ``max_params`` (plain counts) and ``max_latency`` (seconds) filter first. PSNR is estimated
    from all evaluations together (:func:`bbnas.analysis.estimates.estimate`), so that one lucky
    evaluation does not decide. Baselines are never picked, except by number.

    Raises:
        UserError: nothing to pick from, nothing within the limits, or a pick that does not exist.
    """
    whole = study
    number = re.fullmatch(r"(?:trial\s*)?#?(\d+)", pick.strip())
    if number:
        picked = _by_number(study, int(number[1]))
        among = [picked, *(c for c in study.own() if c.number != picked.number)]
    elif pick in ("knee", "best-psnr"):
        study = _within(study, ops=max_ops, params=max_params, latency=max_latency)
        among = list(study.candidates)
    else:
        raise UserError(f"unknown pick {pick!r}: choose from {', '.join(PICKS)}")
    everything = whole.evaluations()
    runs, left_out = runs_of(whole.config, everything), 0
    if len(runs) > ESTIMATED:
        kept = nearest(replace(whole, candidates=tuple(among)), ESTIMATED).candidates
        left_out, among = len(among) - len(kept), [*among[:1], *kept] if number else list(kept)
        among = list({c.number: c for c in among}.values())
        study = replace(study, candidates=tuple(among))
        everything = replace(whole, candidates=tuple(among)).evaluations()
        runs = runs_of(whole.config, everything)
    if not len(runs):  # no run that estimates could come from
        if number:
            return _alone(whole, among[0])
        raise _nothing(study)
    surrogate = Surrogate(runs, whole.config.protocol.noise)

    def estimated(candidates: list[Candidate]) -> Estimates:
        again = whole.confirmations
        return estimate(whole.config, candidates, everything, again, surrogate)

    estimates = estimated(among)
    ties: tuple[Candidate, ...] = ()
    rival = None
    if pick == "knee":
        order = standing(study.config, estimates)
        ties, rival = _rivals(order)
        chosen = order.estimates.candidates[0]
    else:
        chosen = among[0 if number else int(np.argmax(estimates.psnr))]
    full, known = _full_precision(
        chosen.evaluation, whole.evaluations(), get_task(whole.config.task)
    )
    twin = Candidate(-1, replace(chosen.evaluation, design=_in_full(chosen.evaluation.design)))
    beside = estimated([*among, twin])
    here = among.index(chosen)
    return Recommendation(
        candidate=chosen,
        pick="trial" if number else pick,
        psnr=float(estimates.psnr[here]),
        error=float(np.sqrt(max(estimates.covariance[here, here], 0.0))),
        estimates=estimates,
        ties=ties,
        rival=rival,
        passed=None if number else _passed(study, estimates, here),
        confirmation=_confirmation(whole, chosen.evaluation.design),
        proxy=whole.config.protocol,
        alternatives=alternatives(front(study), chosen),
        untrained=whole.config.untrained,
        full=full,
        full_gap=gap_between(beside, here, len(among)),
        full_known=known,
        left_out=left_out,
    )


def _alone(study: Study, picked: Candidate) -> Recommendation:
    """A trial that was picked by number in a study without a run to estimate from."""
    everything = study.evaluations()
    full, known = _full_precision(picked.evaluation, everything, get_task(study.config.task))
    return Recommendation(
        candidate=picked,
        pick="trial",
        psnr=picked.evaluation.psnr,
        error=math.nan,
        estimates=Estimates((), np.zeros(0), np.zeros((0, 0)), ()),
        ties=(),
        rival=None,
        passed=None,
        confirmation=_confirmation(study, picked.evaluation.design),
        proxy=study.config.protocol,
        alternatives={},
        untrained=study.config.untrained,
        full=full,
        full_gap=None,
        full_known=known,
    )


def _in_full(design: Design) -> Design:
    return design.replace(binarize=()).canonical()


def _full_precision(
    chosen: Evaluation, everything: list[Evaluation], task: Task
) -> tuple[Costs, bool]:
    """The costs of the design in full precision, and whether it was evaluated."""
    design = _in_full(chosen.design)
    for evaluation in everything:
        if evaluation.design == design and evaluation.feasible:
            return evaluation, True
    from bbnas.cost import ops_and_params  # imports torch

    return ops_and_params(design, task), False


def _passed(study: Study, estimates: Estimates, here: int) -> Passed | None:
    """The candidate with the highest PSNR of those that dominate ``here`` by their own runs."""
    candidates = estimates.candidates
    points = minimised([c.evaluation for c in candidates], study.config.objectives)
    better = np.all(points <= points[here], axis=1) & np.any(points < points[here], axis=1)
    if not better.any():
        return None
    best = max(np.flatnonzero(better), key=lambda i: candidates[i].evaluation.psnr)
    return Passed(
        candidate=candidates[best],
        own=candidates[best].evaluation.psnr - candidates[here].evaluation.psnr,
        gap=gap_between(estimates, int(best), here),
        confirmed=estimates.confirmed[best],
    )


def _confirmation(study: Study, design: Design) -> Confirmation | None:
    """The confirmation of ``design`` by the longest protocol that compared it with others."""
    found: Confirmation | None = None
    for protocol, table in confirmations_by_protocol(study.confirmations).items():
        means = {key: fmean(seeds.values()) for key, seeds in table.items()}
        if design.key in means and len(means) > 1:
            own = means[design.key]
            place = 1 + sum(psnr > own for psnr in means.values())
            if found is None or protocol.iterations > found.protocol.iterations:
                found = Confirmation(own, place, len(means), protocol)
    return found


def _rivals(order: Standing) -> tuple[tuple[Candidate, ...], Rival | None]:
    """The candidates that are statistically indistinguishable from the first, and the best of the
    others.
    """
    ties: list[Candidate] = []
    rival = None
    for i in range(1, len(order.score)):
        gap = float(order.score[0] - order.score[i])
        error = max(order.estimates.error(0, i), 1e-9)
        if gap < Z95 * error:
            ties.append(order.estimates.candidates[i])
        elif rival is None:
            rival = Rival(order.estimates.candidates[i], gap, gap / error)
    return tuple(ties), rival


def _by_number(study: Study, number: int) -> Candidate:
    for candidate in study.candidates:
        if candidate.number == number:
            if not candidate.evaluation.feasible:
                raise UserError(
                    f"trial {number}: {candidate.evaluation.result}; pick a trial that was "
                    "trained to its end"
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
    """``study`` with its own useful candidates within the limits; at least one."""
    feasible = study.own()
    if not feasible:
        raise _nothing(study)
    limits = {name: limit for name, limit in given.items() if limit is not None}
    if "latency" in limits and study.latency is None:
        raise UserError(
            f"study {study.config.name!r} has no latencies: measure them with "
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
        named["next cheaper"] = max(cheaper, key=lambda c: c.evaluation.psnr)
        named["cheapest"] = cheaper[0]
    if better:
        named["next better"] = min(better, key=lambda c: c.evaluation.ops)
        named["best PSNR"] = max(better, key=lambda c: c.evaluation.psnr)
    return named
