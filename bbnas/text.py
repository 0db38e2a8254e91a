"""Values as text: numbers for people, and JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pydantic_core


def count(value: float) -> str:
    """A plain count with three digits and its prefix: ``3.95 G``, ``51 K``, ``1.52 M``."""
    if not math.isfinite(value):
        return "–"
    for limit, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " K")):
        if abs(value) >= limit * 0.9995:
            return f"{value / limit:.{_decimals(value / limit)}f}{prefix}"
    return f"{value:.0f}"


def milliseconds(seconds: float) -> str:
    """A time with three digits: ``5.23 ms``, ``523 ms``; a dash where it is not known."""
    if not math.isfinite(seconds):
        return "–"
    return f"{seconds * 1e3:,.{_decimals(seconds * 1e3)}f} ms"


def duration(seconds: float) -> str:
    """A time as a reader plans with it: ``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


class CostWords(NamedTuple):
    """The name of a cost, and how its values are written."""

    title: str
    amount: Callable[[float], str]
    unit: str

    def words(self, value: float) -> str:
        """``3.95 G OPs``, ``51 K Params``, ``5.23 ms``."""
        return f"{self.amount(value)} {self.unit}".strip()


# The costs that can be an objective, in the order of tables.
COSTS: dict[str, CostWords] = {
    "ops": CostWords("OPs", count, "OPs"),
    "params": CostWords("Params", count, "Params"),
    "latency": CostWords("latency", milliseconds, ""),
}


def _decimals(value: float) -> int:
    return 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2


def signed(value: float) -> str:
    """A difference with two digits: ``+0.03``, ``−0.12``, ``0.00``."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def decibel(value: float, *, sign: bool = False) -> str:
    """``26.71 dB``; with ``sign``, a difference: ``+0.03 dB``, ``−0.12 dB``."""
    if not math.isfinite(value):
        return "–"
    return (signed(value) if sign else f"{value:.2f}".replace("-", "−")) + " dB"


def interval(low: float, high: float) -> str:
    """The ends of an interval of differences: ``−0.05 to +0.01``."""
    return f"{signed(low)} to {signed(high)}"


def share(value: float) -> str:
    """A share of one: ``52 %``, ``0.1 %``."""
    return (
        f"{value:.0%}".replace("%", " %") if value >= 0.0095 else f"{value:.1%}".replace("%", " %")
    )


def plural(number: int, noun: str) -> str:
    """``1 candidate``, ``12 candidates``."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(words: list[str]) -> str:
    """``head``, ``head and tail``, ``head, body and tail``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def plain(value: Any) -> Any:
    """``value`` in the types of JSON; NaN and infinities become None.

    Takes dataclasses, pydantic models, numpy scalars and arrays, paths and dates as well.
    """
    return pydantic_core.to_jsonable_python(value, inf_nan_mode="null", fallback=_known)


def to_json(value: Any, indent: int | None = None) -> str:
    """``plain(value)`` as JSON text, on one line unless ``indent`` is given."""
    return pydantic_core.to_json(
        value, indent=indent, inf_nan_mode="null", fallback=_known
    ).decode()


def _known(value: Any) -> Any:
    """What pydantic does not know: numpy's values, and mappings other than dictionaries."""
    if isinstance(value, Mapping):
        return dict(value)
    return value.tolist() if hasattr(value, "tolist") else list(value)


def from_json(content: str | bytes) -> Any:
    """What JSON text says. Nothing else in bbnas parses JSON that a user may have been sent.

    Raises:
        ValueError: it is not JSON, is nested too deep, or a number is too long.
    """
    return pydantic_core.from_json(content)
