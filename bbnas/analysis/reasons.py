"""Why a candidate is recommended: sentences made from the study's own figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bbnas.analysis.effects import Fit, axis_choice, fit_effects
from bbnas.analysis.evidence import part_evidence
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.study import Candidate, Study
from bbnas.tasks import get_task
from bbnas.text import COSTS, count, decibel, interval, listed, milliseconds, plural, share

if TYPE_CHECKING:
    from bbnas.analysis.recommend import Recommendation

# So many designs that are level with it are named.
TIES = 3


def reasons(study: Study, recommended: Recommendation, found: Sequence[Candidate]) -> list[str]:
    """Sentences: its place on the front ``found``, how sure that is, its neighbours, its parts
    and its other choices.

    A PSNR cost is only named where the study holds data for it, with its 95 % interval.
    """
    fit = fit_effects(study)
    chosen = recommended.candidate
    return [
        _place(study, chosen, found, recommended.pick),
        _trained(study, recommended),
        *_rivals(recommended),
        *_neighbours(chosen.evaluation, recommended.alternatives),
        *_parts(study, chosen.evaluation.design, fit),
        *_choices(chosen.evaluation.design, fit),
    ]


def _place(study: Study, chosen: Candidate, found: Sequence[Candidate], pick: str) -> str:
    if pick == "trial":
        if any(c.number == chosen.number for c in found):
            return f"Trial {chosen.number}, picked by hand, is on the front."
        return f"Trial {chosen.number} was picked by hand; it is not on the front."
    if len(found) == 1:
        return "It is the only point of the front: no other candidate beats it in any objective."
    if pick == "best-psnr":
        return "It has the highest PSNR, as all runs of the study together tell it."
    psnr = [c.evaluation.psnr for c in found]
    spans = [f"{min(psnr):.2f} to {max(psnr):.2f} dB"]
    for name, cost in COSTS.items():
        if name in study.config.objectives:
            values = [float(getattr(c.evaluation, name)) for c in found]
            spans.append(f"{cost.amount(min(values))} to {cost.words(max(values))}")
    floor = study.config.skip_psnr
    above = "" if floor is None else f", and {get_task(study.config.task).skip} has {floor:.2f} dB"
    if all(c.number != chosen.number for c in found):
        lead = (
            "It is the knee of the front that all runs together tell, if not of their own figures"
        )
    else:
        lead = "It is the knee of the front"
    return (
        f"{lead}: of {len(found)} designs that span {listed(spans)}{above}, "
        "the knee lies farthest above the line between the extremes. Costs count by their square "
        "roots, as the width of a full-precision network that costs as much."
    )


def _trained(study: Study, recommended: Recommendation) -> str:
    here = recommended.candidate.evaluation
    runs = len(study.candidates) + len(study.references)
    text = (
        f"All {runs} runs together put it at {decibel(recommended.psnr)} "
        f"± {1.96 * recommended.error:.2f}; its own run had {decibel(here.psnr)}."
    )
    again = [e for e in study.confirmations if e.design.key == here.design.key and e.feasible]
    if again:
        others = {e.design.key for e in study.confirmations} - {here.design.key}
        longest = max(again, key=lambda e: e.protocol.iterations).protocol
        text += (
            f" It was trained again with {plural(len(again), 'seed')}, {longest.iterations:,} "
            f"iterations and patches of {longest.patch}², beside "
            f"{plural(len(others), 'other candidate')} on the same batches."
        )
    return text


def _rivals(recommended: Recommendation) -> list[str]:
    texts = []
    if recommended.ties:
        shown = [_named(c) for c in recommended.ties[:TIES]]
        more = len(recommended.ties) - len(shown)
        named = listed([*shown, f"{more} more"] if more else shown)
        texts.append(f"The runs do not tell it from {named}.")
    if rival := recommended.rival:
        texts.append(
            f"It is ahead of {_named(rival.candidate)} by {decibel(rival.gap)}, costs included: "
            f"{rival.errors:.1f} standard errors."
        )
    return texts


def _named(candidate: Candidate) -> str:
    return f"trial {candidate.number} ({candidate.evaluation.design.label()})"


def _neighbours(here: Evaluation, alternatives: Mapping[str, Candidate]) -> list[str]:
    texts = []
    if best := alternatives.get("best PSNR"):
        there = best.evaluation
        texts.append(
            f"Against the best PSNR of the front (trial {best.number}, {decibel(there.psnr)}) it "
            f"gives up {decibel(there.psnr - here.psnr)} and needs {_times(there.ops, here.ops)} "
            f"OPs and {_times(there.params, here.params)} Params{_time(there, here)}."
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
    from bbnas.cost import count as cost

    task = get_task(study.config.task)
    full = cost(design.replace(binarize=()), task)
    binary = cost(design.replace(binarize=task.parts), task)
    texts = []
    for part in task.parts:
        ops = full.parts[part].ops - binary.parts[part].ops
        params = full.parts[part].params - binary.parts[part].params
        saving = (
            f"{count(ops)} OPs ({share(ops / full.ops)} of the full-precision design's) and "
            f"{count(params)} Params ({share(params / full.params)})"
        )
        evidence = part_evidence(study, part, fit)
        known = evidence.words() if evidence else "a PSNR effect that this study cannot tell"
        if design.binary(part):
            texts.append(f"{part.capitalize()} 1-bit saves {saving} for {known}.")
        else:
            texts.append(
                f"{part.capitalize()} stays in full precision: 1-bit it would save {saving} for "
                f"{known}."
            )
    return texts


def _choices(design: Design, fit: Fit) -> list[str]:
    """What the fit says of its other choices, for and against, where an interval excludes 0."""
    texts = []
    for axis in dict.fromkeys(e.axis for e in fit.effects):
        mine = axis_choice(design, axis)
        known = [
            f"{e.choice} is worth {decibel(e.effect, sign=True)} against {e.reference} "
            f"({interval(e.low, e.high)})"
            for e in fit.effects
            if e.axis == axis and mine in (e.choice, e.reference) and not e.low <= 0 <= e.high
        ]
        if known:
            texts.append(f"{axis.capitalize()} {mine}: over the candidates, {listed(known)}.")
    return texts
