"""The choices of a study's designs as axes with values in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any

from bbnas.axes import plain
from bbnas.design import AXES, CHOICES, STRUCTURE, TITLES, UNIT_FIELDS, Design, matters
from bbnas.study import Study
from bbnas.tasks import get_task

# The value of a design for a choice that does not change its network.
IDLE = "–"


@dataclass(frozen=True)
class ChoiceAxis:
    """A choice, its ``values`` in order, and the value ``made`` by each of the trials
    ``numbers``.
    """

    title: str
    values: tuple[str, ...]
    numbers: Sequence[int]
    made: Sequence[str]

    @cached_property
    def by_number(self) -> Mapping[int, str]:
        """The value of each trial."""
        return dict(zip(self.numbers, self.made, strict=True))

    def name(self, value: str) -> str:
        """The name of a value among those of all axes."""
        return f"{self.title}: {value}"


def axes_of(study: Study) -> tuple[ChoiceAxis, ...]:
    """The choices in which the study's candidates differ."""
    numbers = [c.number for c in study.candidates]
    designs = [c.evaluation.design for c in study.candidates]
    axes = []
    for title, order, made in _columns(study, designs):
        found = set(made)
        values = tuple(value for value in dict.fromkeys(order) if value in found)
        if len(found - {IDLE}) > 1:
            axes.append(ChoiceAxis(title, values, numbers, made))
    return tuple(axes)


def axes_within(axes: Sequence[ChoiceAxis], numbers: Sequence[int]) -> tuple[ChoiceAxis, ...]:
    """The axes in which the trials ``numbers`` differ, of the axes of more."""
    if len(numbers) < 2 or not axes:
        return ()
    place = {number: i for i, number in enumerate(axes[0].numbers)}
    pick = itemgetter(*(place[number] for number in numbers))
    found = []
    for axis in axes:
        made = pick(axis.made)
        known = set(made)
        if len(known - {IDLE}) > 1:
            values = tuple(value for value in axis.values if value in known)
            found.append(ChoiceAxis(axis.title, values, numbers, made))
    return tuple(found)


def chosen_by(axes: Sequence[ChoiceAxis], names: Collection[str]) -> frozenset[int]:
    """The trials that have one of the named values on each axis of which a value is named."""
    found: frozenset[int] | None = None
    for axis in axes:
        wanted = {value for value in axis.values if axis.name(value) in names}
        if wanted:
            having = frozenset(n for n, value in axis.by_number.items() if value in wanted)
            found = having if found is None else found & having
    return frozenset() if found is None else found


def _columns(study: Study, designs: Sequence[Design]) -> list[tuple[str, list[str], list[str]]]:
    """Of each choice its title, its values in order, and the value of each design."""
    found: list[tuple[str, list[str], list[str]]] = []
    binarized = [design.binarize for design in designs]
    for part in get_task(study.config.task).parts:
        words = ["full", "1-bit"]
        by = {parts: words[part in parts] for parts in set(binarized)}
        found.append((str(part), words, [by[parts] for parts in binarized]))
    if study.searches_methods:
        titles = [IDLE, *dict.fromkeys(TITLES.values())]
        found.append(("method", titles, [TITLES.get(d.published, IDLE) for d in designs]))
    columns = zip(*map(_made, designs), strict=True)
    for (field, title, _), made in zip(CHOICES, columns, strict=False):
        if study.searches_methods and field in UNIT_FIELDS:
            continue
        order = sorted(set(made), key=lambda v: (v != IDLE, v is not None, _sortable(v)))
        texts = {value: _text(field, value) for value in order}
        found.append((title, list(texts.values()), list(map(texts.__getitem__, made))))
    return found


@lru_cache(1 << 16)
def _made(design: Design) -> tuple[Any, ...]:
    """The value of a design for each of CHOICES."""
    return tuple(getattr(design, f) if matters(f, design) else IDLE for f, _, _ in CHOICES)


def _sortable(value: Any) -> tuple[float, str]:
    return (float(value), "") if isinstance(value, int | float) else (0.0, str(value))


def _text(field: str, value: Any) -> str:
    if value == IDLE:
        return IDLE
    if field == "k_ratio":
        if value is None:
            return "off"
        return f"{value:.3g}" if value >= 1 else f"1/{1 / value:.3g}"
    return (
        AXES[field].words(value) if field in STRUCTURE or isinstance(value, bool) else plain(value)
    )
