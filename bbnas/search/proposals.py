"""What to train next: the design that is expected to win most, as all runs so far tell it.

The costs of a design are known before it is trained, so only its PSNR is in doubt. The expected
gain of hypervolume is then a sum of expected improvements of PSNR over what is reached at each
cost, which has a closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bbnas.analysis.pareto import non_dominated, useful
from bbnas.analysis.surrogate import Array, Surrogate, all_runs
from bbnas.design import Design
from bbnas.evaluation import OBJECTIVES, Candidate, StudyConfig
from bbnas.search.prices import Prices
from bbnas.space import Space

# Designs drawn at random for each proposal, beside the neighbours of those on the front.
DRAWN = 256
# A space of so many is looked at whole instead.
SMALL = 1024
# Points of the cost plane at which an improvement is looked at.
PLACES = 512
# The box is so much larger than the costs, or the most expensive design could gain nothing.
MARGIN = 0.05
# The surrogate is fitted anew when it has seen so much more; in between it only learns.
REFIT = 1.15


@dataclass
class Proposals:
    """Proposes designs for a study, from its outcomes.

    Its state is the last fit, which ages with what has been seen since.
    """

    space: Space
    config: StudyConfig
    prices: Prices
    rng: np.random.Generator
    _theta: Array | None = field(default=None, init=False)
    _fitted: int = field(default=0, init=False)
    _near: dict[str, list[Design]] = field(default_factory=dict, init=False)

    def surrogate(self, found: Mapping[int, Candidate]) -> Surrogate | None:
        """What the outcomes tell; None before any is useful."""
        runs = all_runs(self.config, [c.evaluation for c in found.values()])
        if not len(runs):
            return None
        if self._theta is None or not self._fitted <= len(runs) < REFIT * self._fitted:
            self._theta, self._fitted = None, len(runs)
        surrogate = Surrogate(runs, self.config.protocol.noise, self._theta)
        self._theta = surrogate.theta
        return surrogate

    def propose(
        self,
        found: Mapping[int, Candidate],
        seen: Set[str],
        fits: Callable[[Design], bool],
    ) -> Design | None:
        """The design of the largest expected gain that is not ``seen`` and ``fits`` the limits.

        None while nothing is known, or if no such design comes to hand.
        """
        surrogate = self.surrogate(found)
        good = [c for c in found.values() if not c.baseline and useful(self.config, c.evaluation)]
        if surrogate is None or not good:
            return None
        own = [c.evaluation.design for c in good]
        reached, paid = surrogate.expects(own)[0], self._costs(own)
        kept = np.flatnonzero(non_dominated(np.column_stack([-reached, paid])))
        pool = {
            d.key: d for d in self._pool(own[i] for i in kept) if d.key not in seen and fits(d)
        }
        designs = list(pool.values())
        if not designs:
            return None
        mean, deviation = surrogate.expects(designs)
        costs = self._costs(designs)
        gains = expected_gain(mean, deviation, costs, reached[kept], paid[kept], self.rng)
        return designs[int(np.argmax(gains))]

    def _pool(self, best: Iterable[Design]) -> Iterator[Design]:
        if self._whole:
            yield from self._whole
            return
        for design in best:
            if design.key not in self._near:
                self._near[design.key] = self.space.neighbours(design)
            yield from self._near[design.key]
        for _ in range(DRAWN):
            yield self.space.sample(self.rng)

    @cached_property
    def _whole(self) -> list[Design]:
        """All designs of a small space."""
        return list(self.space.enumerate()) if self.space.count() <= SMALL else []

    def _costs(self, designs: Sequence[Design]) -> Array:
        """(n, d) decades. Latency is measured for what is trained, not for what might be."""
        names = [n for n in self.config.objectives if n in OBJECTIVES and n in ("ops", "params")]
        rows = [[self.prices(design, name) for name in names or ["ops"]] for design in designs]
        return np.log10(np.array(rows, dtype=np.float64))


def expected_gain(
    mean: Array,
    deviation: Array,
    costs: Array,
    reached: Array,
    reached_costs: Array,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The expected gain of hypervolume by each of n designs, up to a common factor.

    ``mean`` and ``deviation`` (n) of its PSNR in dB; ``costs`` (n, d) in decades; ``reached`` (m)
    and ``reached_costs`` (m, d) are a front, and the worst PSNR of it the reference.
    The integral over costs c of E[max(0, PSNR − best(c))], best(c) being the highest PSNR reached
    at no more than c, is a mean over PLACES points of the box that all costs span.
    """
    from scipy.special import ndtr

    everything = np.concatenate([costs, reached_costs])
    low, high = everything.min(axis=0), everything.max(axis=0)
    places = low + (high - low) * (1 + MARGIN) * rng.random((PLACES, costs.shape[1]))
    affordable = np.all(reached_costs[None] <= places[:, None], axis=2)
    best = np.where(affordable, reached[None], reached.min()).max(axis=1)
    counts = np.all(costs[:, None] <= places[None], axis=2)
    spread = np.maximum(deviation, 1e-9)[:, None]
    ahead = (mean[:, None] - best[None]) / spread
    density = np.exp(-(ahead**2) / 2) / np.sqrt(2 * np.pi)
    gain = spread * (ahead * ndtr(ahead) + density)
    total: NDArray[np.float64] = (gain * counts).mean(axis=1)
    return total
