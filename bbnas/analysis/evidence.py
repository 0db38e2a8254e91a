"""What a study knows of one choice: designs that are equal but for it, or the fit of all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bbnas.analysis.effects import Fit
from bbnas.analysis.pareto import useful
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.study import Study, StudyConfig
from bbnas.tasks import Part
from bbnas.text import decibel, interval, plural

# Fewer pairs than this tell nothing of their spread.
FEWEST = 3
# What share of the findings that are told may be chance.
CHANCE = 0.05

Pair = tuple[Evaluation, Evaluation]
# Names the design to compare a canonical one with, None if it has none.
Twin = Callable[[Design], Design | None]


class Evidence(NamedTuple):
    """What a choice does to PSNR (dB) with its 95 % interval, and where that is known from.

    ``p`` is the probability of an effect as far from 0 by chance alone, ``pairs`` how many
    matched pairs it is the mean of: 0 if it is from the fit.
    """

    effect: float
    low: float
    high: float
    p: float
    pairs: int
    source: str

    def words(self) -> str:
        return (
            f"{decibel(self.effect, sign=True)} "
            f"(95 % interval {interval(self.low, self.high)}; {self.source})"
        )


@dataclass(frozen=True)
class Pool:
    """Everything that was evaluated under a study's protocol, by the key of its design: the
    canonical designs, and the evaluations of those that beat the network's global skip, be it at
    the rung where they were stopped. Left out, the losers of early stopping would flatter the
    choices that they made.
    """

    designs: dict[str, Design]
    useful: dict[str, Evaluation]

    @classmethod
    def of(cls, study: Study) -> Pool:
        keyed = [(e.design.key, e) for e in study.evaluations()]
        return cls(
            {key: e.design for key, e in keyed},
            {key: e for key, e in keyed if useful(study.config, e) or _ahead(study.config, e)},
        )

    def twins(self, twin: Twin) -> Iterator[tuple[str, str]]:
        """(key of the twin, key of the design) of what was evaluated both ways."""
        for key, design in self.designs.items():
            other = twin(design)
            if other is not None and other != design and (its := other.key) in self.designs:
                yield its, key

    def pairs(self, twin: Twin) -> list[Pair]:
        """(twin, own) where both are useful and were scored after as many iterations."""
        keys = [k for k in self.twins(twin) if self.useful.keys() >= set(k)]
        found = [(self.useful[its], self.useful[mine]) for its, mine in keys]
        return [pair for pair in found if math.isfinite(gap(*pair))]

    def collapsed(self, twin: Twin) -> int:
        """How many designs are not useful while their twins are."""
        return sum(
            its in self.useful and mine not in self.useful for its, mine in self.twins(twin)
        )


def _ahead(config: StudyConfig, evaluation: Evaluation) -> bool:
    """Whether it was stopped when it was better than the network's global skip."""
    return evaluation.status == "stopped" and evaluation.rungs[-1][1] > config.floor


def gap(twin: Evaluation, own: Evaluation) -> float:
    """By how much (dB) ``own`` is ahead: at the end or, where one of them was stopped, at the last
    rung that both reached; NaN if there is none.
    """
    if twin.feasible and own.feasible:
        return own.psnr - twin.psnr
    there = dict(twin.rungs)
    shared = [(step, psnr - there[step]) for step, psnr in own.rungs if step in there]
    return shared[-1][1] if shared else math.nan


def without(part: Part) -> Twin:
    """The twin of a design whose ``part`` is 1-bit: the same with it in full precision."""

    def twin(design: Design) -> Design | None:
        if not design.binary(part):
            return None
        return design.replace(binarize=[p for p in design.binarize if p is not part])

    return twin


def of_pairs(pairs: Sequence[Pair]) -> Evidence | None:
    """The mean difference of three pairs or more, by Student's t."""
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

    if len(pairs) < FEWEST:
        return None
    gaps = np.array([gap(twin, own) for twin, own in pairs])
    freedom, mean = len(gaps) - 1, float(gaps.mean())
    error = float(gaps.std(ddof=1) / np.sqrt(len(gaps)))
    half = float(stdtrit(freedom, 0.975)) * error
    p = 2 * float(stdtr(freedom, -abs(mean) / error)) if error > 0 else float(mean == 0)
    source = plural(len(pairs), "matched pair")
    if early := sum(not (twin.feasible and own.feasible) for twin, own in pairs):
        source += f", {early} of them at a rung"
    return Evidence(mean, mean - half, mean + half, p, len(pairs), source)


def of_fit(fit: Fit, axis: str, choice: str, reference: str) -> Evidence | None:
    """The fit's effect of ``choice`` on ``axis`` against ``reference``, where it knows it either
    way round.
    """
    source = f"fit over {plural(fit.candidates, 'candidate')}"
    for e in fit.effects:
        if (e.axis, e.choice, e.reference) == (axis, choice, reference):
            return Evidence(e.effect, e.low, e.high, e.p, 0, source)
        if (e.axis, e.choice, e.reference) == (axis, reference, choice):
            return Evidence(-e.effect, -e.high, -e.low, e.p, 0, source)
    return None


def part_evidence(study: Study, part: Part, fit: Fit) -> Evidence | None:
    """Three matched pairs or more, or the fit of all candidates: the narrower interval."""
    fitted = fit.part(part)
    found = [
        of_pairs(Pool.of(study).pairs(without(part))),
        of_fit(fit, fitted.axis, fitted.choice, fitted.reference) if fitted else None,
    ]
    return min(
        (evidence for evidence in found if evidence is not None),
        key=lambda evidence: evidence.high - evidence.low,
        default=None,
    )


def discoveries(p: Sequence[float]) -> list[bool]:
    """Which of several findings are told, so that of those that are a share of CHANCE at most is
    expected to be chance (Benjamini & Hochberg 1995).
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    below = [k for k, i in enumerate(order, start=1) if p[i] <= CHANCE * k / len(p)]
    told = set(order[: max(below, default=0)])
    return [i in told for i in range(len(p))]
