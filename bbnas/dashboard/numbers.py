"""Trial numbers in an address: ``3-7,12``."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Most numbers that an address may ask for.
MOST = 100_000


def ranges(numbers: Iterable[int]) -> str:
    """``[3, 4, 5, 12]`` as ``3-5,12``."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in spans)


def in_ranges(text: str) -> list[int]:
    """The numbers of ``ranges``; what is none is left out."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part.strip())
        if match:
            first, last = int(match[1]), int(match[2] or match[1])
            found.update(range(first, min(last, first + MOST) + 1))
    return sorted(found)[:MOST]
