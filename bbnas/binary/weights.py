"""Weight binarizers: what sgn sees of a weight, its scale, and how the gradient comes back.

All return one scale per output channel or none; scales are constants in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class WeightBinarizer:
    """scale(V) · sgn(V) with V = latent(W), for W (C_out, C_in, 3, 3).

    ``estimator`` (of ``ESTIMATORS``) stands in for sgn's derivative. ``scales_gradient``: whether
    the gradient of sgn(V) carries the scale; ``clamped``: whether W is clamped to [−1, 1] after
    each step.
    """

    estimator: str
    scale: Callable[[Tensor], Tensor] | None = None
    latent: Callable[[Tensor], Tensor] | None = None
    scales_gradient: bool = False
    clamped: bool = False


def mean_magnitude(weight: Tensor) -> Tensor:
    """mean|W_o| for each output channel, (C_out) (paper Eq. 3; per channel as in the code)."""
    return weight.abs().mean((1, 2, 3))


def power_of_two(weight: Tensor) -> Tensor:
    """2^round(log2 mean|W_o|) for each output channel: a shift of bits (IR-Net, Eq. 11)."""
    return mean_magnitude(weight).log2_().round_().exp2_()


def standardized(weight: Tensor) -> Tensor:
    """(W − mean)/std of each filter (IR-Net's Libra parameter binarization, Eq. 7–8)."""
    centred = weight - weight.mean((1, 2, 3), keepdim=True)
    # A filter of one value has no sign to keep; without the sum it would be 0/0.
    return centred / (weight.std((1, 2, 3), keepdim=True) + 1e-12)


WEIGHTS: dict[str, WeightBinarizer] = {
    # BNN (Courbariaux et al. 2016): sgn(W), straight through.
    "sign": WeightBinarizer("identity", clamped=True),
    # XNOR-Net (Rastegari et al. 2016), paper Eq. 3. As in the authors' code the scale is not
    # multiplied into the gradient.
    "scaled": WeightBinarizer("clip", scale=mean_magnitude),
    # IR-Net (Qin et al. 2020).
    "libra": WeightBinarizer("ede", scale=power_of_two, latent=standardized, scales_gradient=True),
}
