"""Fidelity: how a short protocol ranks designs, compared with a long one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter

from bbnas.protocol import Protocol
from bbnas.text import plain

# JSON writes NaN as null.
Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % confidence interval; NaN stands for what is not known."""

    value: Number
    low: Number
    high: Number

    def __str__(self) -> str:
        known = f" [{self.low:.2f}, {self.high:.2f}]" if math.isfinite(self.low) else ""
        return f"{self.value:.2f}{known}" if math.isfinite(self.value) else "–"


@dataclass(frozen=True)
class RankBias:
    """How much higher the short protocol ranks the designs that made a choice.

    ``shift`` is the mean difference of their ranks (short minus long), as a share of all designs,
    minus that of the other designs. ``p`` is from Welch's test; ``significant`` controls the false
    discovery rate over all choices (:func:`bbnas.analysis.evidence.discoveries`).
    """

    axis: str
    choice: str
    designs: int
    shift: float
    p: float
    significant: bool


@dataclass(frozen=True)
class Fidelity:
    """How a short protocol (the proxy) ranks designs, compared with a long one.

    ``ordered_pairs`` is the share of ``pairs`` that the proxy puts in the long protocol's order;
    only pairs count whose PSNR differs by more than seed noise explains (1.96·√2 standard
    deviations of the long protocol). ``top`` is the overlap of the best fifths. ``baselines`` are
    Kendall's τ of predictors that need no training. ``*_noise`` is the standard deviation (dB)
    between seeds, ``*_seconds`` the mean time of a training.

    ``floor`` is the PSNR (dB) of the network's global skip plus noise. Many designs of a space
    learn nothing and end there, and their order is chance: designs at or below the floor are
    ranked equal last. ``useful`` counts those above it under the long protocol. What is not known
    is None, or NaN where it is an Interval's.
    """

    designs: int
    useful: int | None
    floor: float | None
    kendall_tau: Interval
    spearman_rho: Interval
    ordered_pairs: float | None
    pairs: int
    top: float
    proxy_noise: float | None
    long_noise: float | None
    proxy_seconds: float
    long_seconds: float
    baselines: Mapping[str, Interval]
    biases: tuple[RankBias, ...] | None


@dataclass(frozen=True)
class MeasuredFidelity:
    """How ``protocol`` ranks designs of ``space``, compared with the longer protocol ``long``.

    ``environment`` is that of the long trainings, ``measured`` the date. ``shipped``: it came with
    bbnas, and was measured on another machine. ``earlier``: with networks that today's bbnas has
    changed. ``other_images``: on images other than those that were asked about.
    """

    task: str
    space: str
    protocol: Protocol
    long: Protocol
    data: str
    result: Fidelity
    environment: Mapping[str, str] = field(default_factory=dict)
    measured: str = ""
    shipped: bool = False
    earlier: bool = False
    other_images: bool = False

    @property
    def machine(self) -> str:
        """The processor, what trained and the date: ``AMD EPYC, native avx512, 2026-11-26``."""
        kept = (self.environment.get(name, "") for name in ("cpu", "kernels"))
        return ", ".join(filter(None, (*kept, self.measured))) or "a machine that is not recorded"

    @property
    def origin(self) -> str:
        """Where it was measured, in words that follow a figure."""
        if not self.shipped:
            return f"measured on {self.machine}"
        images = ", on other images" if self.other_images else ""
        networks = ", with networks of an earlier version of bbnas" if self.earlier else ""
        where = f"another machine ({self.machine}){images}{networks}"
        return f"measured on {where}, and shipped with bbnas"


_RESULT = TypeAdapter(Fidelity)
_INTERVALS = ("kendall_tau", "spearman_rho")


def to_content(found: Sequence[MeasuredFidelity]) -> dict[str, Any]:
    """What ``bbnas fidelity --json`` prints of protocols compared with one longer one."""
    first, *others = found
    about = {
        "task": first.task,
        "space": first.space,
        "data": first.data,
        "long": first.long,
        "environment": first.environment,
        "measured": first.measured,
    }
    return about | _figures(first) | {"others": [_figures(each) for each in others]}


def _figures(found: MeasuredFidelity) -> dict[str, Any]:
    """The protocol and its result: each interval as its figure, and beside it its ends."""
    content: dict[str, Any] = {"protocol": found.protocol} | plain(found.result)
    for name in _INTERVALS:
        interval = content[name]
        content |= {
            name: interval["value"],
            f"{name}_interval": [interval["low"], interval["high"]],
        }
    return content


def of_content(content: Mapping[str, Any]) -> list[MeasuredFidelity]:
    """The measurements of which ``to_content`` made ``content``.

    Raises:
        ValueError: a figure of another type.
        KeyError: one is missing.
    """
    found = []
    for own in (content, *content["others"]):
        result = {name: own[name] for name in Fidelity.__dataclass_fields__}
        for name in _INTERVALS:
            low, high = own[f"{name}_interval"]
            result[name] = {"value": own[name], "low": low, "high": high}
        found.append(
            MeasuredFidelity(
                task=content["task"],
                space=content["space"],
                protocol=Protocol.model_validate(own["protocol"]),
                long=Protocol.model_validate(content["long"]),
                data=content["data"],
                result=_RESULT.validate_python(result),
                environment=content["environment"],
                measured=content["measured"],
            )
        )
    return found
