"""The Optuna side of a study: suggestions in, outcomes out. The sampler learns from it alone.

The sampler works in memory: in the database a single suggestion takes 75 ms, most of them for
reading trials again. Every outcome is then kept as a finished trial in Optuna's tables, where a
resumed sampler finds it; a trial that is running is nowhere but in memory, so none is left behind.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
import sqlalchemy as sa
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from bbnas.database import BUSY_SECONDS, begin_explicitly, explain
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import OBJECTIVES, Evaluation
from bbnas.search.samplers import make_sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bbnas.space import Space

_CANDIDATE = "candidate"


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
        url: sa.URL,
        name: str,
        space: Space,
        objectives: Sequence[str],
        sampler: str,
        options: Mapping[str, Any],
        seed: int,
        floor: float | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._url = url
        self._space = space
        self._objectives = tuple(objectives)
        self._floor = -math.inf if floor is None else floor
        directions = [OBJECTIVES[objective] for objective in objectives]
        with self._errors():
            self._storage = _storage(url)
            self._kept = optuna.create_study(
                study_name=name, storage=self._storage, directions=directions, load_if_exists=True
            )
            stored = self._kept.get_trials(deepcopy=False)
        # A resumed sampler must not draw once more what it drew at the start.
        entropy = np.random.SeedSequence([seed, len(stored)])
        self._sampler = make_sampler(sampler, options, int(entropy.generate_state(1)[0]))
        self._study = optuna.create_study(directions=directions, sampler=self._sampler)
        self._study.add_trials(stored)
        self.learned = {trial.user_attrs[_CANDIDATE] for trial in stored}
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

    def kept(self) -> set[int]:
        """The candidates whose outcome is in Optuna's tables."""
        with self._errors():
            trials = self._kept.get_trials(deepcopy=False)
        return {trial.user_attrs[_CANDIDATE] for trial in trials}

    def _state(self, found: Evaluation) -> TrialState:
        if found.feasible and found.psnr > self._floor:
            return TrialState.COMPLETE
        return TrialState.FAIL if found.status == "failed" else TrialState.PRUNED

    def keep(self, trial: FrozenTrial | None) -> None:
        """Add an outcome to Optuna's tables."""
        if trial is not None:
            with self._errors():
                self._kept.add_trial(trial)

    def learn(self, trial: int | None, candidate: int, found: Evaluation) -> FrozenTrial | None:
        """Report the outcome of a trial, or of a design that was not asked here, to the sampler.

        Returns the finished trial; None for a design outside the space, which is not reported.
        """
        self.learned.add(candidate)
        state = self._state(found)
        values = self._values(found) if state == TrialState.COMPLETE else None
        if trial is not None:
            asked = self._asked.pop(trial)
            asked.set_user_attr(_CANDIDATE, candidate)
            self._study.tell(asked, values, state=state)
            return self._study.get_trials(deepcopy=False)[trial]
        if not self._space.contains(found.design):
            return None
        fixed = FixedTrial(self._space.params(found.design))
        self._space.suggest(fixed)
        frozen = create_trial(
            state=state,
            values=values,
            params=fixed.params,
            distributions=fixed.distributions,
            user_attrs={_CANDIDATE: candidate},
        )
        self._study.add_trial(frozen)
        return frozen

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

    def close(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _values(self, found: Evaluation) -> list[float]:
        return [float(getattr(found, objective)) for objective in self._objectives]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            raise explain(self._url, error) from error


def _fixed(
    params: Mapping[str, Any], sampler: optuna.samplers.BaseSampler
) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(dict(params), sampler)


def _storage(url: sa.URL) -> optuna.storages.RDBStorage:
    # Braces are placeholders to Optuna.
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    sqlite = url.get_backend_name() == "sqlite"
    arguments = {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite else {}
    for attempt in range(5):
        try:
            storage = optuna.storages.RDBStorage(text, engine_kwargs=arguments)
            break
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            # Two processes that start one study race to create Optuna's tables.
            if attempt == 4 or "already exists" not in str(error):
                raise
            time.sleep(0.2)
        except RuntimeError as error:
            raise UserError(
                f"{url.render_as_string()}: its Optuna tables are of another version "
                f"({str(error).splitlines()[0]}); upgrade bbnas"
            ) from error
    if sqlite:
        storage.engine.dispose()
        # What is lost is told again from our tables, so a commit need not wait for the disk.
        begin_explicitly(storage.engine, ["synchronous=NORMAL"], immediate=True)
    return storage
