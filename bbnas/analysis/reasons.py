"""The explanation of a recommendation: sentences from the study's own figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from bbnas.analysis.findings import Finding, StudyFindings, choices_of
from bbnas.analysis.pareto import front
from bbnas.analysis.recommendation import Confirmation, Passed, Recommendation, named
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.study import Candidate, Study
from bbnas.tasks import Task, get_task
from bbnas.text import COSTS, count, decibel, listed, milliseconds, plural, share, signed


def reasons(study: Study, recommended: Recommendation, found: StudyFindings) -> list[str]:
    """Sentences: its place on the front, what looks better, its neighbours on the front, its parts
    and its other choices. ``found`` are the findings of the study.
    """
    chosen = recommended.candidate
    design, task = chosen.evaluation.design, get_task(study.config.task)
    return [
        place(study, recommended),
        *([] if recommended.passed is None else [passed_over(recommended.passed)]),
        *_runner_up(recommended),
        *_neighbours(chosen.evaluation, recommended.alternatives),
        *_parts(task, design, found),
        *_choices(task, design, found),
        *untested(task, design, found),
    ]


def place(study: Study, recommended: Recommendation) -> str:
    """Where it lies on the front, and so why it was picked."""
    chosen, points = recommended.candidate, front(study)
    on_front = any(c.number == chosen.number for c in points)
    if recommended.pick == "trial":
        where = "on the front" if on_front else "not on the front"
        return f"Trial {chosen.number} was picked by number; it is {where}."
    if recommended.pick == "best-psnr":
        return "It has the highest estimated PSNR."
    if len(points) == 1 and on_front:
        return "It is the only point of the front: it dominates all other candidates."
    spans = [_span([c.evaluation.psnr for c in points], "{:.2f}".format, decibel)]
    for name, cost in COSTS.items():
        if name in study.config.objectives:
            values = [float(getattr(c.evaluation, name)) for c in points]
            spans.append(_span(values, cost.amount, cost.words))
    return (
        f"It is the knee of the estimated front, which spans {listed(spans)}: from there, more "
        "PSNR costs most."
    )


def _span(values: list[float], low: Callable[[float], str], high: Callable[[float], str]) -> str:
    return f"{low(min(values))} to {high(max(values))}"


def passed_over(passed: Passed) -> str:
    """Why a design that looks better by its own run was not chosen."""
    gap, number = passed.gap, passed.candidate.number
    own = "has the same PSNR" if passed.own < 0.005 else f"is {decibel(passed.own)} higher"
    basis = "all runs and its confirmation" if passed.confirmed else "all runs"
    if gap.psnr < -0.005:
        verdict = f"{decibel(-gap.psnr)[:-3]} ± {gap.half:.2f} dB lower"
    else:
        verdict = f"{decibel(max(gap.psnr, 0.0))[:-3]} ± {gap.half:.2f} dB higher"
        verdict += ", which does not settle it" if gap.psnr < gap.half else ""
    words = f"Trial {number} costs no more and its own run {own}; over {basis} it is {verdict}"
    if not passed.confirmed:
        words += ", and it was not among the designs that were confirmed"
    return words + "."


def _runner_up(recommended: Recommendation) -> list[str]:
    rival = recommended.rival
    if rival is None:
        return []
    words = (
        f"is {decibel(rival.gap)} behind with costs included: {rival.errors:.1f} standard errors"
    )
    return [f"The runner-up, {named(rival.candidate)}, {words}."]


def _neighbours(here: Evaluation, alternatives: Mapping[str, Candidate]) -> list[str]:
    cheaper = alternatives.get("next cheaper")
    if cheaper is None:
        return []
    there = cheaper.evaluation
    saved = f"{count(here.ops - there.ops)} OPs ({share(1 - there.ops / here.ops)})"
    lost = f"{decibel(there.psnr - here.psnr, sign=True)} in its own run{_time(there, here)}"
    design = f"The next cheaper design of the front, trial {cheaper.number},"
    return [f"{design} saves another {saved} for {lost}."]


def _time(there: Evaluation, here: Evaluation) -> str:
    if not math.isfinite(there.latency + here.latency):
        return ""
    return f" ({milliseconds(there.latency)} there, {milliseconds(here.latency)} here)"


def _parts(task: Task, design: Design, found: StudyFindings) -> list[str]:
    from bbnas.cost import count as cost  # imports torch

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
        effect = found.part(part)
        known = "not estimated, too few designs" if effect is None else _known(effect)
        state = "saves" if design.binary(part) else "would save"
        texts.append(f"Binarizing the {part} {state} {saving}. Effect on PSNR: {known}.")
    return texts


def _known(effect: Finding) -> str:
    ends = f"[{signed(effect.low)}, {signed(effect.high)}]"
    return f"{decibel(effect.effect, sign=True)} {ends}, {effect.state} ({effect.basis})"


def _choices(task: Task, design: Design, found: StudyFindings) -> list[str]:
    """The settled effects of its other choices."""
    texts = []
    for axis, mine in choices_of(design, task).items():
        if axis in task.parts:
            continue
        known = [
            f"{f.choice} has {decibel(f.effect, sign=True)} against {f.reference} ({f.basis})"
            for f in found.settled
            if f.axis == axis and mine & {f.choice, f.reference}
        ]
        if known:
            texts.append(f"{axis.capitalize()}: {listed(known)}.")
    return texts


def untested(task: Task, design: Design, found: StudyFindings) -> list[str]:
    """A sentence on the choices of the design that were tried in too few designs to compare."""
    made = choices_of(design, task)
    unknown = [str(u) for u in found.untested if u.choice in made.get(u.axis, ())]
    if not unknown:
        return []
    return [f"Too few designs were tried to know what these of its choices do: {listed(unknown)}."]


def story(
    study: Study, recommended: Recommendation, found: StudyFindings, fidelity: str
) -> list[str]:
    """Three sentences: why this design, what speaks for another one, and how far to trust both.

    ``fidelity`` says how well the study's protocol ranks designs.
    """
    chosen, count = recommended.candidate, plural(len(study.candidates), "design")
    design, task = chosen.evaluation.design, get_task(study.config.task)
    why = {
        "knee": f"Of {count}, trial {chosen.number} is the knee of the front: beyond it, more "
        "PSNR costs most",
        "best-psnr": f"Of {count}, trial {chosen.number} has the highest estimated PSNR",
    }.get(recommended.pick, f"Trial {chosen.number} of {count} was picked by number")
    if again := recommended.confirmation:
        why += f"; {_decided(recommended, again)}"
    if recommended.passed is not None:
        other = passed_over(recommended.passed)
    elif recommended.ties:
        other = (
            f"{plural(len(recommended.ties), 'other candidate')} cannot be distinguished from it, "
            f"such as trial {recommended.ties[0].number}."
        )
    else:
        other = "No design that costs no more has a higher PSNR in its own run."
    trust = f"All PSNR is that of short training (protocol “{study.config.protocol.name}”), "
    return [f"{why}.", other, " ".join([f"{trust}{fidelity}.", *untested(task, design, found)])]


def _decided(recommended: Recommendation, again: Confirmation) -> str:
    text = again.words(recommended.proxy)
    costs = again.place > 1 and recommended.pick == "knee"
    return f"it has {text}{', and first with costs included' if costs else ''}"
