"""Upper bounds of what a design may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

from bbnas.design import METHODS, STRUCTURE, Design
from bbnas.errors import UserError
from bbnas.searching.prices import Prices
from bbnas.space import Space
from bbnas.study import OBJECTIVES
from bbnas.text import COSTS


@dataclass
class Limits:
    """``bounds`` by the name of a cost: ``ops``, ``params``, ``latency``.

    Its state is the smallest value seen of each cost, which the error names if no design keeps
    the limits.
    """

    space: Space
    prices: Prices
    bounds: Mapping[str, float]
    _cheapest: dict[str, float] = field(default_factory=dict, init=False)

    def excess(self, design: Design) -> dict[str, float]:
        """By how much a design is over each limit, relative to the limit.

        Latency is not measured once OPs or Params exceed their limit.
        """
        over: dict[str, float] = {}
        for name in sorted(self.bounds, key=list(OBJECTIVES).index):
            if name == "latency" and over:
                break
            value, limit = self.prices(design, name), self.bounds[name]
            self._cheapest[name] = min(self._cheapest.get(name, math.inf), value)
            if value > limit:
                over[name] = value / limit - 1.0
        return over

    @cached_property
    def attainable(self) -> bool:
        """Whether any design keeps the limits.

        The design of a method with the most 1-bit parts, at the smallest width and depth, has the
        fewest OPs and Params of that method with its parts built in one way; all ways are tried.
        Another design may have a lower latency, but not half of it.
        """
        axes = self.space.axes
        subsets = [set(subset) for subset in axes.binarize]
        largest = [s for s in subsets if not any(s < other for other in subsets)]
        width, depth = min(axes.width), min(axes.depth)
        ways = product(*(getattr(axes, name) for name in STRUCTURE))
        designs = dict.fromkeys(
            Design(
                binarize=tuple(subset),
                width=width,
                depth=depth,
                **unit,
                **dict(zip(STRUCTURE, way, strict=True)),
            ).canonical()
            for way in ways
            for subset in largest
            for unit in [METHODS[method] for method in axes.method] or [{}]
        )
        excesses = (self.excess(design) for design in designs)
        return any(
            all(name == "latency" and over < 1 for name, over in found.items())
            for found in excesses
        )

    def refusal(self) -> UserError:
        """What to say where no design keeps them."""
        asked = ", ".join(f"max_{name} {COSTS[name].amount(v)}" for name, v in self.bounds.items())
        known = {name: v for name, v in self._cheapest.items() if math.isfinite(v)}
        least = ", ".join(f"{name} {COSTS[name].amount(v)}" for name, v in known.items())
        return UserError(
            f"no design of space {self.space.name!r} keeps {asked}: the smallest have {least}; "
            "raise the limit"
        )
