"""The effect of each choice on PSNR, estimated from a study.

Two estimators exist, and this module decides between them. Matched pairs answer (as in the
paper's ablations): the mean difference of at least three pairs of designs that differ in one
choice only, with Student's t interval (:mod:`bbnas.analysis.evidence`). The regression over all
candidates (least squares with HC3 intervals, :mod:`bbnas.analysis.effects`) answers where pairs
are too few; everywhere else it is a check, in ``Finding.check``, and is labelled CHECK where it is
shown. A finding is significant at a false discovery rate of 5 % over all comparisons of the study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bbnas.analysis.effects import CHOICES, Fit, fit_effects, matters, searches_methods
from bbnas.analysis.evidence import (
    Evidence,
    MatchedPool,
    Twin,
    discoveries,
    of_fit,
    of_pairs,
    without,
)
from bbnas.design import TITLES, UNIT_FIELDS, Design
from bbnas.study import Study
from bbnas.tasks import Part, Task, get_task
from bbnas.text import listed, plural, share, signed

# The label of the regression wherever it stands beside the matched pairs.
CHECK = "check: regression over all candidates (matched pairs decide)"


@dataclass(frozen=True)
class Finding:
    """The effect of ``choice`` on PSNR compared with ``reference``, all else equal.

    ``evidence`` answers; ``check`` is the regression's estimate where matched pairs answer.
    ``significant``: at the false discovery rate over all comparisons of the study
    (:func:`bbnas.analysis.evidence.discoveries`). ``collapsed`` counts designs with the choice
    whose PSNR is at or below the floor while that of their twins with the reference is above;
    the mean leaves them out.
    """

    axis: str
    choice: str
    reference: str
    evidence: Evidence
    check: Evidence | None
    collapsed: int
    significant: bool
    words: str


@dataclass(frozen=True)
class StudyFindings:
    """``significant`` and ``undecided`` findings in the order of the network and its unit;
    ``untested`` names choices with too few designs to compare.
    """

    significant: tuple[Finding, ...]
    undecided: tuple[Finding, ...]
    untested: tuple[str, ...]


@dataclass(frozen=True)
class _Comparison:
    axis: str
    choice: str
    reference: str
    evidence: Evidence
    check: Evidence | None
    collapsed: int
    prefix: str
    suffix: str = ""


def findings(study: Study) -> StudyFindings:
    """All comparisons of one choice with another that the study holds data for.

    The reference is fixed in advance: the default of the choice (k* for k), or the value tried
    most often where the default was not tried.
    """
    fit, pool = fit_effects(study), MatchedPool.of(study)
    compared: list[_Comparison] = []
    untested: list[str] = []
    for part in get_task(study.config.task).parts:
        compared += _part(pool, get_task(study.config.task), part, fit, untested)
    if searches_methods(study):
        compared += _field(pool, "method", "method", TITLES.__getitem__, fit, untested)
    for field, name, choice in CHOICES:
        if not (searches_methods(study) and field in UNIT_FIELDS):
            compared += _field(pool, field, name, choice, fit, untested)
    significant = discoveries([c.evidence.p for c in compared])
    made = [_finding(c, s) for c, s in zip(compared, significant, strict=True)]
    return StudyFindings(
        significant=tuple(f for f in made if f.significant),
        undecided=tuple(f for f in made if not f.significant),
        untested=tuple(untested),
    )


def _finding(c: _Comparison, significant: bool) -> Finding:
    e = c.evidence
    how = f"over {e.source}" if e.pairs else f"by the {e.source}"
    words = (
        f"{c.prefix}: {signed(e.effect)} dB [{signed(e.low)}, {signed(e.high)}] {how}{c.suffix}"
    )
    if c.collapsed:
        words += f"; {plural(c.collapsed, 'more design')} collapsed with it and not without"
    return Finding(c.axis, c.choice, c.reference, e, c.check, c.collapsed, significant, words)


def _part(
    pool: MatchedPool, task: Task, part: Part, fit: Fit, untested: list[str]
) -> list[_Comparison]:
    from bbnas.cost import count

    if len({design.binary(part) for design in pool.designs.values()}) < 2:
        return []
    pairs = of_pairs(pool.pairs(without(part)))
    fitted = of_fit(fit, str(part), "1-bit", "full precision")
    evidence = pairs or fitted
    if evidence is None:
        untested.append(f"{part} 1-bit")
        return []
    largest = max(pool.designs.values(), key=lambda d: (d.width, d.depth))
    full = count(largest.replace(binarize=()), task)
    binary = count(largest.replace(binarize=(part,)), task)
    saved = (
        f", and saves {share((full.ops - binary.ops) / full.ops)} of the OPs and "
        f"{share((full.params - binary.params) / full.params)} of the Params of full precision"
    )
    collapsed = pool.collapsed(without(part))
    return [
        _Comparison(
            str(part),
            "1-bit",
            "full precision",
            evidence,
            fitted if pairs else None,
            collapsed,
            f"Binarizing the {part}",
            saved,
        )
    ]


def _field(
    pool: MatchedPool,
    field: str,
    name: str,
    choice: Callable[[Any], str],
    fit: Fit,
    untested: list[str],
) -> list[_Comparison]:
    active = [d for d in pool.designs.values() if matters(field, d)]
    if field != "method":  # a baseline of another method makes no choice on this axis
        active = [d for d in active if d.method == "bbcu"]
    values = sorted(
        {getattr(d, field) for d in active}, key=lambda value: (value is not None, value)
    )
    if len(values) < 2:
        return []
    default = UNIT_FIELDS.get(field, Design.model_fields[field].default)
    if field == "k_ratio":
        default = 1.0
    made = Counter(getattr(d, field) for d in active)
    reference = default if default in values else max(values, key=lambda value: made[value])
    compared = []
    for value in values:
        if value == reference:
            continue
        twin = _with(field, reference, value)
        named = _named(field, value, choice), _named(field, reference, choice)
        pairs, fitted = of_pairs(pool.pairs(twin)), None
        if field != "k_ratio" or value is None:  # the fit has ranges of k, not single values
            in_fit = choice(value), choice(reference)
            fitted = of_fit(fit, name, *in_fit)
            named = named if pairs else in_fit
        evidence = pairs or fitted
        if evidence is None:
            untested.append(f"{name} {named[0]}")
            continue
        prefix = f"{name.capitalize() if name[0] != 'k' else name} {named[0]} against {named[1]}"
        check = fitted if pairs else None
        collapsed = pool.collapsed(twin)
        compared.append(_Comparison(name, *named, evidence, check, collapsed, prefix))
    return compared


def _named(field: str, value: Any, choice: Callable[[Any], str]) -> str:
    if field == "k_ratio":
        return "off" if value is None else f"{value:g} k*"
    return choice(value)


def _with(field: str, reference: Any, value: Any) -> Twin:
    """Maps a design whose ``field`` is ``value`` to the same design with ``reference``."""

    def twin(design: Design) -> Design | None:
        if getattr(design, field) != value or not matters(field, design):
            return None
        other = design.replace(**{field: reference}).canonical()
        # Where the reference makes the choice idle, the twin would differ in more than the choice.
        return other if getattr(other, field) == reference else None

    return twin


def summary(found: StudyFindings) -> list[str]:
    """Lines for people: a line for each significant finding, then one line for the others."""
    lines = [f.words for f in found.significant]
    if found.undecided:
        names = [f"{f.axis} {f.choice} against {f.reference}" for f in found.undecided]
        lines.append(f"No significant difference: {listed(names)}")
    if found.untested:
        lines.append(f"Too few designs to compare: {listed(list(found.untested))}")
    return lines
