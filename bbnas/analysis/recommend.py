"""The recommended design of a study, and what it is compared with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bbnas.analysis.estimates import Z95, Estimates, confirmations_by_protocol, estimate
from bbnas.analysis.pareto import front, minimised, non_dominated
from bbnas.analysis.surrogate import Array, Surrogate, runs_of
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Costs, Evaluation
from bbnas.protocol import Protocol
from bbnas.study import OBJECTIVES, Candidate, Study, StudyConfig
from bbnas.tasks import Task, get_task
from bbnas.text import COSTS, count, decibel, listed, milliseconds, plural, signed

PICKS = ("knee", "best-psnr", "trial N")
# Candidates named of those that are statistically indistinguishable; the rest are counted.
NAMED_TIES = 3


class Gap(NamedTuple):
    """A difference in PSNR (dB), estimated from all runs of a study, and its standard error."""

    psnr: float
    error: float

    @property
    def half(self) -> float:
        """The half width (dB) of its 95 % confidence interval."""
        return Z95 * self.error

    def __str__(self) -> str:
        """``−0.28 ± 0.05 dB``, with the half width of the 95 % confidence interval."""
        return f"{signed(self.psnr)} ± {self.half:.2f} dB"


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
class Confirmation:
    """What longer training of the best candidates on the same batches gave for one of them.

    ``psnr`` (dB) is the mean over its seeds under ``protocol``, ``place`` its place by PSNR among
    the ``of`` candidates that were confirmed.
    """

    psnr: float
    place: int
    of: int
    protocol: Protocol

    def words(self, proxy: Protocol) -> str:
        """``25.51 dB after 12 times the training, first of the 6 that were confirmed``."""
        place = ORDINALS.get(self.place, f"number {self.place}")
        mine, short = (p.iterations * p.batch * p.patch**2 for p in (self.protocol, proxy))
        words = f"{decibel(self.psnr)} after {mine / short:.2g} times the training"
        return f"{words}, {place} by PSNR of the {self.of} that were confirmed"


ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}


@dataclass(frozen=True)
class Passed:
    """A candidate that looks better than the recommended one: in their own runs it has no less
    PSNR at no higher cost.

    ``own`` (dB) is by how much its own run is higher, ``gap`` what the difference is by all runs.
    ``confirmed``: it was trained again by the longer protocol, as the recommended one was.
    """

    candidate: Candidate
    own: float
    gap: Gap
    confirmed: bool


@dataclass(frozen=True)
class Recommendation:
    """One candidate, the rule that picked it, and what it is compared with.

    ``psnr`` (dB) is estimated from all evaluations of the study, with standard error ``error``
    (NaN without a run to estimate from), and ``estimates`` are those of all candidates that it
    was compared with. ``ties`` are the candidates that are statistically indistinguishable from
    it, best first; ``rival`` is the best of the others. ``passed`` is the candidate that most
    looks better by its own run. ``alternatives`` names other points of the front, as far as they
    exist: ``next cheaper`` (the highest PSNR at fewer OPs), ``cheapest``, ``next better`` (the
    fewest OPs at a higher PSNR) and ``best PSNR``. ``untrained`` is
    :attr:`bbnas.study.StudyConfig.untrained`. ``full`` holds the costs of the same design in full
    precision, ``full_gap`` the PSNR of this design less that one's, and ``full_known`` whether
    that one was evaluated.
    """

    candidate: Candidate
    pick: str
    psnr: float
    error: float
    estimates: Estimates
    ties: tuple[Candidate, ...]
    rival: Rival | None
    passed: Passed | None
    confirmation: Confirmation | None
    proxy: Protocol
    alternatives: Mapping[str, Candidate]
    untrained: Mapping[str, float]
    full: Costs
    full_gap: Gap | None
    full_known: bool

    def against(self, other: Candidate) -> Gap | None:
        """PSNR of the recommended design less that of ``other``; None if not estimated."""
        here, there = self.estimates.place(self.candidate), self.estimates.place(other)
        return None if here is None or there is None else _gap(self.estimates, here, there)

    def rows(self) -> list[tuple[str, str]]:
        """(what, value): the figures of the recommendation, as every table of it shows them.

        Differences are those of the estimates from all runs, with 95 % confidence intervals.
        """
        here = self.candidate.evaluation
        own = f"{decibel(here.psnr)}, SSIM {here.ssim:.4f}"
        rows = []
        if math.isnan(self.error):
            rows.append(("PSNR", f"{own} (one run)"))
        else:
            known = f"{decibel(self.psnr)} ± {Z95 * self.error:.2f} dB (95 %) from all runs"
            rows.append(("PSNR", f"{known}; its own run: {own}"))
        if self.confirmation is not None:
            rows.append(("confirmed", self.confirmation.words(self.proxy)))
        if self.untrained:
            rows.append(("gain", listed(self.gains())))
        if best := self.alternatives.get("best PSNR"):
            there, gap = best.evaluation, self.against(best)
            saved = [
                ratio(there.ops / here.ops, "OPs"),
                ratio(there.params / here.params, "Params"),
            ]
            words = decibel(here.psnr - there.psnr, sign=True) if gap is None else str(gap)
            words = f"{words}, {listed(saved)} (trial {best.number})"
        else:
            words = "it has the best PSNR of the front"
        rows.append(("against the best of the front", words))
        if self.full_gap is not None and here.design.binarize:
            unseen = "" if self.full_known else " (estimated)"
            words = f"{self.full_gap} at the same width and depth{unseen}"
            rows.append(("against full precision", words))
        rows += [
            ("OPs", _saved(count(here.ops), self.full.ops / here.ops)),
            ("Params", _saved(count(here.params), self.full.params / here.params)),
        ]
        if math.isfinite(here.latency):
            rows.append(("latency", milliseconds(here.latency)))
        if self.pick == "knee":
            rows.append(("statistically indistinguishable from", self._ties()))
        return rows

    def gains(self) -> list[str]:
        """``+0.80 dB over bicubic interpolation (24.96 dB)``, for each of ``untrained``."""
        return [
            f"{decibel(self.psnr - psnr, sign=True)} over {name} ({decibel(psnr)})"
            for name, psnr in self.untrained.items()
        ]

    def _ties(self) -> str:
        """The first of them, with the PSNR of each less that of the recommended design."""
        shown = []
        for tie in self.ties[:NAMED_TIES]:
            gap = self.against(tie)
            known = "" if gap is None else f" ({Gap(-gap.psnr, gap.error)})"
            shown.append(f"trial {tie.number}{known}")
        more = len(self.ties) - len(shown)
        return listed([*shown, f"{more} more"] if more else shown) or "no other candidate"

    def _repr_html_(self) -> str:
        rows = [("recommended", named(self.candidate)), *self.rows()]
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for label, value in rows
        )
        return f"<table>{cells}</table>"


def named(candidate: Candidate) -> str:
    """``trial 7 (body, BBCU, 64×32)``."""
    return f"trial {candidate.number} ({candidate.evaluation.design.label()})"


def _saved(cost: str, factor: float) -> str:
    return f"{cost}, {ratio(factor)} than in full precision" if factor > 1.005 else cost


def ratio(factor: float, what: str = "") -> str:
    """``3.2× fewer OPs``, ``1.5× more OPs`` or ``as many OPs`` for a cost divided by a factor."""
    words = "as many"
    if not 0.995 < factor < 1.005:
        words = f"{factor:.3g}× fewer" if factor > 1 else f"{1 / factor:.3g}× more"
    return f"{words} {what}".strip()


def _gap(estimates: Estimates, one: int, other: int) -> Gap:
    return Gap(
        float(estimates.psnr[one] - estimates.psnr[other]),
        0.0 if one == other else estimates.error(one, other),
    )


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
    full, known = _full_precision(chosen.evaluation, everything, get_task(whole.config.task))
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
        full_gap=_gap(beside, here, len(among)),
        full_known=known,
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
        gap=_gap(estimates, int(best), here),
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
