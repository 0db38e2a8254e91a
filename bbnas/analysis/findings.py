"""What a study says of each choice, in dB and in words; what it cannot say, it does not.

The paper says such things by ablation: two networks that are equal but for one choice. A study
holds many of them, since refinement tries the neighbours of what it recommends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bbnas.analysis.effects import CHOICES, Fit, fit_effects, matters, searches_methods
from bbnas.analysis.evidence import Evidence, Pool, Twin, discoveries, of_fit, of_pairs, without
from bbnas.design import TITLES, UNIT_FIELDS, Design
from bbnas.study import Study
from bbnas.tasks import Part, Task, get_task
from bbnas.text import listed, plural, share, signed


@dataclass(frozen=True)
class Finding:
    """What ``choice`` does to PSNR against ``reference``, all else equal.

    ``told`` says whether the data carries it: whether, with all other comparisons of the study in
    mind, it is hardly chance (:func:`bbnas.analysis.evidence.discoveries`). ``collapsed`` counts
    designs with the choice that are no better than the network's global skip while their twins
    with the reference are; they are not in the mean.
    """

    axis: str
    choice: str
    reference: str
    evidence: Evidence
    collapsed: int
    told: bool
    words: str


@dataclass(frozen=True)
class Findings:
    """``told`` and ``untold`` findings in the order of the network and its unit; ``silent`` names
    the choices that were tried, but too seldom to compare.
    """

    told: tuple[Finding, ...]
    untold: tuple[Finding, ...]
    silent: tuple[str, ...]


@dataclass(frozen=True)
class _Comparison:
    axis: str
    choice: str
    reference: str
    evidence: Evidence
    collapsed: int
    prefix: str
    suffix: str = ""


def findings(study: Study) -> Findings:
    """All comparisons of one choice with another that the study holds data for.

    Three or more matched pairs (designs equal but for the choice) decide, else the fit of all
    candidates. What is compared with is no result: the default of the choice, k* for k, or the
    value tried most often where that was not tried.
    """
    fit, pool = fit_effects(study), Pool.of(study)
    compared: list[_Comparison] = []
    silent: list[str] = []
    for part in get_task(study.config.task).parts:
        compared += _part(pool, get_task(study.config.task), part, fit, silent)
    if searches_methods(study):
        compared += _field(pool, "method", "method", TITLES.__getitem__, fit, silent)
    for field, name, choice in CHOICES:
        if not (searches_methods(study) and field in UNIT_FIELDS):
            compared += _field(pool, field, name, choice, fit, silent)
    carried = discoveries([c.evidence.p for c in compared])
    made = [_finding(c, told) for c, told in zip(compared, carried, strict=True)]
    return Findings(
        told=tuple(f for f in made if f.told),
        untold=tuple(f for f in made if not f.told),
        silent=tuple(silent),
    )


def _finding(c: _Comparison, told: bool) -> Finding:
    e = c.evidence
    how = f"over {e.source}" if e.pairs else f"by the {e.source}"
    words = (
        f"{c.prefix}: {signed(e.effect)} dB [{signed(e.low)}, {signed(e.high)}] {how}{c.suffix}"
    )
    if c.collapsed:
        words += (
            f"; {plural(c.collapsed, 'more design')} with it collapsed where the other did not"
        )
    return Finding(c.axis, c.choice, c.reference, e, c.collapsed, told, words)


def _part(pool: Pool, task: Task, part: Part, fit: Fit, silent: list[str]) -> list[_Comparison]:
    from bbnas.cost import count

    if len({design.binary(part) for design in pool.designs.values()}) < 2:
        return []
    evidence = of_pairs(pool.pairs(without(part)))
    evidence = evidence or of_fit(fit, str(part), "1-bit", "full precision")
    if evidence is None:
        silent.append(f"{part} 1-bit")
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
            collapsed,
            f"Binarizing the {part}",
            saved,
        )
    ]


def _field(
    pool: Pool,
    field: str,
    name: str,
    choice: Callable[[Any], str],
    fit: Fit,
    silent: list[str],
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
        evidence = of_pairs(pool.pairs(twin))
        # The fit knows ranges of k, not single values.
        if evidence is None and (field != "k_ratio" or value is None):
            named = choice(value), choice(reference)
            evidence = of_fit(fit, name, *named)
        if evidence is None:
            silent.append(f"{name} {named[0]}")
            continue
        prefix = f"{name.capitalize() if name[0] != 'k' else name} {named[0]} against {named[1]}"
        compared.append(_Comparison(name, *named, evidence, pool.collapsed(twin), prefix))
    return compared


def _named(field: str, value: Any, choice: Callable[[Any], str]) -> str:
    if field == "k_ratio":
        return "off" if value is None else f"{value:g} k*"
    return choice(value)


def _with(field: str, reference: Any, value: Any) -> Twin:
    """The twin of a design whose ``field`` is ``value``: the same with ``reference``."""

    def twin(design: Design) -> Design | None:
        if getattr(design, field) != value or not matters(field, design):
            return None
        other = design.replace(**{field: reference}).canonical()
        # Where the reference makes the choice idle, more than the choice would differ.
        return other if getattr(other, field) == reference else None

    return twin


def summary(found: Findings) -> list[str]:
    """Lines for people: what is told, then in one line each what is not."""
    lines = [f.words for f in found.told]
    if found.untold:
        names = [f"{f.axis} {f.choice} against {f.reference}" for f in found.untold]
        lines.append(f"Not settled by this study: {listed(names)}")
    if found.silent:
        lines.append(f"Too few designs to compare: {listed(list(found.silent))}")
    return lines
