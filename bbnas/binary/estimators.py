"""Estimators: what stands in for the derivative of sgn, whose own is 0 almost everywhere.

Each takes ``u`` (any shape; minus the argument of sgn, as all four are even it makes no
difference), the gradient that arrives, and the training progress e/E in 0..1, and returns the
gradient that leaves. None builds masks: comparisons that branch on each element cost up to forty
times as much on a CPU as the arithmetic here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Estimate = Callable[[Tensor, Tensor, float], Tensor]

# hardtanh_backward passes the gradient strictly inside its limits: one step outside of ±1 makes
# that |u| ≤ 1.
_JUST_OVER_1 = math.nextafter(1.0, 2.0) + 2**-24

EDE_T_MIN, EDE_T_MAX = 1e-3, 1e1


def identity(u: Tensor, grad: Tensor, progress: float = 1.0) -> Tensor:
    """1: straight through (BNN's weights)."""
    return grad


def clip(u: Tensor, grad: Tensor, progress: float = 1.0) -> Tensor:
    """Straight-through inside |u| ≤ 1, else 0 (BNN, Courbariaux et al. 2016)."""
    passed: Tensor = torch.ops.aten.hardtanh_backward(grad, u, -_JUST_OVER_1, _JUST_OVER_1)
    return passed


def quadratic(u: Tensor, grad: Tensor, progress: float = 1.0) -> Tensor:
    """max(0, 2 − 2|u|) (Bi-Real; paper Eq. 6)."""
    return torch.addcmul(grad, grad, u.abs().clamp_max_(1.0), value=-1.0).mul_(2.0)


def ede(u: Tensor, grad: Tensor, progress: float = 1.0) -> Tensor:
    """k·t·(1 − tanh²(t·u)), t from 0.001 to 10 on a log scale over training, k = max(1/t, 1).

    IR-Net (Qin et al. 2020), with t_min of its public code; the paper starts at 0.1.
    """
    t, kt = ede_slope(progress)
    tanh = (u * t).tanh_()
    return torch.addcmul(grad, grad, tanh.square_(), value=-1.0).mul_(kt)


def ede_slope(progress: float) -> tuple[float, float]:
    """EDE's t and k·t, for e/E in 0..1."""
    low, high = math.log10(EDE_T_MIN), math.log10(EDE_T_MAX)
    t = 10.0 ** (low + progress * (high - low))
    return t, max(1.0, t)


ESTIMATORS: dict[str, Estimate] = {
    "identity": identity,
    "clip": clip,
    "quadratic": quadratic,
    "ede": ede,
}
