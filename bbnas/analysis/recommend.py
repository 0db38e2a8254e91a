"""The recommended design of a study, and what it is compared with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbnas.analysis.estimates import Z95, Estimates, estimate
from bbnas.analysis.pareto import front, non_dominated
from bbnas.analysis.surrogate import Array, runs_of
from bbnas.errors import UserError
from bbnas.evaluation import Costs, Evaluation
from bbnas.study import OBJECTIVES, Candidate, Study, StudyConfig
from bbnas.tasks import Task, get_task
from bbnas.text import COSTS, count, decibel, listed, milliseconds, plural, signed

PICKS = ("knee", "best-psnr", "trial N")
# Candidates named of those that are statistically indistinguishable; the rest are counted.
NAMED_TIES = 3


@dataclass(frozen=True)
class Rival:
    """The runner-up: the best candidate that differs significantly from the recommended one.

    ``gap`` (dB) is the difference of their heights above the chord (:func:`knee`), so costs
    count; ``errors`` is that gap in standard errors.
    """

    candidate: Candidate
    gap: float
    errors: float


@dataclass(frozen=True)
class Recommendation:
    """One candidate, the rule that picked it, and what it is compared with.

    ``psnr`` (dB) is estimated from all evaluations of the study, with standard error ``error``.
    ``ties`` are the candidates that are statistically indistinguishable from it, best first;
    ``rival`` is the best of the others. ``alternatives`` names other points of the front, as far
    as they exist: ``next cheaper`` (the highest PSNR at fewer OPs), ``cheapest``, ``next better``
    (the fewest OPs at a higher PSNR) and ``best PSNR``. ``skip`` is the name of the network's
    global skip and ``skip_psnr`` its PSNR (dB), if known. ``full`` holds the costs of the same
    design in full precision and ``full_psnr`` its PSNR (dB), if it was evaluated.
    """

    candidate: Candidate
    pick: str
    psnr: float
    error: float
    ties: tuple[Candidate, ...]
    rival: Rival | None
    alternatives: Mapping[str, Candidate]
    skip: str
    skip_psnr: float | None
    full: Costs
    full_psnr: float | None

    def rows(self) -> list[tuple[str, str]]:
        """(label, value): the recommendation as a table."""
        here = self.candidate.evaluation
        rows = [
            ("recommended", named(self.candidate)),
            ("PSNR", self._psnr()),
        ]
        if self.skip_psnr is not None:
            rows.append((f"against {self.skip}", decibel(self.psnr - self.skip_psnr, sign=True)))
        if best := self.alternatives.get("best PSNR"):
            behind = decibel(here.psnr - best.evaluation.psnr, sign=True)
            rows.append(("against the best PSNR of the front", f"{behind}, {named(best)}"))
        if self.full_psnr is not None and here.design.binarize:
            rows.append(("against full precision", decibel(here.psnr - self.full_psnr, sign=True)))
        rows += [
            ("OPs", f"{count(here.ops)}, {_fewer(self.full.ops, here.ops)}"),
            ("Params", f"{count(here.params)}, {_fewer(self.full.params, here.params)}"),
        ]
        if math.isfinite(here.latency):
            rows.append(("latency", milliseconds(here.latency)))
        if self.pick == "knee":
            rows.append(("statistically indistinguishable", listed_ties(self.ties)))
        if self.rival is not None:
            gap = f"{signed(-self.rival.gap)} dB with costs included"
            errors = f"{self.rival.errors:.1f} standard errors"
            rows.append(("runner-up", f"{named(self.rival.candidate)}, {gap} ({errors})"))
        return rows

    def _psnr(self) -> str:
        if math.isnan(self.error):
            return f"{decibel(self.psnr)} (one evaluation, without an estimate of its error)"
        return f"{decibel(self.psnr)} ± {Z95 * self.error:.2f} (95 % confidence)"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for label, value in self.rows()
        )
        return f"<table>{cells}</table>"


def named(candidate: Candidate) -> str:
    """``trial 7 (body, BBCU, 64×32)``."""
    return f"trial {candidate.number} ({candidate.evaluation.design.label()})"


def listed_ties(ties: tuple[Candidate, ...]) -> str:
    """The first NAMED_TIES of ``ties`` by name, and how many more."""
    if not ties:
        return "no other candidate"
    shown = [named(candidate) for candidate in ties[:NAMED_TIES]]
    more = len(ties) - len(shown)
    return listed([*shown, f"{more} more"] if more else shown)


def _fewer(full: float, here: float) -> str:
    return f"{full / here:.3g}× fewer than full precision"


def knee(psnr: ArrayLike, *costs: ArrayLike, floor: float | None = None) -> int:
    """The index of the knee of a front: ``knee(psnr, ops, params)``, arrays of equal length.

    PSNR is scaled linearly to 0..1 from ``floor`` (the PSNR of the global skip; the front's
    lowest without it) to the front's best, and the square root of each cost to 0..1 between the
    front's extremes. OPs and Params grow with the square of a network's width, so the root is
    proportional to the width of a full-precision network of equal cost. The knee has the largest
    psnr_n − mean(cost_n): it lies farthest above the chord between the extremes. Ties go to the
    higher PSNR, then to the lower costs, then to the first.
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
    """The candidates in the order in which a study recommends them.

    If candidates were confirmed by a longer protocol, only these are ranked. The chord is still
    that of all candidates.
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
    else:  # a dominated candidate is never the knee
        order = np.concatenate([order[kept[order]], order[~kept[order]]])
    return Standing(estimates.only(order.tolist()), score[order])


def recommend(
    study: Study,
    pick: str = "knee",
    max_ops: float | None = None,
    max_params: float | None = None,
    max_latency: float | None = None,
) -> Recommendation:
    """The design to train in full.

    ``pick`` is ``knee`` (see :func:`knee`), ``best-psnr`` or ``trial N``; ``max_ops`` and
    ``max_params`` (plain counts) and ``max_latency`` (seconds) filter first. PSNR is estimated
    from all evaluations together (:func:`bbnas.analysis.estimates.estimate`), so that one lucky
    evaluation does not decide. Baselines are never picked, except by number.

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
            return _alone(study, own[0])
        raise _nothing(study)
    estimates = estimate(study.config, own, everything, study.confirmations)
    ties: tuple[Candidate, ...] = ()
    rival = None
    here = int(np.argmax(estimates.psnr))
    if pick == "knee":
        order = standing(study.config, estimates)
        estimates, here = order.estimates, 0
        ties, rival = _rivals(order)
    chosen = estimates.candidates[here]
    task = get_task(whole.config.task)
    full, full_psnr = _full_precision(chosen.evaluation, everything, task)
    return Recommendation(
        candidate=chosen,
        pick="trial" if number else pick,
        psnr=float(estimates.psnr[here]),
        error=float(np.sqrt(max(estimates.covariance[here, here], 0.0))),
        ties=ties,
        rival=rival,
        alternatives=alternatives(front(study), chosen),
        skip=task.skip,
        skip_psnr=whole.config.skip_psnr,
        full=full,
        full_psnr=full_psnr,
    )


def _alone(study: Study, picked: Candidate) -> Recommendation:
    """A trial that was picked by number in a study without a run to estimate from."""
    task = get_task(study.config.task)
    full, full_psnr = _full_precision(picked.evaluation, study.evaluations(), task)
    return Recommendation(
        candidate=picked,
        pick="trial",
        psnr=picked.evaluation.psnr,
        error=math.nan,
        ties=(),
        rival=None,
        alternatives={},
        skip=task.skip,
        skip_psnr=study.config.skip_psnr,
        full=full,
        full_psnr=full_psnr,
    )


def _full_precision(
    chosen: Evaluation, everything: list[Evaluation], task: Task
) -> tuple[Costs, float | None]:
    """The costs of the design in full precision, and its PSNR (dB) if it was evaluated."""
    design = chosen.design.replace(binarize=()).canonical()
    for evaluation in everything:
        if evaluation.design == design and evaluation.feasible:
            return evaluation, evaluation.psnr
    from bbnas.cost import ops_and_params  # imports torch

    return ops_and_params(design, task), None


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
