"""The basic binary convolution unit and its variants V1 to V4 (paper §3.1, Fig. 2)."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbnas.binary.functions import BinaryConv, RPReLUAdd, binary_conv, rprelu_add
from bbnas.design import Design


class BinaryConv2d(nn.Module):
    """α-thresholded 1-bit 3×3 convolution, (N, C_in, H, W) → (N, C_out, H, W), paper Eq. 1–3."""

    progress: float = 0.0  # e/E, set by the training loop; only EDE reads it

    def __init__(
        self, c_in: int, c_out: int, *, scaled: bool = True, estimator: str = "quadratic"
    ) -> None:
        super().__init__()
        self.scaled, self.estimator = scaled, estimator
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.alpha = nn.Parameter(torch.zeros(c_in))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return binary_conv(x, self.alpha, self.weight, self.scaled)[0]
        y: Tensor = BinaryConv.apply(  # type: ignore[no-untyped-call]
            x, self.alpha, self.weight, self.scaled, self.estimator, self.progress
        )
        return y

    def extra_repr(self) -> str:
        c_out, c_in = self.weight.shape[:2]
        return f"{c_in}, {c_out}, scaled={self.scaled}, estimator={self.estimator!r}"


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
    """Binary convolution, normalisation, activation and the place of the residual.

    With f the activation and N the normalisation (or nothing):
    ``residual_branch`` f(N(conv(x))) + residual (V4); ``after_addition`` f(N(conv(x)) + residual)
    (V1 with BatchNorm, Eq. 5; V2 and V3 without). Residual alignment, which tells V3 from V2,
    belongs to the network.
    """

    def __init__(self, c_in: int, c_out: int, design: Design) -> None:
        super().__init__()
        self.conv = BinaryConv2d(
            c_in, c_out, scaled=design.weight_scale, estimator=design.estimator
        )
        self.norm = nn.BatchNorm2d(c_out) if design.norm == "batchnorm" else nn.Identity()
        self.activation = activation(design.activation, c_out)
        self.inside = design.activation_position == "residual_branch"

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        y = self.norm(self.conv(x))
        if residual is None:
            return cast("Tensor", self.activation(y))
        if not self.inside:
            return cast("Tensor", self.activation(y + residual))
        if isinstance(self.activation, RPReLU):
            return cast("Tensor", self.activation(y, residual))
        return cast("Tensor", self.activation(y) + residual)


class BinaryUpsample(nn.Module):
    """BBCU-U: unit n → n·s², PixelShuffle s, residual = the input, nearest-upsampled.

    Repeating each input channel s² times before the shuffle is the same as nearest upsampling
    after it; with the activation after the addition the residual must be there before.
    """

    def __init__(self, channels: int, scale: int, design: Design) -> None:
        super().__init__()
        self.scale = scale
        self.unit = BinaryUnit(channels, channels * scale**2, design)

    def forward(self, x: Tensor) -> Tensor:
        if self.unit.inside:
            y = F.pixel_shuffle(self.unit(x), self.scale)
            return y + F.interpolate(x, scale_factor=self.scale, mode="nearest")
        repeated = x.repeat_interleave(self.scale**2, dim=1)
        return F.pixel_shuffle(self.unit(x, repeated), self.scale)
