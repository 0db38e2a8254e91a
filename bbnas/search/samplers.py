"""The samplers that may steer a search: Optuna's, by name, with every option explicit."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bbnas.errors import UserError, unknown

if TYPE_CHECKING:
    import optuna


def _tpe(seed: int, **options: Any) -> optuna.samplers.BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, **options)


def _nsga2(seed: int, **options: Any) -> optuna.samplers.BaseSampler:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, **options)


def _nsga3(seed: int, **options: Any) -> optuna.samplers.BaseSampler:
    from optuna.samplers import NSGAIIISampler

    return NSGAIIISampler(seed=seed, **options)


def _gp(seed: int, **options: Any) -> optuna.samplers.BaseSampler:
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, warn_independent_sampling=False, **options)


def _random(seed: int) -> optuna.samplers.BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _ehvi(seed: int, n_startup_trials: int) -> optuna.samplers.BaseSampler:
    if n_startup_trials < 1:
        raise ValueError(f"n_startup_trials is {n_startup_trials}, must be at least 1")
    return _random(seed)


# ehvi is our own: a random start, then the designs of bbnas.search.proposals.
# Name → how to make it, and the options it takes with their defaults. gp takes seconds a
# suggestion, and samples axes that depend on others at random.
SAMPLERS: dict[str, tuple[Callable[..., optuna.samplers.BaseSampler], dict[str, Any]]] = {
    "ehvi": (_ehvi, {"n_startup_trials": 20}),
    "tpe": (
        _tpe,
        {
            "n_startup_trials": 20,
            "n_ei_candidates": 24,
            "multivariate": True,
            "group": True,
            "constant_liar": True,
        },
    ),
    "nsga2": (_nsga2, {"population_size": 24, "crossover_prob": 0.9, "swapping_prob": 0.5}),
    "nsga3": (_nsga3, {"population_size": 24, "crossover_prob": 0.9, "swapping_prob": 0.5}),
    "gp": (_gp, {"n_startup_trials": 20, "deterministic_objective": False}),
    "random": (_random, {}),
}


def sampler_options(name: str, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every option of a sampler: ``options`` over the defaults.

    Raises:
        UserError: no such sampler, no such option, or a value of another type.
    """
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    defaults = SAMPLERS[name][1]
    for key, value in (options or {}).items():
        if key not in defaults:
            raise unknown(f"option of sampler {name!r}", key, defaults)
        kind = type(defaults[key])
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise UserError(
                f"option {key} of sampler {name!r}: must be {kind.__name__}, is {value!r}"
            )
    return defaults | dict(options or {})


def make_sampler(name: str, options: Mapping[str, Any], seed: int) -> optuna.samplers.BaseSampler:
    """The sampler; a value that it refuses is a UserError."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            return SAMPLERS[name][0](seed, **options)
        except ValueError as error:
            raise UserError(f"sampler {name!r}: {error}; change the option") from error
