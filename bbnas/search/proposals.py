"""What to train next: the design that is expected to win most, as all runs so far tell it.

The costs of a design are known before it is trained, so only its PSNR is in doubt. The expected
gain of hypervolume is then a sum of expected improvements of PSNR over what is reached at each
cost, which has a closed form. So has what a neighbour of the knee may gain over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bbnas.analysis.pareto import non_dominated, useful
from bbnas.analysis.recommend import above_chord, knee
from bbnas.analysis.surrogate import Array, Surrogate, all_runs, discrepancy
from bbnas.design import Design
from bbnas.search.prices import Prices
from bbnas.space import Space
from bbnas.study import Candidate, StudyConfig

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
        if (front := self._front(found)) is None:
            return None
        surrogate, best, reached, paid = front
        pool = {d.key: d for d in self._pool(best) if d.key not in seen and fits(d)}
        designs = list(pool.values())
        if not designs:
            return None
        mean, deviation = surrogate.expects(designs)
        gains = expected_gain(mean, deviation, self._costs(designs), reached, paid, self.rng)
        return designs[int(np.argmax(gains))]

    def refine(
        self,
        found: Mapping[int, Candidate],
        seen: Set[str],
        fits: Callable[[Design], bool],
    ) -> Design | None:
        """A design that differs from the knee found so far in one choice: of those that are not
        ``seen`` and ``fits`` the limits, the one expected to gain most over it, costs included,
        if it were trained for long.

        Each is one half of a matched pair: it tells what that choice is worth where it matters,
        and the recommendation cannot end beside a better design that nobody tried.
        """
        if (front := self._front(found)) is None:
            return None
        surrogate, best, reached, paid = front
        floor = self.config.skip_psnr
        here = best[knee(reached, *(10**paid).T, floor=floor)]
        near = [d for d in self._neighbours(here) if d.key not in seen and fits(d)]
        if not near:
            return None
        designs = [here, *near]
        mean, deviation = surrogate.expects(designs)
        score = above_chord(mean, 10 ** self._costs(designs), reached, 10**paid, floor)
        shift = discrepancy(designs)
        doubt = deviation**2 + np.diag(shift) + shift[0, 0] - 2 * shift[0]
        gains = expected_improvement(score - score[0], np.sqrt(doubt))
        return near[int(np.argmax(gains[1:]))]

    def _front(
        self, found: Mapping[int, Candidate]
    ) -> tuple[Surrogate, list[Design], Array, Array] | None:
        """What the outcomes tell, and the front of what was trained as they tell it: designs,
        PSNR (dB) and costs (decades). None while nothing is known.
        """
        surrogate = self.surrogate(found)
        good = [c for c in found.values() if not c.baseline and useful(self.config, c.evaluation)]
        if surrogate is None or not good:
            return None
        own = [c.evaluation.design for c in good]
        reached, paid = surrogate.expects(own)[0], self._costs(own)
        kept = np.flatnonzero(non_dominated(np.column_stack([-reached, paid])))
        return surrogate, [own[i] for i in kept], reached[kept], paid[kept]

    def _pool(self, best: Iterable[Design]) -> Iterator[Design]:
        if self._whole:
            yield from self._whole
            return
        for design in best:
            yield from self._neighbours(design)
        for _ in range(DRAWN):
            yield self.space.sample(self.rng)

    def _neighbours(self, design: Design) -> list[Design]:
        if design.key not in self._near:
            self._near[design.key] = self.space.neighbours(design)
        return self._near[design.key]

    @cached_property
    def _whole(self) -> list[Design]:
        """All designs of a small space."""
        return list(self.space.enumerate()) if self.space.count() <= SMALL else []

    def _costs(self, designs: Sequence[Design]) -> Array:
        """(n, d) decades. Latency is measured for what is trained, not for what might be: OPs
        stand for it.
        """
        names = [name for name in ("ops", "params") if name in self.config.objectives]
        if not names and "latency" in self.config.objectives:
            names = ["ops"]
        rows = [[self.prices(design, name) for name in names] for design in designs]
        return np.log10(np.array(rows, dtype=np.float64).reshape(len(designs), len(names)))


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
    everything = np.concatenate([costs, reached_costs])
    low, high = everything.min(axis=0), everything.max(axis=0)
    places = low + (high - low) * (1 + MARGIN) * rng.random((PLACES, costs.shape[1]))
    affordable = np.all(reached_costs[None] <= places[:, None], axis=2)
    best = np.where(affordable, reached[None], reached.min()).max(axis=1)
    counts = np.all(costs[:, None] <= places[None], axis=2)
    gain = expected_improvement(mean[:, None] - best[None], deviation[:, None])
    total: NDArray[np.float64] = (gain * counts).mean(axis=1)
    return total


def expected_improvement(ahead: Array, deviation: Array) -> Array:
    """E[max(0, X)] of normal X with mean ``ahead`` and ``deviation`` (Jones et al. 1998)."""
    from scipy.special import ndtr

    deviation = np.maximum(deviation, 1e-9)
    z = ahead / deviation
    gain: Array = deviation * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return gain
