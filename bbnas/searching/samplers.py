"""The samplers that may steer a search, by name, with every option explicit.

To add one: write a function that makes an ``optuna.samplers.BaseSampler`` for a ``Setting``, and
enter it in ``SAMPLERS`` with the defaults of its options.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bbnas.design import Design
from bbnas.errors import UserError, unknown
from bbnas.space import Space
from bbnas.study import StudyConfig

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class Setting:
    """The search that a sampler is made for.

    ``costs`` are the counted costs of a design, in the order of the study's objectives;
    ``allowed`` says whether it keeps the limits on counted costs. ``seed`` holds the study's seed
    and the number of candidates at the start, so that a resumed sampler does not draw again what
    it drew before.
    """

    space: Space
    config: StudyConfig
    costs: Callable[[Design], Sequence[float]]
    allowed: Callable[[Design], bool]
    seed: tuple[int, int]

    @property
    def number(self) -> int:
        """The seed as the one number that Optuna's samplers take."""
        import numpy as np

        return int(np.random.SeedSequence(self.seed).generate_state(1)[0])


@dataclass(frozen=True)
class Entry:
    """A sampler that may be chosen: how it is made, and its options with their defaults.

    ``bare``: it needs no parameters of trials, see :class:`bbnas.searching.trials.Trials`.
    """

    make: Callable[..., BaseSampler]
    options: Mapping[str, Any] = field(default_factory=dict)
    bare: bool = False


def _ehvi(setting: Setting, **options: Any) -> BaseSampler:
    from bbnas.searching.ehvi import EhviSampler

    return EhviSampler(
        setting.space,
        setting.costs,
        protocol=setting.config.protocol,
        skip_psnr=setting.config.skip_psnr,
        allowed=setting.allowed,
        seed=setting.seed,
        **options,
    )


def _tpe(setting: Setting, **options: Any) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=setting.number, **options)


def _nsga2(setting: Setting, **options: Any) -> BaseSampler:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=setting.number, **options)


def _nsga3(setting: Setting, **options: Any) -> BaseSampler:
    from optuna.samplers import NSGAIIISampler

    return NSGAIIISampler(seed=setting.number, **options)


def _gp(setting: Setting, **options: Any) -> BaseSampler:
    from optuna.samplers import GPSampler

    return GPSampler(seed=setting.number, warn_independent_sampling=False, **options)


def _random(setting: Setting) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=setting.number)


_GENETIC = {"population_size": 24, "crossover_prob": 0.9, "swapping_prob": 0.5}

# gp takes seconds a suggestion, and samples at random the axes that depend on others.
SAMPLERS: dict[str, Entry] = {
    "ehvi": Entry(_ehvi, {"n_startup_trials": 20, "refine": True}, bare=True),
    "tpe": Entry(
        _tpe,
        {
            "n_startup_trials": 20,
            "n_ei_candidates": 24,
            "multivariate": True,
            "group": True,
            "constant_liar": True,
        },
    ),
    "nsga2": Entry(_nsga2, _GENETIC),
    "nsga3": Entry(_nsga3, _GENETIC),
    "gp": Entry(_gp, {"n_startup_trials": 20, "deterministic_objective": False}),
    "random": Entry(_random),
}


def sampler_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a sampler: ``options`` over the defaults.

    Raises:
        UserError: no such sampler, no such option, or a value of another type.
    """
    if name not in SAMPLERS:
        raise unknown("sampler", name, SAMPLERS)
    defaults = SAMPLERS[name].options
    for key, value in options.items():
        if key not in defaults:
            raise unknown(f"option of sampler {name!r}", key, defaults)
        kind = type(defaults[key])
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise UserError(
                f"option {key} of sampler {name!r}: must be {kind.__name__}, is {value!r}"
            )
    return {**defaults, **options}


def make_sampler(setting: Setting) -> BaseSampler:
    """The sampler that the study's configuration names.

    Raises:
        UserError: a value that the sampler refuses.
    """
    from optuna.exceptions import ExperimentalWarning

    config = setting.config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            return SAMPLERS[config.sampler].make(setting, **config.sampler_options)
        except ValueError as error:
            raise UserError(f"sampler {config.sampler!r}: {error}; change the option") from error
