"""The effect of each choice on PSNR: the one estimate that everything shown uses.

Matched pairs answer, as in the paper's ablations: the mean difference of at least three pairs of
designs that differ in one choice only, with Student's t interval (:mod:`bbnas.analysis.evidence`).
Where pairs are fewer, a regression over all candidates answers
(:mod:`bbnas.analysis.regression`). An effect is settled if it is significant at a false discovery
rate of 5 % over all comparisons of the study.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from bbnas.analysis.evidence import (
    Evidence,
    MatchedPool,
    Source,
    Twin,
    discoveries,
    of_fit,
    of_pairs,
    without,
)
from bbnas.analysis.regression import Fit, axis_choice, fit_effects
from bbnas.design import CHOICES, TITLES, UNIT_FIELDS, Design, matters
from bbnas.study import Study
from bbnas.tasks import Part, Task, get_task
from bbnas.text import listed, plural, share, signed

if TYPE_CHECKING:
    import pandas as pd

BINARY, FULL = "1-bit", "full precision"
SETTLED, OPEN = "settled", "not settled yet"


@dataclass(frozen=True)
class Finding:
    """The effect of ``choice`` on PSNR (dB) compared with ``reference``, all else equal.

    ``low`` and ``high`` are its 95 % confidence interval, ``p`` the p-value of no effect.
    ``source`` and ``n`` are those of :class:`bbnas.analysis.evidence.Evidence`; ``basis`` says
    both in words. ``settled``: significant at the false discovery rate over all comparisons of
    the study. ``collapsed`` counts designs with the choice whose PSNR is at or below the floor
    while that of their twins with the reference is above; the mean leaves them out. ``words`` is
    the finding as a sentence.
    """

    axis: str
    choice: str
    reference: str
    effect: float
    low: float
    high: float
    p: float
    settled: bool
    source: Source
    n: int
    basis: str
    collapsed: int
    words: str

    @property
    def state(self) -> str:
        return SETTLED if self.settled else OPEN


class Untested(NamedTuple):
    """A choice that was tried in too few designs to be compared."""

    axis: str
    choice: str

    def __str__(self) -> str:
        return f"{self.axis} {self.choice}"


@dataclass(frozen=True)
class StudyFindings:
    """``effects`` in the order of the network and its unit, and the choices without one."""

    effects: tuple[Finding, ...]
    untested: tuple[Untested, ...]

    @property
    def too_few(self) -> str:
        """``Too few designs to compare: activation: relu and prelu; width: 32.``, by their axes;
        empty where every choice has an effect.
        """
        by_axis: dict[str, list[str]] = {}
        for axis, choice in self.untested:
            by_axis.setdefault(axis, []).append(choice)
        axes = "; ".join(f"{axis}: {listed(choices)}" for axis, choices in by_axis.items())
        return f"Too few designs to compare: {axes}." if axes else ""

    @property
    def settled(self) -> list[Finding]:
        return [f for f in self.effects if f.settled]

    @property
    def open(self) -> list[Finding]:
        return [f for f in self.effects if not f.settled]

    def part(self, part: Part) -> Finding | None:
        """The effect of binarizing ``part``, if it is known."""
        return next((f for f in self.effects if f.axis == part), None)


def effects(study: Study) -> pd.DataFrame:
    """The effects of :func:`findings` as a table, one row a choice."""
    import pandas as pd

    columns = [name for name in Finding.__dataclass_fields__ if name not in ("basis", "words")]
    return pd.DataFrame([asdict(f) for f in findings(study).effects], columns=columns)


def choices_of(design: Design, task: Task) -> dict[str, set[str]]:
    """The names of what ``design`` chooses on each axis of the findings.

    k has two: its value, and the range of values that the regression compares.
    """
    made = {str(part): {BINARY if design.binary(part) else FULL} for part in task.parts}
    if title := axis_choice(design, "method"):
        made["method"] = {title}
    for name_of, name, choice in CHOICES:
        if matters(name_of, design):
            value = getattr(design, name_of)
            made[name] = {_named(name_of, value, choice), choice(value)}
    return made


@dataclass(frozen=True)
class _Comparison:
    axis: str
    choice: str
    reference: str
    evidence: Evidence
    collapsed: int
    prefix: str
    suffix: str = ""


@dataclass
class _Survey:
    """What the comparisons are made from, and the choices that could not be compared so far."""

    pool: MatchedPool
    fit: Fit
    untested: list[Untested] = field(default_factory=list)


def findings(study: Study) -> StudyFindings:
    """All comparisons of one choice with another that the study holds data for.

    The reference is fixed in advance: the default of the choice (k* for k), or the value tried
    most often where the default was not tried.
    """
    task, survey = get_task(study.config.task), _Survey(MatchedPool.of(study), fit_effects(study))
    compared: list[_Comparison] = []
    for part in task.parts:
        compared += _part(survey, task, part)
    if study.searches_methods:
        compared += _field(survey, "method", "method", TITLES.__getitem__)
    for name_of, name, choice in CHOICES:
        if not (study.searches_methods and name_of in UNIT_FIELDS):
            compared += _field(survey, name_of, name, choice)
    settled = discoveries([c.evidence.p for c in compared])
    made = [_finding(c, s) for c, s in zip(compared, settled, strict=True)]
    return StudyFindings(tuple(made), tuple(survey.untested))


def _finding(c: _Comparison, settled: bool) -> Finding:
    e = c.evidence
    how = f"over {e.basis}" if e.source == "matched pairs" else f"by the {e.basis}"
    words = (
        f"{c.prefix}: {signed(e.effect)} dB [{signed(e.low)}, {signed(e.high)}] {how}{c.suffix}"
    )
    if c.collapsed:
        words += f"; {plural(c.collapsed, 'more design')} collapsed with it and not without"
    return Finding(
        axis=c.axis,
        choice=c.choice,
        reference=c.reference,
        effect=e.effect,
        low=e.low,
        high=e.high,
        p=e.p,
        settled=settled,
        source=e.source,
        n=e.n,
        basis=e.basis,
        collapsed=c.collapsed,
        words=words,
    )


def _part(survey: _Survey, task: Task, part: Part) -> list[_Comparison]:
    from bbnas.cost import ops_and_params

    pool = survey.pool
    if len({design.binary(part) for design in pool.designs}) < 2:
        return []
    pairs, collapsed = pool.compared(without(part))
    evidence = of_pairs(pairs) or of_fit(survey.fit, str(part), BINARY, FULL)
    if evidence is None:
        survey.untested.append(Untested(str(part), BINARY))
        return []
    largest = max(pool.designs, key=lambda d: (d.width, d.depth))
    full = ops_and_params(largest.replace(binarize=()), task)
    binary = ops_and_params(largest.replace(binarize=(part,)), task)
    saved = (
        f", and saves {share((full.ops - binary.ops) / full.ops)} of the OPs and "
        f"{share((full.params - binary.params) / full.params)} of the Params of full precision"
    )
    prefix = f"Binarizing the {part}"
    return [_Comparison(str(part), BINARY, FULL, evidence, collapsed, prefix, saved)]


def _field(
    survey: _Survey, name_of: str, name: str, choice: Callable[[Any], str]
) -> list[_Comparison]:
    pool = survey.pool
    active = [d for d in pool.designs if matters(name_of, d)]
    if name_of != "method":  # a baseline of another method makes no choice on this axis
        active = [d for d in active if d.method == "bbcu"]
    values = sorted(
        {getattr(d, name_of) for d in active}, key=lambda value: (value is not None, value)
    )
    if len(values) < 2:
        return []
    default = UNIT_FIELDS.get(name_of, Design.model_fields[name_of].default)
    if name_of == "k_ratio":
        default = 1.0
    made = Counter(getattr(d, name_of) for d in active)
    reference = default if default in values else max(values, key=lambda value: made[value])
    compared = []
    for value in values:
        if value == reference:
            continue
        twin = _with(name_of, reference, value)
        named = _named(name_of, value, choice), _named(name_of, reference, choice)
        pairs, collapsed = pool.compared(twin)
        evidence = of_pairs(pairs)
        if evidence is None and (name_of != "k_ratio" or value is None):
            named = choice(value), choice(reference)  # the fit has ranges of k
            evidence = of_fit(survey.fit, name, *named)
        if evidence is None:
            survey.untested.append(Untested(name, _named(name_of, value, choice)))
            continue
        prefix = f"{name.capitalize() if name[0] != 'k' else name} {named[0]} against {named[1]}"
        compared.append(_Comparison(name, *named, evidence, collapsed, prefix))
    return compared


def _named(name_of: str, value: Any, choice: Callable[[Any], str]) -> str:
    if name_of == "k_ratio":
        return "off" if value is None else f"{value:g} k*"
    return choice(value)


def _with(name_of: str, reference: Any, value: Any) -> Twin:
    """Maps a design whose ``name_of`` is ``value`` to the same design with ``reference``."""

    def twin(design: Design) -> Design | None:
        if getattr(design, name_of) != value or not matters(name_of, design):
            return None
        # Not validated: the value is that of another design.
        other = design.model_copy(update={name_of: reference}).canonical()
        # Where the reference makes the choice idle, the twin would differ in more than the choice.
        return other if getattr(other, name_of) == reference else None

    return twin


def summary(found: StudyFindings) -> list[str]:
    """Lines for people: a line for each settled effect, then one line for the others."""
    lines = [f.words for f in found.settled]
    if found.open:
        names = [
            f"{f.axis} {f.choice} against {f.reference} ({signed(f.effect)} dB)"
            for f in found.open
        ]
        lines.append(f"{OPEN.capitalize()}: {listed(names)}")
    if found.untested:
        lines.append(found.too_few.removesuffix("."))
    return lines
