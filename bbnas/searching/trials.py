"""The Optuna side of a search: suggestions in, outcomes out.

Optuna's study lives in memory and is filled from the candidates of ours when a search resumes. A
database of Optuna's takes 75 ms for one suggestion, and two databases would have to be reconciled
after every kill.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from bbnas.design import Design
from bbnas.evaluation import Evaluation, Status
from bbnas.study import OBJECTIVES, StudyConfig

if TYPE_CHECKING:
    from bbnas.space import Space

# The user attribute of a trial that holds its PastRun.
PAST_RUN = "bbnas_run"
# What a sampler notes of a suggestion only for the time that it runs.
_PASSING = ":relative_params:"


@dataclass(frozen=True)
class PastRun:
    """The outcome of one design, as a sampler may read it from a trial.

    ``baseline``: a user put it in, so it informs the surrogate but is not built on.
    """

    design: Design
    status: Status
    psnr: float
    rungs: tuple[tuple[int, float], ...] = ()
    baseline: bool = False

    @property
    def feasible(self) -> bool:
        return self.status == "ok" and math.isfinite(self.psnr)

    def __deepcopy__(self, memo: dict[int, Any]) -> PastRun:
        return self  # it cannot be changed, and Optuna copies every trial

    @staticmethod
    def of(trial: FrozenTrial) -> PastRun | None:
        """The run that :class:`Trials` attached to a trial; None without one."""
        run: PastRun | None = trial.user_attrs.get(PAST_RUN)
        return run


def _attributes(evaluation: Evaluation, baseline: bool) -> dict[str, PastRun]:
    e = evaluation
    return {PAST_RUN: PastRun(e.design, e.status, e.psnr, e.rungs, baseline)}


class Trials:
    """Ask and tell.

    A design that the sampler should avoid is told as PRUNED, from which it learns: one that
    diverged, is over a limit, has no more PSNR than ``config.floor``, or is in the study already.
    Samplers ignore FAIL, and TPE would suggest the same few designs again: over 200 candidates of
    the space bbcu 240 to 1,400 duplicates, against 30 if they are told as PRUNED, with a larger
    hypervolume too.

    ``bare``: the sampler reads a PastRun instead of a trial's parameters, so that the outcomes of
    an earlier run need none, which take most of the time of a resumption.
    """

    def __init__(
        self,
        space: Space,
        config: StudyConfig,
        sampler: optuna.samplers.BaseSampler,
        bare: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._objectives = config.objectives
        self._floor = config.floor
        self._bare = bare
        self._study = optuna.create_study(
            directions=[OBJECTIVES[objective] for objective in config.objectives], sampler=sampler
        )
        self._asked: dict[int, optuna.Trial] = {}
        self.seconds: list[float] = []  # that each suggestion took

    def ask(self) -> tuple[int, Design]:
        """The number of a new trial, and the design that the sampler chose."""
        began = time.perf_counter()
        trial = self._study.ask()
        self._asked[trial.number] = trial
        design = self._space.suggest(trial)
        self.seconds.append(time.perf_counter() - began)
        return trial.number, design

    def give(self, design: Design) -> int | None:
        """The number of a new trial for a design that the sampler did not choose; None outside
        the space.
        """
        if not self._space.contains(design):
            return None
        self._study.add_trial(create_trial(state=TrialState.RUNNING, **self._chosen(design)))
        return len(self._study.get_trials(deepcopy=False)) - 1

    def tell(
        self, trial: int | None, evaluation: Evaluation, baseline: bool = False
    ) -> dict[str, Any]:
        """Report an outcome; a design that was stopped keeps its trial, to be told again.

        Returns the sampler's notes on the trial, to be given to ``remember``.
        """
        if trial is None:
            self.remember(evaluation, {}, baseline)
            return {}
        storage, identity = self._study._storage, self._frozen(trial)._trial_id
        for name, value in _attributes(evaluation, baseline).items():
            storage.set_trial_user_attr(identity, name, value)
        if evaluation.status == "stopped":
            return {}
        self._study.tell(trial, self._values(evaluation), state=self._state(evaluation))
        self._asked.pop(trial, None)
        notes = self._frozen(trial).system_attrs
        return {key: value for key, value in notes.items() if _PASSING not in key}

    def remember(
        self, evaluation: Evaluation, notes: Mapping[str, Any], baseline: bool = False
    ) -> None:
        """Report an outcome without a trial: of an earlier run, of another one, or of a design
        outside the space, which is told as FAIL.
        """
        attributes = _attributes(evaluation, baseline)
        if not self._space.contains(evaluation.design):
            self._study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=attributes))
            return
        content: dict[str, Any] = {
            "state": self._state(evaluation),
            "values": self._values(evaluation),
            "user_attrs": attributes,
            "system_attrs": dict(notes),
        }
        if not self._bare:
            content |= self._chosen(evaluation.design)
        self._study.add_trial(create_trial(**content))

    def avoid(self, trial: int | None, excess: Mapping[str, float] | None = None) -> None:
        """Report a design that is not wanted; ``excess`` is by how much it is over each limit,
        relative to the limit.
        """
        if trial is None:
            return
        asked = self._asked.pop(trial, None)
        if asked is not None:
            for name, value in (excess or {}).items():
                asked.set_constraint(name, value)
        self._study.tell(trial, state=TrialState.PRUNED)

    def drop(self, trial: int | None) -> None:
        """End a trial from which nothing is learned."""
        if trial is not None:
            self._asked.pop(trial, None)
            self._study.tell(trial, state=TrialState.FAIL)

    def _chosen(self, design: Design) -> dict[str, Any]:
        """The parameters of a design and their distributions."""
        fixed = FixedTrial(self._space.params(design))
        self._space.suggest(fixed)
        return {"params": fixed.params, "distributions": fixed.distributions}

    def _frozen(self, trial: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[trial]

    def _state(self, evaluation: Evaluation) -> TrialState:
        if evaluation.feasible and evaluation.psnr > self._floor:
            return TrialState.COMPLETE
        return TrialState.FAIL if evaluation.status == "failed" else TrialState.PRUNED

    def _values(self, evaluation: Evaluation) -> list[float] | None:
        if self._state(evaluation) != TrialState.COMPLETE:
            return None
        return [float(getattr(evaluation, objective)) for objective in self._objectives]
