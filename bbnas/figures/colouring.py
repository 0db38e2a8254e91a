"""The colours of the dots of a front: by Params, 1-bit parts, method, or any choice."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle

from bbnas.design import AXES, CHOICES, TITLES, UNIT_FIELDS, Design, matters
from bbnas.figures.dots import Dot, Kind, legend_entry, scatter_dots
from bbnas.figures.theme import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    INDIGO,
    INK,
    MAGENTA,
    MUTED,
    PALE,
    PAPER,
    PARTS,
    SAND,
    SCALE,
    SKY,
    Spec,
)
from bbnas.study import Study
from bbnas.text import count

# A colour and a symbol for each method, and for what is none.
METHODS = dict(
    zip(
        dict.fromkeys(TITLES.values()),
        (
            (GREY, "hourglass"),
            (INK, "cross"),
            (BLUE, "triangle-up"),
            (SKY, "triangle-down"),
            (INDIGO, "square"),
            (SAND, "star-triangle-up"),
            (GREEN, "diamond"),
            (BLUE, "pentagon"),
            (INDIGO, "hexagon"),
            (GREEN, "hexagon2"),
            (SAND, "octagon"),
            (MAGENTA, "circle"),
            (MAGENTA, "circle"),
        ),
        strict=True,
    )
)
NO_PART, *_ = PARTS
NO_METHOD = "full precision or an unpublished unit"
SYMBOLS = {
    (False, False): "circle",
    (True, False): "triangle-up",
    (False, True): "square",
    (True, True): "pentagon",
}
# The symbols of a choice's values, beside their colours.
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "pentagon", "hexagon")
# Choices that are amounts; what is none of it, such as no alignment, has a colour of its own.
AMOUNTS = tuple(name for name, axis in AXES.items() if axis.measure and name != "groups")
NONE = {"k_ratio": "no alignment", "convs_per_residual": "no residual"}
# What a design shows for a choice that does not change its network.
IDLE = "without effect there"
_CHOICES = {field: (title, text) for field, title, text in CHOICES}


def colourings(study: Study) -> dict[str, str]:
    """What can colour the dots, by its title for people: only what differs among the candidates.

    ``params``, ``parts`` (which of them are 1-bit), in a space of methods ``methods``, and the
    fields of Design that are choices.
    """
    titles = {"params": "Params", "parts": "1-bit parts", "methods": "method"}
    designs = [c.evaluation.design for c in study.candidates if not c.baseline]
    fields = {
        field: title
        for field, title, _ in CHOICES
        if not (study.searches_methods and field in UNIT_FIELDS)
        and len({getattr(design, field) for design in designs}) > 1
    }
    return {name: titles[name] for name in standard(study)} | fields


def standard(study: Study) -> tuple[str, ...]:
    designs = [
        c.evaluation.design for c in study.candidates if c.evaluation.feasible and not c.baseline
    ]
    parts = ("parts",) if len({d.binarize for d in designs}) > 1 else ()
    several = study.searches_methods and len({d.published for d in designs}) > 1
    return ("methods", "params", *parts) if several else ("params", *parts)


def traces_of(name: str, dots: Sequence[Dot]) -> tuple[list[Spec], Spec | None]:
    """The traces of a colouring, and its colour scale if it is of amounts."""
    if name == "params":
        return _amounts(name, "Params", dots, [dot.params for dot in dots], "")
    if name in AMOUNTS:
        values = [getattr(dot.design, name) if matters(name, dot.design) else None for dot in dots]
        return _amounts(name, _CHOICES[name][0], dots, values, NONE.get(name, ""))
    find: Callable[[Design], str]
    find = {"parts": _parts, "methods": _method}.get(name) or partial(_choice, name)
    groups: dict[str, list[Dot]] = {}
    for dot in dots:
        groups.setdefault(find(dot.design), []).append(dot)
    traces: list[Spec] = []
    for value, (colour, symbol) in _styles(name, groups).items():
        if mine := groups.get(value, []):
            symbols = [_ends(dot) if name == "parts" else symbol for dot in mine]
            traces += _group(value, mine, name, colour, symbols)
    return traces, None


def _styles(name: str, values: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The colour and the symbol of each value, in the order of the legend."""
    pale = (PALE, "circle")
    if name == "parts":
        return {part: (colour, "circle") for part, colour in PARTS.items()}
    if name == "methods":
        return METHODS | {NO_METHOD: pale}
    ordered = sorted(value for value in values if value != IDLE)
    return dict(zip(ordered, cycle(zip(COLOURS, SHAPES, strict=True)))) | {IDLE: pale}


