"""Sliders of budgets on the page Study: the most that a recommended design may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from dash import Input, dcc, html
from dash.development.base_component import Component

from bbnas.dashboard.analyst import Bounds
from bbnas.dashboard.page import aria
from bbnas.store.watch import Snapshot
from bbnas.text import count, milliseconds

# Positions of a slider between the smallest and the largest cost, on a log scale.
STEPS = 100


@dataclass(frozen=True)
class Budget:
    """A slider: its name, its title, the cost of an evaluation, and how a value is written."""

    name: str
    title: str
    words: Any
    cost: str
    unit: float = 1.0  # the cost is the value of the slider by this


BUDGETS = (
    Budget("ops", "OPs", count, "ops"),
    Budget("params", "Params", count, "params"),
    Budget("bytes", "bytes of weights", lambda v: f"{count(v)}B", "params", 4.0),
    Budget("latency", "latency", milliseconds, "latency"),
)


def sliders(snapshot: Snapshot, values: Mapping[str, str]) -> Component:
    """A slider for each cost; all the way to the right is no limit."""
    rows = []
    for budget, at in zip(BUDGETS, positions(snapshot, values), strict=True):
        known = _known(snapshot, budget)
        slider = dcc.Slider(
            0,
            STEPS,
            1,
            id=f"study-{budget.name}",
            value=at,
            marks=None,
            included=True,
            updatemode="mouseup",
            allow_direct_input=False,
            disabled=not known,
        )
        rows.append(
            html.Div(
                [
                    html.Span(budget.title, id=f"study-{budget.name}-label"),
                    html.Div(slider, role="group", **aria(label=f"At most, {budget.title}")),
                    html.Output(id=f"study-{budget.name}-value", htmlFor=f"study-{budget.name}"),
                ],
                className="budget",
                hidden=not known,
            )
        )
    return html.Div(rows, className="budgets")


def positions(snapshot: Snapshot, values: Mapping[str, str]) -> list[int]:
    """Where each slider stands by an address."""
    found = []
    for budget in BUDGETS:
        given = _number(values.get(budget.name))
        if given is None or not _known(snapshot, budget):
            found.append(STEPS)
        else:
            found.append(_position(given, *_range(snapshot, budget)))
    return found


def _known(snapshot: Snapshot, budget: Budget) -> bool:
    """Whether its costs differ, so that there is something to choose."""
    low, high = _range(snapshot, budget)
    return math.isfinite(low) and high > low


def _range(snapshot: Snapshot, budget: Budget) -> tuple[float, float]:
    """The smallest and the largest of its costs among the useful designs."""
    low, high = _ranges(snapshot)[budget.cost]
    return low * budget.unit, high * budget.unit


@lru_cache(16)
def _ranges(snapshot: Snapshot) -> dict[str, tuple[float, float]]:
    own = [c.evaluation for c in snapshot.study.own()]
    found: dict[str, tuple[float, float]] = {}
    for cost in dict.fromkeys(budget.cost for budget in BUDGETS):
        values = np.array([getattr(e, cost) for e in own], float)
        known = values[np.isfinite(values) & (values > 0)]
        found[cost] = (known.min(), known.max()) if len(known) else (math.nan, math.nan)
    return found


def _position(value: float, low: float, high: float) -> int:
    share = math.log(max(value, low) / low) / math.log(high / low)
    return round(STEPS * min(1.0, share))


def _limit(snapshot: Snapshot, budget: Budget, position: Any) -> float | None:
    """The bound (of the slider's value) that a position means; None all the way to the right."""
    if position is None or position >= STEPS or not _known(snapshot, budget):
        return None
    low, high = _range(snapshot, budget)
    # Rounded up to three digits, so that the address is short and the smallest design fits.
    value = low * math.pow(high / low, max(0, position) / STEPS)
    power = math.pow(10, math.floor(math.log10(value)) - 2)
    return float(math.ceil(round(value / power, 6)) * power)


def limits_of(
    snapshot: Snapshot, positions: Sequence[Any]
) -> tuple[Bounds, dict[str, float | None]]:
    """The limits that the sliders mean together, and the value of each slider."""
    shown = {b.name: _limit(snapshot, b, at) for b, at in zip(BUDGETS, positions, strict=True)}
    costs: dict[str, float] = {}
    for budget in BUDGETS:
        value = shown[budget.name]
        if value is not None:
            costs[budget.cost] = min(costs.get(budget.cost, math.inf), value / budget.unit)
    return Bounds(**costs), shown


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


POSITIONS = [Input(f"study-{budget.name}", "value") for budget in BUDGETS]
