"""Regression of PSNR on the choices of a design, over the candidates of a study.

It estimates an effect only where matched pairs are too few: :mod:`bbnas.analysis.findings` decides
between the two, and is what everything that is shown asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bbnas.analysis.pareto import useful
from bbnas.analysis.surrogate import runs_of
from bbnas.design import CHOICES, TITLES, UNIT_FIELDS, Design, matters
from bbnas.study import Study
from bbnas.tasks import get_task

# Minimum candidates with a choice, and with its reference, for an effect to be given.
MINIMUM = 3


class Effect(NamedTuple):
    """The effect of ``choice`` compared with ``reference`` in dB, with its 95 % interval.

    ``n`` and ``n_reference`` count the candidates with each; ``p`` is the p-value of no effect.
    """

    axis: str
    choice: str
    reference: str
    effect: float
    low: float
    high: float
    n: int
    n_reference: int
    p: float


@dataclass(frozen=True)
class Fit:
    """Main effects over ``candidates`` candidates; ``r2`` is the share of variance explained.

    ``left_out`` counts candidates whose PSNR is at or below the study's floor.
    """

    effects: tuple[Effect, ...]
    candidates: int
    r2: float
    left_out: int = 0


def fit_effects(study: Study) -> Fit:
    """The effect of every choice on PSNR in dB compared with its axis's reference choice.

    One weighted least-squares fit of main effects over all candidates above the floor; candidates
    stopped early count with an extrapolated PSNR and less weight
    (:func:`bbnas.analysis.surrogate.runs_of`). Collapsed designs are left out: their loss of many
    dB would swamp effects of tenths. An axis counts only in designs where it changes the network.
    In a space of methods the method is one axis, compared with BBCU, instead of the axes of the
    unit. The reference is the axis's default, or its most frequent choice where the default was
    never tried. The intervals are HC3, which hold under unequal variances. A choice is left out
    where it or its reference has fewer than MINIMUM candidates, or where it is not estimable.
    """
    evaluations = [c.evaluation for c in study.candidates]
    left_out = sum(e.feasible and not useful(study.config, e) for e in evaluations)
    if not study.searches_methods:  # a baseline of another method makes no choice on any axis
        evaluations = [e for e in evaluations if e.design.method == "bbcu"]
    runs = runs_of(study.config, evaluations)
    if not len(runs):
        return Fit((), 0, 0.0, left_out)
    designs = runs.designs
    noise = max(study.config.protocol.noise, 1e-3)
    weights = noise**2 / (noise**2 + runs.doubt**2)
    found, r2 = _least_squares(_axes(study, designs), runs.psnr, weights)
    return Fit(tuple(found), len(runs), r2, left_out)


def axis_choice(design: Design, axis: str) -> str | None:
    """The choice of ``design`` on an ``axis`` of ``effects`` (not a part); None where idle."""
    if axis == _METHOD:
        return TITLES.get(design.published)
    for field, name, choice in CHOICES:
        if name == axis and matters(field, design):
            return choice(getattr(design, field))
    return None


_BINARY, _FULL = "1-bit", "full precision"
_METHOD = "method"


class _Axis(NamedTuple):
    """An axis of the fit: the choices made in order, and that of each design (None: idle)."""

    name: str
    reference: str
    choices: list[str]
    made: list[str | None]


def _axes(study: Study, designs: Sequence[Design]) -> list[_Axis]:
    axes = []
    for part in get_task(study.config.task).parts:
        made: list[str | None] = [_BINARY if d.binary(part) else _FULL for d in designs]
        axes.append(_axis(str(part), _FULL, [_FULL, _BINARY], made))
    by_method = study.searches_methods
    if by_method:
        made = [axis_choice(d, _METHOD) for d in designs]
        axes.append(_axis(_METHOD, TITLES["bbcu"], list(TITLES.values()), made))
    for field, name, choice in CHOICES:
        if by_method and field in UNIT_FIELDS:
            continue  # the method decides it
        active = [getattr(d, field) for d in designs if matters(field, d)]
        values = sorted(set(active), key=lambda value: (value is not None, value))
        order = list(dict.fromkeys(choice(value) for value in values))
        default = choice(Design.model_fields[field].default)
        axes.append(_axis(name, default, order, [axis_choice(d, name) for d in designs]))
    return axes


def _axis(name: str, default: str, order: list[str], made: list[str | None]) -> _Axis:
    choices = [choice for choice in order if choice in made]
    if default not in choices and choices:
        default = max(choices, key=made.count)
    return _Axis(name, default, choices, made)


def _least_squares(
    axes: Sequence[_Axis], psnr: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[list[Effect], float]:
    from scipy.special import stdtr, stdtrit  # Student's t; scipy.stats takes a second to import

    pairs = [(axis, c) for axis in axes for c in axis.choices if c != axis.reference]
    indicators = [[float(made == choice) for made in axis.made] for axis, choice in pairs]
    root = np.sqrt(weights)
    x = root[:, None] * np.stack([np.ones(len(psnr)), *map(np.array, indicators)], axis=1)
    y = root * psnr
    inverse = np.linalg.pinv(x)
    coefficients = inverse @ y
    residuals = y - x @ coefficients
    freedom = len(psnr) - int(np.linalg.matrix_rank(x))
    if freedom < 1:
        return [], 0.0
    leverage = np.clip(np.einsum("ij,ji->i", x, inverse), 0.0, 1.0 - 1e-9)
    deviation = np.sqrt(np.sum((inverse * residuals / (1.0 - leverage)) ** 2, axis=1))
    half = float(stdtrit(freedom, 0.975)) * deviation
    # A coefficient is estimable if its unit vector lies in the row space.
    known = np.abs(inverse @ x - np.eye(x.shape[1])).max(axis=1) < 1e-6
    found = []
    for column, (axis, choice) in enumerate(pairs, start=1):
        n, n_reference = axis.made.count(choice), axis.made.count(axis.reference)
        if known[column] and min(n, n_reference) >= MINIMUM:
            c, h = float(coefficients[column]), float(half[column])
            error = float(deviation[column])
            p = 2 * float(stdtr(freedom, -abs(c) / error)) if error > 0 else float(c == 0)
            found.append(
                Effect(axis.name, choice, axis.reference, c, c - h, c + h, n, n_reference, p)
            )
    mean = np.average(psnr, weights=weights)
    total = float(np.sum(weights * (psnr - mean) ** 2))
    return found, 1.0 - float(np.sum(residuals**2)) / total if total > 0 else 0.0
