"""The explanation of a recommendation for the report: sentences from the study's own figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bbnas.analysis.effects import Fit, axis_choice, fit_effects
from bbnas.analysis.estimates import Z95
from bbnas.analysis.evidence import part_evidence
from bbnas.analysis.pareto import front
from bbnas.analysis.recommend import Recommendation, listed_ties, named
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.study import Candidate, Study
from bbnas.tasks import get_task
from bbnas.text import COSTS, count, decibel, interval, listed, milliseconds, plural, share


def reasons(study: Study, recommended: Recommendation) -> list[str]:
    """Sentences: its place on the front, the error of its PSNR, its neighbours on the front, its
    parts and its other choices.

    An effect on PSNR is only named where the study holds data for it, with its 95 % confidence
    interval.
    """
    fit = fit_effects(study)
    chosen = recommended.candidate
    return [
        _place(study, chosen, front(study), recommended.pick),
        _estimate(study, recommended),
        *_rivals(recommended),
        *_neighbours(chosen.evaluation, recommended.alternatives),
        *_parts(study, chosen.evaluation.design, fit),
        *_choices(chosen.evaluation.design, fit),
    ]


def _place(study: Study, chosen: Candidate, points: Sequence[Candidate], pick: str) -> str:
    on_front = any(c.number == chosen.number for c in points)
    if pick == "trial":
        place = "on the front" if on_front else "not on the front"
        return f"Trial {chosen.number} was picked by number; it is {place}."
    if len(points) == 1:
        return "It is the only point of the front: it dominates all other candidates."
    if pick == "best-psnr":
        return "It has the highest estimated PSNR."
    psnr = [c.evaluation.psnr for c in points]
    spans = [f"{min(psnr):.2f} to {max(psnr):.2f} dB"]
    for name, cost in COSTS.items():
        if name in study.config.objectives:
            values = [float(getattr(c.evaluation, name)) for c in points]
            spans.append(f"{cost.amount(min(values))} to {cost.words(max(values))}")
    floor = study.config.skip_psnr
    skip = "" if floor is None else f" ({get_task(study.config.task).skip} has {floor:.2f} dB)"
    which = "front" if on_front else "estimated front; in its own evaluation it is dominated"
    return (
        f"It is the knee of the {which}. The front has {len(points)} designs that span "
        f"{listed(spans)}{skip}. The knee is the design farthest above the chord between the "
        "extremes, with PSNR on one axis and the square root of the costs on the other."
    )


def _estimate(study: Study, recommended: Recommendation) -> str:
    here = recommended.candidate.evaluation
    if math.isnan(recommended.error):
        return f"Its own evaluation gave {decibel(here.psnr)}; no run is above the study's floor."
    runs = len(study.candidates) + len(study.references)
    text = (
        f"Its PSNR is estimated from all {runs} evaluations: {decibel(recommended.psnr)} "
        f"± {Z95 * recommended.error:.2f} (95 % confidence interval). Its own evaluation gave "
        f"{decibel(here.psnr)}."
    )
    again = [e for e in study.confirmations if e.design.key == here.design.key and e.feasible]
    if again:
        others = {e.design.key for e in study.confirmations} - {here.design.key}
        longest = max(again, key=lambda e: e.protocol.iterations).protocol
        text += (
            f" It was confirmed by longer training ({plural(len(again), 'seed')}, "
            f"{longest.iterations:,} iterations, patches of {longest.patch}²) beside "
            f"{plural(len(others), 'other candidate')} on the same batches."
        )
    return text


def _rivals(recommended: Recommendation) -> list[str]:
    texts = []
    if recommended.ties:
        ties = listed_ties(recommended.ties)
        texts.append(f"It is statistically indistinguishable from {ties}.")
    if rival := recommended.rival:
        texts.append(
            f"The runner-up, {named(rival.candidate)}, is {decibel(rival.gap)} behind with costs "
            f"included: {rival.errors:.1f} standard errors."
        )
    return texts


def _neighbours(here: Evaluation, alternatives: Mapping[str, Candidate]) -> list[str]:
    texts = []
    if best := alternatives.get("best PSNR"):
        there = best.evaluation
        texts.append(
            f"Compared with the best PSNR of the front (trial {best.number}, "
            f"{decibel(there.psnr)}) it loses {decibel(there.psnr - here.psnr)} and needs "
            f"{_times(there.ops, here.ops)} OPs and {_times(there.params, here.params)} "
            f"Params{_time(there, here)}."
        )
    if cheaper := alternatives.get("next cheaper"):
        there = cheaper.evaluation
        texts.append(
            f"The next cheaper design (trial {cheaper.number}) saves another "
            f"{count(here.ops - there.ops)} OPs ({share(1 - there.ops / here.ops)}) for "
            f"{decibel(there.psnr - here.psnr, sign=True)}{_time(there, here)}."
        )
    return texts


def _time(there: Evaluation, here: Evaluation) -> str:
    if not math.isfinite(there.latency + here.latency):
        return ""
    return f" ({milliseconds(there.latency)} there, {milliseconds(here.latency)} here)"


def _times(there: float, here: float) -> str:
    ratio = there / here
    if 0.995 < ratio < 1.005:
        return "as many"
    return f"{ratio:.3g}× fewer" if ratio > 1 else f"{1 / ratio:.3g}× more"


def _parts(study: Study, design: Design, fit: Fit) -> list[str]:
    from bbnas.cost import count as cost  # imports torch

    task = get_task(study.config.task)
    full = cost(design.replace(binarize=()), task)
    binary = cost(design.replace(binarize=task.parts), task)
    texts = []
    for part in task.parts:
        ops = full.parts[part].ops - binary.parts[part].ops
        params = full.parts[part].params - binary.parts[part].params
        saving = (
            f"{count(ops)} OPs ({share(ops / full.ops)} of the full-precision design) and "
            f"{count(params)} Params ({share(params / full.params)})"
        )
        evidence = part_evidence(study, part, fit)
        known = evidence.words() if evidence else "not estimated, too few designs"
        state = "saves" if design.binary(part) else "would save"
        texts.append(f"Binarizing the {part} {state} {saving}. Effect on PSNR: {known}.")
    return texts


def _choices(design: Design, fit: Fit) -> list[str]:
    """The effects of the fit on its other choices whose interval excludes 0."""
    texts = []
    for axis in dict.fromkeys(e.axis for e in fit.effects):
        mine = axis_choice(design, axis)
        known = [
            f"{e.choice} has {decibel(e.effect, sign=True)} against {e.reference} "
            f"({interval(e.low, e.high)})"
            for e in fit.effects
            if e.axis == axis and mine in (e.choice, e.reference) and not e.low <= 0 <= e.high
        ]
        if known:
            texts.append(f"{axis.capitalize()} {mine}: over all candidates, {listed(known)}.")
    return texts
