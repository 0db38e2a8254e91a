"""Weight binarizers: the 1-bit weights of a convolution, their scale and their gradient.

Each has one scale per output channel, or none. The backward pass treats scales as constants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class WeightBinarizer:
    """scale(V) · sgn(V) with V = latent(W), for W (C_out, C_in, 3, 3).

    ``estimator`` names the replacement of sgn's derivative (``ESTIMATORS``). ``scales_gradient``:
    whether the scale multiplies the gradient too. ``clamped``: whether W is clamped to [−1, 1]
    after each step.
    """

    estimator: str
    scale: Callable[[Tensor], Tensor] | None = None
    latent: Callable[[Tensor], Tensor] | None = None
    scales_gradient: bool = False
    clamped: bool = False


def mean_magnitude(weight: Tensor) -> Tensor:
    """mean|W_o| of each output channel, (C_out): paper Eq. 3, per channel as in its code."""
    return weight.abs().mean((1, 2, 3))


def power_of_two(weight: Tensor) -> Tensor:
    """2^round(log2 mean|W_o|) of each output channel, (C_out): a bit shift (IR-Net, Eq. 11)."""
    return mean_magnitude(weight).log2_().round_().exp2_()


def standardized(weight: Tensor) -> Tensor:
    """(W − mean)/std of each filter (IR-Net's Libra parameter binarization, Eq. 7–8)."""
    centred = weight - weight.mean((1, 2, 3), keepdim=True)
    # 1e-12 avoids 0/0 for a filter whose weights are all equal.
    return centred / (weight.std((1, 2, 3), keepdim=True) + 1e-12)


WEIGHTS: dict[str, WeightBinarizer] = {
    # BNN (Courbariaux et al. 2016): sgn(W), straight through.
    "sign": WeightBinarizer("identity", clamped=True),
    # XNOR-Net (Rastegari et al. 2016), paper Eq. 3. As in the authors' code the scale does not
    # multiply the gradient.
    "scaled": WeightBinarizer("clip", scale=mean_magnitude),
    # IR-Net (Qin et al. 2020).
    "libra": WeightBinarizer("ede", scale=power_of_two, latent=standardized, scales_gradient=True),
}
