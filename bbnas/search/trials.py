"""The Optuna side of a search: suggestions in, outcomes out. The sampler learns from it alone.

Its study lives in memory and is filled from the candidates of ours when a search resumes. In a
database of Optuna's a single suggestion takes 75 ms, most of them for reading trials again, and
what is written twice has to be brought together after every kill.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import FixedTrial, TrialState, create_trial

from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.search.samplers import make_sampler
from bbnas.study import OBJECTIVES

if TYPE_CHECKING:
    from bbnas.space import Space

# What a sampler notes of a suggestion for the time that it runs.
_PASSING = ":relative_params:"


class Trials:
    """Ask and tell.

    What the sampler should turn away from is told as PRUNED, from which it learns: a design that
    diverged, is over a limit, does not beat ``floor`` (dB), or is in the study already. FAIL it
    would ignore, and TPE would suggest the same few designs again: over 200 candidates of the
    space bbcu 240 to 1,400 duplicates, against 30 when they are told as PRUNED, with a larger
    hypervolume too.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[str],
        sampler: str,
        options: Mapping[str, Any],
        seed: int,
        resumed_at: int,
        floor: float = -math.inf,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._objectives = tuple(objectives)
        self._floor = floor
        # A resumed sampler must not draw once more what it drew at the start.
        entropy = np.random.SeedSequence([seed, resumed_at])
        self._sampler = make_sampler(sampler, options, int(entropy.generate_state(1)[0]))
        self._study = optuna.create_study(
            directions=[OBJECTIVES[objective] for objective in objectives], sampler=self._sampler
        )
        self._asked: dict[int, optuna.Trial] = {}

    def ask(self, design: Design | None = None) -> tuple[int, Design]:
        """A new trial's number and its design: the sampler's, or the given one of the space."""
        if design is not None:
            self._study.sampler = _fixed(self._space.params(design), self._sampler)
        try:
            trial = self._study.ask()
            # The sampler is not asked before this: it chooses when the space suggests.
            suggested = self._space.suggest(trial)
        finally:
            self._study.sampler = self._sampler
        self._asked[trial.number] = trial
        return trial.number, suggested

    def tell(self, trial: int | None, found: Evaluation) -> dict[str, Any]:
        """Report the outcome of a trial; None stands for a design outside the space.

        Returns what the sampler noted of the trial, to be given to ``remember``.
        """
        if trial is None:
            return {}
        asked = self._asked.pop(trial)
        self._study.tell(asked, self._values(found), state=self._state(found))
        notes = self._study.get_trials(deepcopy=False)[trial].system_attrs
        return {key: value for key, value in notes.items() if _PASSING not in key}

    def remember(self, found: Evaluation, notes: Mapping[str, Any]) -> None:
        """Report an outcome that was not asked for here: of an earlier run, or another one."""
        if not self._space.contains(found.design):
            return
        fixed = FixedTrial(self._space.params(found.design))
        self._space.suggest(fixed)
        self._study.add_trial(
            create_trial(
                state=self._state(found),
                values=self._values(found),
                params=fixed.params,
                distributions=fixed.distributions,
                system_attrs=dict(notes),
            )
        )

    def avoid(self, trial: int | None, excess: Mapping[str, float] | None = None) -> None:
        """Report a design that is not wanted; ``excess`` is by how much it is over each limit,
        relative to the limit.
        """
        if trial is None:
            return
        asked = self._asked.pop(trial)
        for name, value in (excess or {}).items():
            asked.set_constraint(name, value)
        self._study.tell(asked, state=TrialState.PRUNED)

    def drop(self, trial: int | None) -> None:
        """End a trial from which nothing is learned."""
        if trial is not None:
            self._study.tell(self._asked.pop(trial), state=TrialState.FAIL)

    def _state(self, found: Evaluation) -> TrialState:
        if found.feasible and found.psnr > self._floor:
            return TrialState.COMPLETE
        return TrialState.FAIL if found.status == "failed" else TrialState.PRUNED

    def _values(self, found: Evaluation) -> list[float] | None:
        if self._state(found) != TrialState.COMPLETE:
            return None
        return [float(getattr(found, objective)) for objective in self._objectives]


def _fixed(
    params: Mapping[str, Any], sampler: optuna.samplers.BaseSampler
) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(dict(params), sampler)
