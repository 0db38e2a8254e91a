"""A study as one of Optuna's, for its dashboard and whatever else reads its databases."""

from __future__ import annotations

import math
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bbnas.errors import UserError
from bbnas.store.tables import explain, shown
from bbnas.study import OBJECTIVES, Candidate, Study

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


def write_optuna(study: Study, url: str) -> None:
    """Write ``study`` to the Optuna database ``url`` under its own name.

    Its trials are the candidates, in the order of their numbers, and their parameters the values
    that the space chose; a design outside it has none. COMPLETE trials have the objectives as
    values (dB, plain counts, s), PRUNED ones were stopped at a rung, FAIL ones have no result.
    Intermediate values are the PSNR (dB) by the iteration of the rung. User attributes tell the
    rest.

    Raises:
        UserError: the database has a study of that name, or cannot be written.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    config = study.config
    try:
        where = shown(sa.make_url(url))
    except ArgumentError as error:
        raise UserError(f"{url!r} is no database URL: use sqlite:///file.db") from error
    try:
        made = optuna.create_study(
            storage=url,
            study_name=config.name,
            directions=[OBJECTIVES[objective] for objective in config.objectives],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            made.set_metric_names(list(config.objectives))
        for name in ("task", "data_description", "sampler", "seed"):
            made.set_user_attr(name, getattr(config, name))
        made.set_user_attr("space", config.space.name)
        made.set_user_attr("protocol", config.protocol.model_dump(mode="json"))
        ordered = sorted(study.candidates, key=lambda candidate: candidate.number)
        made.add_trials([_trial(study, candidate) for candidate in ordered])
    except optuna.exceptions.DuplicatedStudyError as error:
        raise UserError(
            f"{where} has a study {config.name!r} already: name another database"
        ) from error
    except (SQLAlchemyError, ImportError) as error:
        raise explain(where, error) from error


def _trial(study: Study, candidate: Candidate) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    config, e = study.config, candidate.evaluation
    answers = config.space.answers(e.design) if config.space.contains(e.design) else {}
    values = [float(getattr(e, objective)) for objective in config.objectives]
    complete = e.feasible and all(map(math.isfinite, values))
    ended = TrialState.PRUNED if e.status == "stopped" else TrialState.FAIL
    told = {
        "trial": candidate.number,
        "design": e.design.label(),
        "design_key": e.design.key,
        "baseline": candidate.baseline,
        "status": e.status,
        **{name: getattr(e, name) for name in ("psnr", "ssim", "ops", "params", "latency")},
        "seconds": e.seconds,
        "error": e.error,
    }
    trial = create_trial(
        state=TrialState.COMPLETE if complete else ended,
        values=values if complete else None,
        params={name: _simple(value) for name, (value, _) in answers.items()},
        distributions={name: _distribution(choices) for name, (_, choices) in answers.items()},
        intermediate_values=dict(e.rungs),
        user_attrs={name: value for name, value in told.items() if value == value and value != ""},
    )
    if candidate.finished is not None:
        trial.datetime_complete = candidate.finished.astimezone().replace(tzinfo=None)
        trial.datetime_start = trial.datetime_complete - timedelta(seconds=e.seconds)
    return trial


def _distribution(choices: tuple[Any, ...]) -> BaseDistribution:
    """Numbers as a range, so that plots put them on an axis; anything else as it is."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices):
        whole = all(isinstance(choice, int) for choice in choices)
        kind = IntDistribution if whole else FloatDistribution
        return kind(min(choices), max(choices))
    return CategoricalDistribution([_simple(choice) for choice in choices])


def _simple(choice: Any) -> Any:
    """Parts that are binarized together, as a name."""
    return ("+".join(choice) or "none") if isinstance(choice, tuple) else choice
