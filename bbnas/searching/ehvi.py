"""Expected hypervolume improvement for designs whose costs are known before they are trained.

Only the PSNR of a design is uncertain, so the expected gain of hypervolume is a sum of expected
improvements of PSNR over what is reached at each cost, which has a closed form. The expected gain
of a neighbour over the recommendation has one too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from bbnas.analysis.knee import above_chord, knee
from bbnas.analysis.pareto import non_dominated, useful
from bbnas.analysis.surrogate import Array, Surrogate, all_runs, discrepancy
from bbnas.design import Design
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.searching.trials import PastRun
from bbnas.space import Space

# Designs drawn at random for each proposal, beside the neighbours of those on the front.
DRAWN = 256
# A space of at most so many designs is enumerated instead.
SMALL = 1024
# Points of the cost plane at which an improvement is integrated.
PLACES = 512
# The integration box is larger than the costs by this share, or the most expensive design could
# gain nothing.
MARGIN = 0.05
# The surrogate's hyperparameters are fitted again after this growth of the number of runs; in
# between it is only conditioned on the new ones.
REFIT = 1.15
# Most runs that the surrogate is given in a large study, but for those newer than the last choice,
# which is made again once there are ``SPARE`` times as many.
LARGE, SPARE = 400, 1.2
# Most runs that hyperparameters are fitted to.
FITTED = 250
# Most designs of the front whose neighbours are considered at once.
EXPANDED = 24
# The number of candidates from which on neighbours of the recommendation are proposed.
REFINE_FROM = 20


@dataclass(frozen=True)
class _Scale:
    """The bar of useful runs: ``floor`` is the PSNR (dB) of the global skip plus the noise."""

    protocol: Protocol
    skip_psnr: float | None

    @property
    def floor(self) -> float:
        return -math.inf if self.skip_psnr is None else self.skip_psnr + self.protocol.noise


@dataclass(frozen=True)
class _Front:
    """The front of the designs evaluated, by the surrogate's estimates: PSNR (dB, m) and costs
    (decades, m × d).
    """

    surrogate: Surrogate
    designs: list[Design]
    psnr: Array
    costs: Array


class EhviSampler(BaseSampler):
    """Proposes the design of a space with the largest expected gain of hypervolume.

    It is a sampler of Optuna for any objective that calls ``space.suggest(trial)`` and returns
    the PSNR (the one value to maximise) and costs (to minimise):

    - After ``n_startup_trials`` random designs, a :class:`~bbnas.analysis.surrogate.Surrogate` of
      all runs says how good each design may be, and ``costs`` says what it costs: a positive
      number for each cost, known without evaluating it.
    - With ``refine``, every second proposal differs in one choice from the recommendation so far:
      the neighbour with the largest expected gain over it, if both were trained for long. So the
      choices of the final design are compared with their alternatives in matched pairs, and the
      recommendation does not end beside a better design that nobody tried.
    - ``protocol`` gives the noise (dB) between seeds and the rungs; ``skip_psnr`` (dB) is what a
      network that learns nothing reaches. ``allowed`` says which designs may be proposed.

    The search attaches each outcome to its trial (``bbnas.searching.trials.PastRun``), so that
    runs stopped at a rung and runs without a PSNR inform the surrogate too. Without that, the
    values of completed trials are read.

    Raises:
        ValueError: ``n_startup_trials`` is not positive.
    """

    def __init__(
        self,
        space: Space,
        costs: Callable[[Design], Sequence[float]],
        *,
        protocol: Protocol = PROTOCOLS["proxy"],
        skip_psnr: float | None = None,
        allowed: Callable[[Design], bool] = lambda design: True,
        n_startup_trials: int = 20,
        refine: bool = True,
        seed: int | Sequence[int] | None = None,
    ) -> None:
        if n_startup_trials < 1:
            raise ValueError(f"n_startup_trials is {n_startup_trials}, must be at least 1")
        self._space, self._cost, self._allowed = space, costs, allowed
        self._scale = _Scale(protocol, skip_psnr)
        self._startup, self._refine = n_startup_trials, refine
        entropy = np.random.SeedSequence(seed)
        self._random = RandomSampler(seed=int(entropy.generate_state(1)[0]))
        self._rng = np.random.default_rng(seed)
        self._theta: Array | None = None
        self._fitted = 0
        self._near: dict[str, list[Design]] = {}
        self._designs: dict[int, Design | None] = {}  # trial → its design
        # Of the trials that are not finished yet, what was read of them.
        self._open: dict[int, tuple[PastRun | None, TrialState] | None] = {}
        self._begun = 0  # the number of trials that were read
        self._seen: set[str] = set()
        self._runs: dict[str, PastRun] = {}
        self._candidates: dict[str, set[int]] = {}  # evaluated or running, and their trials
        self._chosen: dict[str, None] = {}  # the runs that inform the surrogate of a large study
        self._proposed: dict[int, dict[str, Any]] = {}  # trial → its parameters

    def reseed_rng(self) -> None:
        self._random.reseed_rng()
        self._rng = np.random.default_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters of the proposed design; empty where the random sampler is to choose."""
        design = self._propose(study, trial)
        if design is None:
            return {}
        fixed = FixedTrial(self._space.params(design))
        self._space.suggest(fixed)
        self._proposed[trial.number] = fixed.params
        return fixed.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._proposed.pop(trial.number, {})

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        return self._random.sample_independent(study, trial, name, distribution)

    def _propose(self, study: Study, asking: FrozenTrial) -> Design | None:
        self._read(study, asking)
        count = len(self._candidates)
        refining = self._refine and count >= REFINE_FROM and count % 2 == 0
        if not refining and len(self._runs) < self._startup:
            return None
        front = self._front(self._informing())
        if front is None:
            return None
        neighbour = self._neighbour(front, self._seen) if refining else None
        if neighbour is not None or len(self._runs) < self._startup:
            return neighbour
        return self._improvement(front, self._seen)

    def _read(self, study: Study, asking: FrozenTrial) -> None:
        """Take in the trials that are new or have changed."""
        trials = study.get_trials(deepcopy=False)
        self._open |= dict.fromkeys(range(self._begun, len(trials)))
        self._begun = len(trials)
        for number, before in list(self._open.items()):
            trial = trials[number]
            attached, state = PastRun.of(trial), trial.state
            if before is not None and before[0] is attached and before[1] is state:
                continue
            if trial.number == asking.number:
                continue
            run = attached or self._completed(study, trial)
            design = run.design if run is not None else self._design(trial)
            if state.is_finished():
                del self._open[number]
            elif design is not None:
                self._open[number] = attached, state
            if design is None:
                continue
            key = design.key
            self._seen.add(key)
            if run is not None:
                self._runs[key] = run
                self._chosen[key] = None
            if run is not None or state == TrialState.RUNNING:
                self._candidates.setdefault(key, set()).add(trial.number)
            elif key in self._candidates:  # handed back
                self._candidates[key].discard(trial.number)
                if not self._candidates[key]:
                    del self._candidates[key]

    def _informing(self) -> list[PastRun]:
        """The runs that the surrogate is given: all, or in a large study those nearest to the
        front, a random part of the others, and the newest.
        """
        if len(self._runs) <= LARGE:
            return list(self._runs.values())
        if len(self._chosen) > SPARE * LARGE:
            runs = list(self._runs.values())
            near = self._nearest([r for r in runs if useful(self._scale, r)], LARGE // 2)
            others = self._rng.choice(len(runs), LARGE // 2, replace=False)
            chosen = [*near, *(runs[i] for i in others)]
            self._chosen = dict.fromkeys(run.design.key for run in chosen)
        return [self._runs[key] for key in self._chosen]

    def _nearest(self, runs: list[PastRun], most: int) -> list[PastRun]:
        """At most so many ``runs``, front by front."""
        points = np.column_stack([[-r.psnr for r in runs], self._costs([r.design for r in runs])])
        left, kept = np.arange(len(runs)), np.empty(0, dtype=np.intp)
        while len(left) and len(kept) < most:
            first = non_dominated(points[left])
            kept, left = np.concatenate([kept, left[first]]), left[~first]
        return [runs[i] for i in kept[:most]]

    def _completed(self, study: Study, trial: FrozenTrial) -> PastRun | None:
        """The run of a trial to which no outcome is attached, from its values."""
        design = self._design(trial) if trial.state == TrialState.COMPLETE else None
        if design is None:
            return None
        psnr = trial.values[study.directions.index(StudyDirection.MAXIMIZE)]
        return PastRun(design, "ok", psnr)

    def _design(self, trial: FrozenTrial) -> Design | None:
        """The design of a trial; None if its parameters are not those of a whole design."""
        if trial.number in self._designs:
            return self._designs[trial.number]
        try:
            design = self._space.suggest(FixedTrial(trial.params))
        except ValueError:  # a parameter is missing: the trial has just begun, or is another's
            return None
        self._designs[trial.number] = design
        return design

    def _surrogate(self, runs: Sequence[PastRun]) -> Surrogate | None:
        """The surrogate given all runs; None before any is useful."""
        usable = all_runs(self._scale, runs)
        if not len(usable):
            return None
        large = len(self._runs) > LARGE
        size, growth = (len(self._runs), 2.0) if large else (len(usable), REFIT)
        if self._theta is None or not self._fitted <= size < growth * self._fitted:
            self._theta, self._fitted = None, size
            if len(usable) > FITTED:
                part = self._rng.choice(len(usable), FITTED, replace=False)
                self._theta = Surrogate(usable.part(part), self._scale.protocol.noise).theta
        surrogate = Surrogate(usable, self._scale.protocol.noise, self._theta)
        self._theta = surrogate.theta
        return surrogate

    def _front(self, runs: Sequence[PastRun]) -> _Front | None:
        """The front of the useful runs; None without one."""
        surrogate = self._surrogate(runs)
        own = [r.design for r in runs if not r.baseline and useful(self._scale, r)]
        if surrogate is None or not own:
            return None
        psnr, costs = surrogate.expects(own)[0], self._costs(own)
        kept = np.flatnonzero(non_dominated(np.column_stack([-psnr, costs])))
        return _Front(surrogate, [own[i] for i in kept], psnr[kept], costs[kept])

    def _improvement(self, front: _Front, seen: set[str]) -> Design | None:
        """The new, allowed design of the largest expected gain of hypervolume."""
        pool: dict[str, Design] = {}
        for design in self._pool(front.designs):
            key = design.key
            if key not in seen and key not in pool and self._allowed(design):
                pool[key] = design
        designs = list(pool.values())
        if not designs:
            return None
        mean, deviation = front.surrogate.expects(designs)
        costs = self._costs(designs)
        gains = expected_gain(mean, deviation, costs, front.psnr, front.costs, self._rng)
        return designs[int(np.argmax(gains))]

    def _neighbour(self, front: _Front, seen: set[str]) -> Design | None:
        """The new, allowed design that differs from the knee of the front in one choice and has
        the largest expected gain over it, costs included, if both were trained for long.
        """
        floor = self._scale.skip_psnr
        here = front.designs[knee(front.psnr, *(10**front.costs).T, floor=floor)]
        near = [d for d in self._neighbours(here) if d.key not in seen and self._allowed(d)]
        if not near:
            return None
        designs = [here, *near]
        mean, deviation = front.surrogate.expects(designs)
        score = above_chord(mean, 10 ** self._costs(designs), front.psnr, 10**front.costs, floor)
        shift = discrepancy(designs)
        variance = deviation**2 + np.diag(shift) + shift[0, 0] - 2 * shift[0]
        gains = expected_improvement(score - score[0], np.sqrt(variance))
        return near[int(np.argmax(gains[1:]))]

    def _pool(self, best: Iterable[Design]) -> Iterator[Design]:
        if self._whole:
            yield from self._whole
            return
        best = list(best)
        if len(best) > EXPANDED:
            best = [best[i] for i in self._rng.choice(len(best), EXPANDED, replace=False)]
        for design in best:
            yield from self._neighbours(design)
        for _ in range(DRAWN):
            yield self._space.sample(self._rng)

    def _neighbours(self, design: Design) -> list[Design]:
        if design.key not in self._near:
            self._near[design.key] = self._space.neighbours(design)
        return self._near[design.key]

    @cached_property
    def _whole(self) -> list[Design]:
        """All designs of a small space."""
        return list(self._space.enumerate()) if self._space.count() <= SMALL else []

    def _costs(self, designs: Sequence[Design]) -> Array:
        """(n, d) decades."""
        rows = [list(self._cost(design)) for design in designs]
        width = len(rows[0]) if rows else 0
        return np.log10(np.array(rows, dtype=np.float64).reshape(len(designs), width))


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
    and ``reached_costs`` (m, d) are a front, and its lowest PSNR is the reference.
    The integral over costs c of E[max(0, PSNR − best(c))], best(c) being the highest PSNR reached
    at no more than c, is a mean over PLACES points of the box that all costs span.
    """
    everything = np.concatenate([costs, reached_costs])
    low, high = everything.min(axis=0), everything.max(axis=0)
    places = low + (high - low) * (1 + MARGIN) * rng.random((PLACES, costs.shape[1]))
    affordable = np.all(reached_costs[None] <= places[:, None], axis=2)
    best = np.where(affordable, reached[None], reached.min()).max(axis=1)
    design, place = np.nonzero(np.all(costs[:, None] <= places[None], axis=2))
    gains = np.zeros((len(costs), PLACES))
    gains[design, place] = expected_improvement(mean[design] - best[place], deviation[design])
    total: NDArray[np.float64] = gains.mean(axis=1)
    return total


def expected_improvement(ahead: Array, deviation: Array) -> Array:
    """E[max(0, X)] of normal X with mean ``ahead`` and ``deviation`` (Jones et al. 1998)."""
    from scipy.special import ndtr

    deviation = np.maximum(deviation, 1e-9)
    z = ahead / deviation
    gain: Array = deviation * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return gain
