"""The evidence of a study for one choice: matched pairs of designs, or the fit over all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from bbnas.analysis.pareto import useful
from bbnas.analysis.regression import Fit
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.study import Study, StudyConfig
from bbnas.tasks import Part
from bbnas.text import plural

# Pairs below which their spread, and so an interval, is not estimated.
FEWEST = 3
# False discovery rate: the share of the significant findings that may be due to chance.
FDR = 0.05

Pair = tuple[Evaluation, Evaluation]
# Maps a canonical design to the canonical one to compare it with; None if there is none.
Twin = Callable[[Design], Design | None]


Source = Literal["matched pairs", "fit"]


class Evidence(NamedTuple):
    """The effect of a choice on PSNR (dB) with its 95 % confidence interval, and its source.

    ``p`` is the p-value of no effect. ``n`` is the number of matched pairs whose mean the effect
    is or, for an effect of the fit, of candidates with the choice. ``basis`` says both in words.
    """

    effect: float
    low: float
    high: float
    p: float
    source: Source
    n: int
    basis: str


@dataclass(frozen=True)
class MatchedPool:
    """Everything that was evaluated under a study's protocol, by its canonical design.

    ``useful`` holds the evaluations whose PSNR is above the study's floor, at the end or at the
    rung where they were stopped. Leaving stopped designs out would bias their choices upwards.
    """

    designs: list[Design]
    useful: dict[Design, Evaluation]

    @classmethod
    def of(cls, study: Study) -> MatchedPool:
        keyed = [(e.design.canonical(), e) for e in study.evaluations()]
        return cls(
            [design for design, _ in keyed],
            {d: e for d, e in keyed if useful(study.config, e) or _ahead(study.config, e)},
        )

    def compared(self, twin: Twin) -> tuple[list[Pair], int]:
        """(twin, own) where both are useful and were scored after equally many iterations, and
        how many designs are not useful while their twins are.
        """
        pairs: list[Pair] = []
        collapsed = 0
        for mine in self.designs:
            its = twin(mine)
            if its is None or its == mine or its not in self.useful:
                continue
            if mine not in self.useful:
                collapsed += 1
            elif math.isfinite(gap(*(pair := (self.useful[its], self.useful[mine])))):
                pairs.append(pair)
        return pairs, collapsed


def _ahead(config: StudyConfig, evaluation: Evaluation) -> bool:
    """Whether it was stopped at a PSNR above the floor."""
    return evaluation.status == "stopped" and evaluation.rungs[-1][1] > config.floor


def gap(twin: Evaluation, own: Evaluation) -> float:
    """PSNR of ``own`` minus that of ``twin`` (dB), at the end or, where one of them was stopped,
    at the last rung that both reached; NaN if there is none.
    """
    if twin.feasible and own.feasible:
        return own.psnr - twin.psnr
    there = dict(twin.rungs)
    shared = [(step, psnr - there[step]) for step, psnr in own.rungs if step in there]
    return shared[-1][1] if shared else math.nan


def without(part: Part) -> Twin:
    """Maps a design whose ``part`` is 1-bit to the same design with the part in full precision."""

    def twin(design: Design) -> Design | None:
        if not design.binary(part):
            return None
        left = tuple(p for p in design.binarize if p is not part)
        return design.model_copy(update={"binarize": left}).canonical()

    return twin


def of_pairs(pairs: Sequence[Pair]) -> Evidence | None:
    """The mean difference of at least FEWEST pairs, with Student's t interval."""
    from scipy.special import stdtr, stdtrit  # scipy.stats takes a second to import

    if len(pairs) < FEWEST:
        return None
    gaps = np.array([gap(twin, own) for twin, own in pairs])
    freedom, mean = len(gaps) - 1, float(gaps.mean())
    error = float(gaps.std(ddof=1) / np.sqrt(len(gaps)))
    half = float(stdtrit(freedom, 0.975)) * error
    p = 2 * float(stdtr(freedom, -abs(mean) / error)) if error > 0 else float(mean == 0)
    basis = plural(len(pairs), "matched pair")
    if early := sum(not (twin.feasible and own.feasible) for twin, own in pairs):
        basis += f", {early} of them at a rung"
    return Evidence(mean, mean - half, mean + half, p, "matched pairs", len(pairs), basis)


def of_fit(fit: Fit, axis: str, choice: str, reference: str) -> Evidence | None:
    """The fit's effect of ``choice`` compared with ``reference``, in either direction."""
    for e in fit.effects:
        forth, back = (e.choice, e.reference), (e.reference, e.choice)
        if e.axis != axis or (choice, reference) not in (forth, back):
            continue
        turned = (choice, reference) == back
        effect, low, high = (-e.effect, -e.high, -e.low) if turned else (e.effect, e.low, e.high)
        n = e.n_reference if turned else e.n
        basis = f"fit over {plural(fit.candidates, 'candidate')}, {n} with the choice"
        return Evidence(effect, low, high, e.p, "fit", n, basis)
    return None


def discoveries(p: Sequence[float]) -> list[bool]:
    """Which of several p-values are significant at the false discovery rate FDR (Benjamini &
    Hochberg 1995).
    """
    from scipy.stats import false_discovery_control

    if not p:
        return []
    return [bool(adjusted <= FDR) for adjusted in false_discovery_control(p)]
