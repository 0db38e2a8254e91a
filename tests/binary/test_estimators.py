"""Each estimator against its formula in float64, as the table of methods states it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bbnas.binary import ESTIMATORS
from bbnas.binary.estimators import SOFT
from bbnas.binary.functions import minus_sgn


def identity(x: float, progress: float) -> float:
    return 1.0


def clip(x: float, progress: float) -> float:
    return 1.0 if abs(x) <= 1 else 0.0


def quadratic(x: float, progress: float) -> float:
    return max(0.0, 2 - 2 * abs(x))


def ede(x: float, progress: float) -> float:
    t = 10 ** (-3 + progress * 4)
    return max(1 / t, 1) * t * (1 - math.tanh(t * x) ** 2)


def tanh(x: float, progress: float) -> float:
    return 1 - math.tanh(x) ** 2


FORMULAS = {
    "identity": identity,
    "clip": clip,
    "quadratic": quadratic,
    "ede": ede,
    "tanh": tanh,
}

values = st.floats(-3, 3, width=32)


def test_every_estimator_has_a_formula() -> None:
    assert set(FORMULAS) == set(ESTIMATORS) == set(SOFT)


@pytest.mark.parametrize("name", FORMULAS)
@given(x=values, gradient=st.floats(-2, 2, width=32), progress=st.floats(0, 1))
def test_estimator_is_its_formula(name: str, x: float, gradient: float, progress: float) -> None:
    arrived = torch.tensor([gradient])
    found = ESTIMATORS[name](torch.tensor([x]), arrived, progress).item()
    assert found == pytest.approx(gradient * FORMULAS[name](x, progress), rel=2e-5, abs=2e-6)
    assert arrived.item() == gradient  # the incoming gradient is another function's too


@pytest.mark.parametrize("name", FORMULAS)
@given(x=values, progress=st.floats(0, 1))
def test_the_derivative_of_each_soft_sgn_is_its_estimator(
    name: str, x: float, progress: float
) -> None:
    u = torch.tensor([x], requires_grad=True)
    SOFT[name](u, progress).sum().backward()
    assert u.grad is not None
    assert u.grad.item() == pytest.approx(FORMULAS[name](x, progress), rel=2e-5, abs=2e-6)
    zero, opposite = torch.zeros(1), SOFT[name](-u.detach(), progress)
    assert SOFT[name](zero, progress) == 0  # so they are odd, as sgn
    torch.testing.assert_close(opposite, -SOFT[name](u.detach(), progress))


@pytest.mark.parametrize("x", [-1.0, 1.0])
def test_clip_holds_its_ends(x: float) -> None:
    assert ESTIMATORS["clip"](torch.tensor([x]), torch.ones(1), 0.0).item() == 1.0


@given(alpha=values, x=values)
def test_sgn_has_two_values_and_is_minus_at_its_threshold(alpha: float, x: float) -> None:
    a, b = torch.tensor(alpha), torch.tensor(x)
    assert -minus_sgn((a + 0.0) - b).item() == (1.0 if x > alpha else -1.0)


@pytest.mark.parametrize("alpha", [0.0, -0.0])
@pytest.mark.parametrize("x", [0.0, -0.0])
def test_every_zero_is_minus_one(alpha: float, x: float) -> None:
    assert minus_sgn((torch.tensor(alpha) + 0.0) - torch.tensor(x)).item() == 1.0