def _choice(field: str, design: Design) -> str:
    return _CHOICES[field][1](getattr(design, field)) if matters(field, design) else IDLE


def _method(design: Design) -> str:
    return TITLES.get(design.published, NO_METHOD)


def _parts(design: Design) -> str:
    """Whether body and upsampling are 1-bit, as a key of PARTS."""
    return " and ".join(p for p in ("body", "upsampling") if p in design.binarize) or NO_PART


def _ends(dot: Dot) -> str:
    """The symbol that says whether head and tail are 1-bit."""
    return SYMBOLS["head" in dot.design.binarize, "tail" in dot.design.binarize]


def _amounts(
    name: str, title: str, dots: Sequence[Dot], values: Sequence[float | None], none: str
) -> tuple[list[Spec], Spec | None]:
    """Dots coloured by an amount on a log scale; those that have none are pale."""
    known = [(dot, math.log10(v)) for dot, v in zip(dots, values, strict=True) if v]
    lacking = [dot for dot, v in zip(dots, values, strict=True) if not v]
    traces = [
        legend_entry("other candidates", name, color=MUTED, size=7, opacity=0.6),
        legend_entry("Pareto front", name, color=PAPER, size=11, line={"color": INK, "width": 2}),
        *(_group(none or IDLE, lacking, name, PALE, ["circle"] * len(lacking)) if lacking else ()),
    ]
    styles: dict[Kind, Spec] = {
        "beaten": {"size": 7, "opacity": 0.5},
        "front": {"size": 12, "line": {"color": INK, "width": 1.5}},
    }
    for kind, more in styles.items():
        mine = [(dot, log) for dot, log in known if dot.kind == kind]
        label = "Pareto front" if kind == "front" else "other candidates"
        more |= {"color": [log for dot, log in mine if dot.x == dot.x], "coloraxis": "coloraxis"}
        traces.append(scatter_dots(label, [dot for dot, _ in mine], name, **more))
    if not known:
        return traces, None
    logs = [log for _, log in known]
    low, high = min(logs), max(logs)
    if name == "params":
        decades = range(math.ceil(low), math.floor(high) + 1)
        ticks = list(map(float, decades)) if len(decades) > 1 else sorted({low, high})
        texts = [re.sub(r"\.0+\b", "", count(10**tick)) for tick in ticks]
    else:
        amounts = sorted({v for v in values if v})
        amounts = amounts if len(amounts) <= 8 else amounts[:: -(-len(amounts) // 8)]
        ticks = [math.log10(v) for v in amounts]
        texts = [f"{v:.3g}" if v >= 1 else f"1/{1 / v:.3g}" for v in amounts]
    bar = {
        "title": {"text": title},
        "thickness": 12,
        "outlinewidth": 0,
        "tickvals": ticks,
        "ticktext": texts,
    }
    return traces, {"colorscale": SCALE, "cmin": low, "cmax": high, "colorbar": bar}


def _group(
    name: str, dots: Sequence[Dot], mode: str, colour: str, symbols: Sequence[str]
) -> list[Spec]:
    """Dots of one colour with their legend entry; those of the front are larger and on top."""
    pairs = sorted(zip(dots, symbols, strict=True), key=lambda pair: pair[0].kind == "front")
    on_front = [dot.kind == "front" for dot, _ in pairs if dot.x == dot.x]
    one = symbols[0] if len(set(symbols)) == 1 else "circle"
    return [
        legend_entry(name, mode, color=colour, size=9, symbol=one),
        scatter_dots(
            name,
            [dot for dot, _ in pairs],
            mode,
            color=colour,
            symbol=[symbol for dot, symbol in pairs if dot.x == dot.x],
            size=[12 if on else 8 for on in on_front],
            opacity=[1.0 if on else 0.6 for on in on_front],
            line={"color": INK, "width": [1.5 if on else 0 for on in on_front]},
        ),
    ]
