"""Binary convolution, RPReLU, and the unit made of them: BBCU V1 to V4 (paper §3.1, Fig. 2)."""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbnas.binary.functions import (
    BinaryConv,
    BinaryWeight,
    RPReLUAdd,
    binary_conv,
    binary_weight,
    rprelu_add,
)
from bbnas.binary.kernels import Form, native, native_unit
from bbnas.binary.weights import WEIGHTS, mean_magnitude
from bbnas.design import Design


class BinaryConv2d(nn.Module):
    """1-bit 3×3 convolution, (N, C_in, H, W) → (N, C_out, H, W), paper Eq. 1–3.

    ``weights`` names a weight binarizer (``bbnas.binary.weights``), ``estimator`` that of the
    activations; ``threshold``: whether they are compared with a learned α_c, 0 at the start, or
    with 0.
    """

    progress: float = 0.0  # e/E, set by the training loop; only EDE reads it

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        weights: str = "scaled",
        estimator: str = "quadratic",
        threshold: bool = True,
    ) -> None:
        super().__init__()
        self.weights, self.estimator = weights, estimator
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.alpha = nn.Parameter(torch.zeros(c_in)) if threshold else None
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    @property
    def scaled(self) -> bool:
        """Whether its outputs are multiplied by a scale per channel."""
        return WEIGHTS[self.weights].scale is not None

    def forward(self, x: Tensor) -> Tensor:
        if native(x):
            return self.native(x)
        latent = WEIGHTS[self.weights].latent
        seen = self.weight if latent is None else latent(self.weight)
        if not torch.is_grad_enabled():
            return binary_conv(x, self.alpha, seen, self.weights)[0]
        y: Tensor = BinaryConv.apply(  # type: ignore[no-untyped-call]
            x, self.alpha, seen, self.weights, self.estimator, self.progress
        )
        return y

    def native(self, x: Tensor, activation: str = "none", **around: Any) -> Tensor:
        """The convolution with what stands ``around`` it (``native_unit``), in one call."""
        binarizer = WEIGHTS[self.weights]
        latent = self.weight if binarizer.latent is None else binarizer.latent(self.weight)
        mean = binarizer.scale is mean_magnitude and torch.is_grad_enabled()
        scale = None
        if binarizer.scale is not None and not mean:
            with torch.no_grad():
                scale = binarizer.scale(latent)
        form = Form(
            one_bit=True,
            mean_scale=mean,
            estimator=self.estimator,
            weight_estimator=binarizer.estimator,
            scales_gradient=binarizer.scales_gradient,
            activation=activation,
            place=around.pop("place", "alone"),
            times=around.pop("times", 0),
        )
        return native_unit(
            form,
            x,
            latent,
            alpha=self.alpha,
            scale=scale,
            progress=self.progress,
            **around,
        )

    @torch.no_grad()
    def after_step(self) -> None:
        """To be called after each step of the optimizer."""
        if WEIGHTS[self.weights].clamped:
            self.weight.clamp_(-1.0, 1.0)

    def extra_repr(self) -> str:
        c_out, c_in = self.weight.shape[:2]
        return f"{c_in}, {c_out}, weights={self.weights!r}, estimator={self.estimator!r}"


class BinaryWeightConv2d(nn.Module):
    """3×3 convolution of full-precision activations with mean|W_o|·sgn(W), and a bias or none.

    Ma et al. 2019, "Efficient super resolution using binarized neural network": it saves
    memory, not operations, since it adds and subtracts full-precision numbers.
    """

    def __init__(self, c_in: int, c_out: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(c_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            weight: Tensor = BinaryWeight.apply(self.weight)  # type: ignore[no-untyped-call]
        else:
            weight = binary_weight(self.weight)
        return F.conv2d(x, weight, self.bias, padding=1)


class RPReLU(nn.Module):
    """Eq. 4; ``shifted=False`` is PReLU: no γ and ζ. γ = ζ = 0 and β = 0.25 at the start."""

    def __init__(self, channels: int, *, shifted: bool = True) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.full((channels,), 0.25))
        self.gamma = nn.Parameter(torch.zeros(channels)) if shifted else None
        self.zeta = nn.Parameter(torch.zeros(channels)) if shifted else None

    def forward(self, y: Tensor, residual: Tensor | None = None) -> Tensor:
        if not torch.is_grad_enabled():
            return rprelu_add(y, self.gamma, self.beta, self.zeta, residual)[0]
        out: Tensor = RPReLUAdd.apply(  # type: ignore[no-untyped-call]
            y, self.gamma, self.beta, self.zeta, residual
        )
        return out


def activation(name: str, channels: int) -> nn.Module:
    """The activation that a Design names, for ``channels`` channels."""
    match name:
        case "rprelu":
            return RPReLU(channels)
        case "prelu":
            return RPReLU(channels, shifted=False)
        case "relu":
            return nn.ReLU()
        case "hardtanh":
            return nn.Hardtanh()
        case _:
            return nn.Identity()


class BinaryUnit(nn.Module):
    """BBCU: binary convolution, normalisation, activation and the place of the residual.

    With f the activation and N the normalisation (or nothing):
    ``residual_branch`` f(N(conv(x))) + residual (V4); ``after_addition`` f(N(conv(x)) + residual)
    (V1 with BatchNorm, Eq. 5; V2 and V3 without). Residual alignment, which tells V3 from V2,
    belongs to the network. V1 is the unit of ReActNet (Liu et al. 2020): learned thresholds
    (RSign), RPReLU after the sum.
    """

    adds: ClassVar[bool] = True

    def __init__(self, c_in: int, c_out: int, design: Design) -> None:
        super().__init__()
        self.conv = BinaryConv2d(
            c_in,
            c_out,
            weights="scaled" if design.weight_scale else "sign",
            estimator=design.estimator,
        )
        self.norm = nn.BatchNorm2d(c_out) if design.norm == "batchnorm" else nn.Identity()
        self.activation = activation(design.activation, c_out)
        self.inside = design.activation_position == "residual_branch"

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        if isinstance(self.norm, nn.Identity) and native(x):
            return self._native(x, residual)
        y = self.norm(self.conv(x))
        if residual is None:
            return cast("Tensor", self.activation(y))
        if not self.inside:
            return cast("Tensor", self.activation(y + residual))
        if isinstance(self.activation, RPReLU):
            return cast("Tensor", self.activation(y, residual))
        return cast("Tensor", self.activation(y) + residual)

    def _native(self, x: Tensor, residual: Tensor | None) -> Tensor:
        f = self.activation
        around: dict[str, Any] = {}
        if isinstance(f, RPReLU):
            around = {"gamma": f.gamma, "beta": f.beta, "zeta": f.zeta}
        if residual is not None:
            around["place"] = "after" if self.inside else "before"
            if residual is x:
                around["times"] = 1
            else:
                around["residual"] = residual
        return self.conv.native(x, NATIVE[type(f)], **around)


NATIVE = {RPReLU: "prelu", nn.ReLU: "relu", nn.Hardtanh: "hardtanh", nn.Identity: "none"}
