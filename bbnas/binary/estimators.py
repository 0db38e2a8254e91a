"""Estimators: replacements for the derivative of sgn, which is 0 almost everywhere.

Each takes ``u`` (any shape), the gradient with respect to sgn's output, and the training progress
e/E in 0..1: a float, or a tensor () that a CUDA graph reads anew at each step. It returns the
gradient with respect to sgn's argument. ``u`` may be the argument or its negative, because all
are even. No estimator builds a mask: a mask costs up to forty times as much on a CPU as the
arithmetic here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Progress = float | Tensor
Estimate = Callable[[Tensor, Tensor, Progress], Tensor]

# The limit of hardtanh_backward in `clip`. The function passes the gradient strictly inside its
# limits, so the next float above 1 makes it |u| ≤ 1.
_JUST_OVER_1 = math.nextafter(1.0, 2.0) + 2**-24

# EDE's t at the start and at the end of training, as in IR-Net's public code.
EDE_T_MIN, EDE_T_MAX = 1e-3, 1e1


def identity(u: Tensor, grad: Tensor, progress: Progress = 1.0) -> Tensor:
    """The derivative 1: straight through (BNN's weights)."""
    return grad


def clip(u: Tensor, grad: Tensor, progress: Progress = 1.0) -> Tensor:
    """1 if |u| ≤ 1, else 0 (BNN, Courbariaux et al. 2016)."""
    passed: Tensor = torch.ops.aten.hardtanh_backward(grad, u, -_JUST_OVER_1, _JUST_OVER_1)
    return passed


def quadratic(u: Tensor, grad: Tensor, progress: Progress = 1.0) -> Tensor:
    """max(0, 2 − 2|u|) (Bi-Real; paper Eq. 6)."""
    return torch.addcmul(grad, grad, u.abs().clamp_max_(1.0), value=-1.0).mul_(2.0)


def ede(u: Tensor, grad: Tensor, progress: Progress = 1.0) -> Tensor:
    """k·t·(1 − tanh²(t·u)), t from 0.001 to 10 on a log scale over training, k = max(1/t, 1).

    IR-Net (Qin et al. 2020). The start, 0.001, is that of its public code; its paper has 0.1.
    """
    t, kt = ede_slope(progress)
    tanh = (u * t).tanh_()
    return torch.addcmul(grad, grad, tanh.square_(), value=-1.0).mul_(kt)


def tanh(u: Tensor, grad: Tensor, progress: Progress = 1.0) -> Tensor:
    """1 − tanh²(u): the derivative of tanh (BiSRNet, Cai et al. 2023).

    BiSRNet's is that of tanh(βx) with a learned β; the convolution multiplies by it
    (``bbnas.binary.unit.BinaryConv2d``).
    """
    return torch.addcmul(grad, grad, u.tanh().square_(), value=-1.0)


def ede_slope(progress: Progress) -> tuple[Progress, Progress]:
    """EDE's t and k·t at training progress e/E in 0..1."""
    low, high = math.log10(EDE_T_MIN), math.log10(EDE_T_MAX)
    t = 10.0 ** (low + progress * (high - low))
    return t, t.clamp_min(1.0) if isinstance(t, Tensor) else max(1.0, t)


ESTIMATORS: dict[str, Estimate] = {
    "identity": identity,
    "clip": clip,
    "quadratic": quadratic,
    "ede": ede,
    "tanh": tanh,
}


Soft = Callable[[Tensor, Progress], Tensor]


def _soft_quadratic(u: Tensor, progress: Progress) -> Tensor:
    """u·(2 − |u|) on ±1, and ±1 beyond: Bi-Real's ApproxSign."""
    u = u.clamp(-1.0, 1.0)
    return u * (2.0 - u.abs())


def _soft_ede(u: Tensor, progress: Progress) -> Tensor:
    """k·tanh(t·u), of IR-Net's Eq. 9."""
    t, kt = ede_slope(progress)
    return torch.tanh(u * t) * (kt / t)


# The odd function whose derivative each estimator is: sgn made continuous.
SOFT: dict[str, Soft] = {
    "identity": lambda u, progress: u,
    "clip": lambda u, progress: u.clamp(-1.0, 1.0),
    "quadratic": _soft_quadratic,
    "ede": _soft_ede,
    "tanh": lambda u, progress: u.tanh(),
}
