"""Whether one bit is worth it: a 1-bit network beside the rivals that restore as well.

A rival is of the same quality as a design if its PSNR is at least the design's. Both PSNRs have
the noise between seeds, so the ends of an interval are the ratios to the fastest rivals of at
least PSNR − d and PSNR + d, where d = 1.96 · √2 · noise / √seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bbnas.device import Device, Precision, shipped_devices
from bbnas.rivals import Entrant, Rivals

# Most that a difference of two PSNRs is by noise alone (95 %), in standard deviations of one.
BEYOND = 1.96 * math.sqrt(2)


@dataclass(frozen=True)
class Ratio:
    """A ratio and the ends of its interval; infinite where no rival restores as well."""

    value: float
    low: float
    high: float

    @property
    def words(self) -> str:
        """``1.7 (1.5 to 2.0)``."""
        return f"{_short(self.value)} ({_short(self.low)} to {_short(self.high)})"

    @property
    def verdict(self) -> str:
        """Whether 1 bit wins by a ratio of a rival's cost to its own."""
        if self.low > 1:
            return "wins"
        return "loses" if self.high < 1 else "neither wins nor loses beyond noise"


@dataclass(frozen=True)
class BreakEven:
    """How many 1-bit multiply-accumulates a device must do in the time of one of its own in
    ``precision``, so that the design is as fast as the rival of equal PSNR with the fewest
    multiply-accumulates.

    ``needed`` is B / (M − F): the design's 1-bit multiply-accumulates by those that the rival has
    beyond the design's full-precision ones. That counts multiply-accumulates alone, and the
    design's full-precision ones as fast as the rival's; it is infinite where the rival has no
    more than those. ``weights_needed`` is the same of weights: how many of 1 bit must fit into the
    space of one in ``precision``, for the design's file to be as small.
    """

    precision: Precision
    needed: Ratio
    weights_needed: Ratio


def break_even_words(needed: Ratio) -> str:
    """``38 (31 to 47)``, or why there is no such number."""
    if math.isinf(needed.value):
        return "none: the design has more in full precision than the rival"
    return needed.words if needed.value else "any: no rival restores as well"


@dataclass(frozen=True)
class OnDevice:
    """What the break-even means on a ``device``, whose own rival is in its fastest precision."""

    device: Device
    verdict: str


def on_device(even: Sequence[BreakEven], device: Device) -> OnDevice:
    """1 bit wins where the device does more than is needed, in each precision that it has."""
    known = [(e.needed, device.ratios[e.precision]) for e in even if e.precision in device.ratios]
    if not known:
        verdict = "is not known"
    elif all(ratio > needed.high for needed, ratio in known):
        verdict = "wins"
    elif any(ratio < needed.low for needed, ratio in known):
        verdict = "loses"
    else:
        verdict = "is not settled"
    return OnDevice(device, verdict)


@dataclass(frozen=True)
class Worth:
    """A 1-bit ``design`` beside the fastest rival of at least its PSNR (None: there is none).

    ``times`` is the rival's time by the design's, ``bytes`` the same of the smallest rival's
    file: above 1 the 1-bit design wins. ``devices`` begin with the machine that measured.
    """

    design: Entrant
    fastest: Entrant | None
    smallest: Entrant | None
    times: Ratio
    bytes: Ratio
    break_even: tuple[BreakEven, ...]
    devices: tuple[OnDevice, ...]

    @property
    def sentence(self) -> str:
        """What an engineer is to know."""
        own = f"the {self.design.psnr:.2f} dB of {self.design.name}"
        if self.fastest is None or self.smallest is None:
            return f"No rival that was trained reaches {own}: give larger ones by --size."
        time, size = self.times.verdict, self.bytes.verdict
        both = f"{time} in time and bytes" if time == size else f"{time} in time, {size} in bytes"
        return (
            f"At {own}, the fastest rival ({self.fastest.name}, {self.fastest.psnr:.2f} dB) takes "
            f"{self.times.words} times as long, and the smallest one ({self.smallest.name}) has "
            f"{self.bytes.words} times the bytes: on this machine 1 bit {both}."
        )


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "∞"
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def worth(found: Rivals) -> list[Worth]:
    """Each 1-bit entrant beside the rivals, the fastest first."""
    return [_worth(one, found) for one in sorted(found.one_bit, key=lambda e: e.seconds)]


def _worth(design: Entrant, found: Rivals) -> Worth:
    rivals = found.others
    noise = BEYOND * found.noise / math.sqrt(found.seeds)
    even = []
    for precision in dict.fromkeys(e.precision for e in rivals):
        mine = [e for e in rivals if e.precision == precision]
        needed = (
            _ratio(mine, design, noise, partial(_needed, design, name), least=False)
            for name in ("macs", "weights")
        )
        even.append(BreakEven(precision, *needed))
    return Worth(
        design=design,
        fastest=_least(rivals, design.psnr, lambda e: e.seconds),
        smallest=_least(rivals, design.psnr, lambda e: float(e.bytes)),
        times=_ratio(rivals, design, noise, lambda e: e.seconds / design.seconds),
        bytes=_ratio(rivals, design, noise, lambda e: e.bytes / design.bytes),
        break_even=tuple(even),
        devices=tuple(on_device(even, one) for one in (_this_machine(found), *shipped_devices())),
    )


def _this_machine(found: Rivals) -> Device:
    times = found.unit_seconds
    own: dict[Precision, float] = {
        p: s / times["1-bit"] for p, s in times.items() if p != "1-bit" and "1-bit" in times
    }
    source = "measured in this run on 64→64 convolutions"
    return Device(title=f"this machine ({found.machine}, {found.isa})", source=source, ratios=own)


def _least(
    rivals: Sequence[Entrant], psnr: float, cost: Callable[[Entrant], float]
) -> Entrant | None:
    return min((e for e in rivals if e.psnr >= psnr), key=cost, default=None)


def _ratio(
    rivals: Sequence[Entrant],
    design: Entrant,
    noise: float,
    cost: Callable[[Entrant], float],
    least: bool = True,
) -> Ratio:
    """The least cost among the rivals of at least the design's PSNR, or with not ``least`` the
    cost that is largest, which is that of the smallest rival.
    """

    def at(psnr: float) -> float:
        costs = [cost(e) for e in rivals if e.psnr >= psnr]
        if not costs:
            return math.inf if least else 0.0
        return min(costs) if least else max(costs)

    ends = sorted((at(design.psnr - noise), at(design.psnr + noise)))
    return Ratio(at(design.psnr), *ends)


def _needed(design: Entrant, name: str, rival: Entrant) -> float:
    full, binary = f"{name}_full", f"{name}_binary"
    left = getattr(rival, full) - getattr(design, full)
    return float(getattr(design, binary)) / left if left > 0 else math.inf
