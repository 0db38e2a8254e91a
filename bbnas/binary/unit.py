"""Binary convolution, RPReLU, and the unit made of them: BBCU V1 to V4 (paper §3.1, Fig. 2)."""

from __future__ import annotations

import math
from typing import ClassVar, cast

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
from bbnas.binary.kernels import (
    AFTER,
    ALONE,
    BEFORE,
    ESTIMATOR,
    GIVEN_SCALE,
    HARDTANH,
    LINEAR,
    MEAN_SCALE,
    NO_SCALE,
    SLOPE,
    Form,
    Step,
    native,
    run_chain,
)
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
            return run_chain([self.step()], x, progress=self.progress)
        latent = WEIGHTS[self.weights].latent
        seen = self.weight if latent is None else latent(self.weight)
        if not torch.is_grad_enabled():
            return binary_conv(x, self.alpha, seen, self.weights)[0]
        y: Tensor = BinaryConv.apply(  # type: ignore[no-untyped-call]
            x, self.alpha, seen, self.weights, self.estimator, self.progress
        )
        return y

    def step(
        self,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
        *,
        place: int = ALONE,
        times: int = 0,
        residual: int | None = None,
        shuffle: int = 1,
    ) -> Step:
        """The convolution and what stands around it as a step of ``bbnas.binary.kernels``."""
        binarizer = WEIGHTS[self.weights]
        latent = self.weight if binarizer.latent is None else binarizer.latent(self.weight)
        scaling, scale = NO_SCALE, None
        if binarizer.scale is mean_magnitude and torch.is_grad_enabled():
            scaling = MEAN_SCALE  # by the kernel; else by torch, whose last bit a .bbn file has
        elif binarizer.scale is not None:
            with torch.no_grad():
                scaling, scale = GIVEN_SCALE, binarizer.scale(latent)
        gamma = beta = zeta = None
        if isinstance(activation, RPReLU):
            gamma, beta, zeta = activation.gamma, activation.beta, activation.zeta
        form = Form(
            True,
            scaling,
            LINEAR if activation is None else KINDS[type(activation)],
            place,
            times,
            shuffle,
            isinstance(norm, nn.BatchNorm2d),
            ESTIMATOR[self.estimator],
            ESTIMATOR[binarizer.estimator],
            binarizer.scales_gradient,
        )
        step = Step(form, latent, self.alpha, None, gamma, beta, zeta, None, None, scale)
        if isinstance(norm, nn.BatchNorm2d):
            step = step._replace(norm=norm, norm_weight=norm.weight, norm_bias=norm.bias)
        return step._replace(residual=residual)

    def after_step(self) -> None:
        """To be called after each step of the optimizer."""
        if WEIGHTS[self.weights].clamped:
            with torch.no_grad():
                self.weight.clamp_(-1.0, 1.0)

    def extra_repr(self) -> str:
        c_out, c_in = self.weight.shape[:2]
        return f"{c_in}, {c_out}, weights={self.weights!r}, estimator={self.estimator!r}"


class Conv3x3(nn.Conv2d):
    """Full-precision 3×3 convolution with a bias or none, and ``conv3x3``'s end."""

    def __init__(self, c_in: int, c_out: int, *, bias: bool) -> None:
        super().__init__(c_in, c_out, 3, padding=1, bias=bias)

    def forward(self, x: Tensor, slope: float = 1.0, shuffle: int = 1) -> Tensor:
        return conv3x3(x, self.weight, self.bias, slope, shuffle)


def conv3x3(
    x: Tensor, weight: Tensor, bias: Tensor | None, slope: float = 1.0, shuffle: int = 1
) -> Tensor:
    """Zero-padded convolution, LeakyReLU of ``slope`` (1 for none, 0 is ReLU), PixelShuffle.

    (N, C_in, H, W) → (N, C_out / shuffle², H·shuffle, W·shuffle), full precision.
    """
    if native(x):
        form = Form(activation=LINEAR if slope == 1.0 else SLOPE, shuffle=shuffle)
        return run_chain([Step(form, weight.contiguous(), bias=bias, slope=slope)], x)
    y = F.conv2d(x, weight, bias, padding=1)
    if slope != 1.0:
        y = F.leaky_relu(y, slope)
    return y if shuffle == 1 else F.pixel_shuffle(y, shuffle)


class BinaryWeightConv2d(nn.Module):
    """3×3 convolution of full-precision activations with mean|W_o|·sgn(W), and a bias or none.

    Ma et al. 2019, "Efficient super resolution using binarized neural network": it saves
    memory, not operations, since it adds and subtracts full-precision numbers.
    """

    def __init__(self, c_in: int, c_out: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(c_out)) if bias else None

    def forward(self, x: Tensor, slope: float = 1.0, shuffle: int = 1) -> Tensor:
        if torch.is_grad_enabled():
            weight: Tensor = BinaryWeight.apply(self.weight)  # type: ignore[no-untyped-call]
        else:
            weight = binary_weight(self.weight)
        return conv3x3(x, weight, self.bias, slope, shuffle)


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
        whole = whole_unit(x, residual, self.conv, self.norm, self.activation, self.inside)
        if whole is not None:
            return whole
        y = self.norm(self.conv(x))
        if residual is None:
            return cast("Tensor", self.activation(y))
        if not self.inside:
            return cast("Tensor", self.activation(y + residual))
        if isinstance(self.activation, RPReLU):
            return cast("Tensor", self.activation(y, residual))
        return cast("Tensor", self.activation(y) + residual)

    @property
    def chains(self) -> bool:
        """Whether ``step`` is all of it: BatchNorm by running statistics is not."""
        return isinstance(self.norm, nn.Identity) or self.norm.training

    def step(
        self, adds: bool, *, times: int = 0, residual: int | None = None, shuffle: int = 1
    ) -> Step:
        """It as a step of ``bbnas.binary.kernels``; ``adds``: whether there is a residual."""
        place = ALONE if not adds else AFTER if self.inside else BEFORE
        return self.conv.step(
            self.norm, self.activation, place=place, times=times, residual=residual,
            shuffle=shuffle,
        )  # fmt: skip


def whole_unit(
    x: Tensor,
    residual: Tensor | None,
    conv: BinaryConv2d,
    norm: nn.Module | None = None,
    activation: nn.Module | None = None,
    inside: bool = True,
) -> Tensor | None:
    """activation(norm(conv(x))) + residual in one call of the library, if that can; else None.

    ``inside=False``: the residual is added before the activation.
    """
    if not native(x) or (isinstance(norm, nn.BatchNorm2d) and not norm.training):
        return None
    place = ALONE if residual is None else AFTER if inside else BEFORE
    step = conv.step(norm, activation, place=place, times=int(residual is x))
    outside = None if residual is x else residual
    return run_chain([step], x, outside=outside, progress=conv.progress)


# What the library's kernels call the activations.
KINDS: dict[type[nn.Module], int] = {
    RPReLU: SLOPE,
    nn.ReLU: SLOPE,
    nn.Hardtanh: HARDTANH,
    nn.Identity: LINEAR,
}
