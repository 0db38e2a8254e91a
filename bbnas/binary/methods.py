"""The units of the binary methods before BBCU, each declared as its equation reads.

All map (N, C_in, H, W) to (N, C_out, H, W). ReActNet is missing because its unit is BBCU-V1
(``bbnas.design.METHODS``), Ma et al. because it leaves the backbone as it is
(:class:`bbnas.binary.unit.BinaryWeightConv2d`). mean|W_o| is one scale per output channel, as in
the BBCU authors' code; the paper's Eq. 3 has one per layer.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbnas.binary.estimators import clip
from bbnas.binary.functions import minus_sgn, pixel_shuffle, repeat_channels
from bbnas.binary.kernels import native, run_chain
from bbnas.binary.unit import BBCU, BinaryConv2d, RPReLU, Unit
from bbnas.design import Design


def _conv(c_in: int, c_out: int, weights: str, estimator: str) -> BinaryConv2d:
    """The convolution of the earlier methods: activations are compared with 0."""
    return BinaryConv2d(c_in, c_out, weights=weights, estimator=estimator, threshold=False)


class BNN(Unit):
    """Hardtanh(BN(sgn(x) ⊛ sgn(W))): BNN (Courbariaux et al. 2016, Alg. 1). No residual.

    The gradient of sgn(x) is clip's. The gradient of sgn(W) passes unchanged, and W is clamped to
    [−1, 1] after each step.
    """

    convs_per_residual = 0

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(
            _conv(c_in, c_out, "sign", "clip"),
            norm=nn.BatchNorm2d(c_out),
            activation=nn.Hardtanh(),
            place="none",
        )


class XNORNet(Unit):
    """ReLU(K · (sgn(BN(x)) ⊛ mean|W_o|·sgn(W))): XNOR-Net (Rastegari et al. 2016, §3.2–3.3).

    The normalisation comes first (their Fig. 3), and there is no residual. ``activation_scale``
    is their K = box3×3(mean_c|BN(x)|), which most users of the method, and designs, leave out.
    """

    convs_per_residual = 0
    norm_first = True

    def __init__(self, c_in: int, c_out: int, activation_scale: bool = False) -> None:
        super().__init__(
            _conv(c_in, c_out, "scaled", "clip"),
            norm=nn.BatchNorm2d(c_in),
            activation=nn.ReLU(),
            place="none",
        )
        self.activation_scale = activation_scale

    def equation(self, x: Tensor, residual: Tensor | None) -> Tensor:
        x = self.norm(x)
        y = self.conv(x)
        if self.activation_scale:
            y = y * F.avg_pool2d(x.abs().mean(1, keepdim=True), 3, stride=1, padding=1)
        return cast("Tensor", self.activation(y))


class BiReal(Unit):
    """BN(sgn(x) ⊛ mean|W_o|·sgn(W)) + x: Bi-Real (Liu et al. 2018, §3.2), paper Eq. 6."""

    def __init__(self, c_in: int, c_out: int) -> None:
        conv = _conv(c_in, c_out, "scaled", "quadratic")
        super().__init__(conv, norm=nn.BatchNorm2d(c_out))


class IRNet(Unit):
    """BN(sgn(x) ⊛ 2^s·sgn(Ŵ)) + x: IR-Net (Qin et al. 2020), Ŵ standardised, EDE for both.

    Ŵ and s are its Eq. 7–8 and 11 (``bbnas.binary.weights``). EDE starts at t = 0.001 as in its
    code; the paper has 0.1 (``bbnas.binary.estimators``). The published unit is for
    classification and ends in Hardtanh(· + x). Hardtanh would clamp the residual stream of a
    restoration network, which carries the image, so every task leaves it out [ours].
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(_conv(c_in, c_out, "libra", "ede"), norm=nn.BatchNorm2d(c_out))


class BTM(Unit):
    """PReLU(sgn(x) ⊛ mean|W_o|·sgn(W)), a residual for each block of two: BTM (Jiang et al. 2021).

    There is no BatchNorm, and weights start Xavier-uniform. The network standardises the image
    and restores its mean and deviation at the output (``bbnas.networks``). The published formula
    is incomplete. Ours are: the estimator (Bi-Real's), the span of the residual (the backbone's
    block) and the statistics of the image (fixed ones of natural images).
    """

    convs_per_residual = 2

    def __init__(self, c_in: int, c_out: int) -> None:
        conv = _conv(c_in, c_out, "scaled", "quadratic")
        super().__init__(conv, activation=RPReLU(c_out, shifted=False))
        nn.init.xavier_uniform_(self.conv.weight)


class BAM(Unit):
    """BN(sgn(x) ⊛ mean|W_o|·sgn(W)) + residual: BAM (Xin et al. 2020).

    In the body the residual is an approximation of the full-precision stream by the 1-bit
    features of this layer and all earlier ones (:class:`Accumulation`). The published formula
    could not be verified; the estimator (clip) and the place of BatchNorm are ours.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(_conv(c_in, c_out, "scaled", "clip"), norm=nn.BatchNorm2d(c_out))


class Accumulation(nn.Module):
    """Σ_j s_j · sgn(x_j − t_j), the sum over the inputs x_j of ``layers`` layers (BAM).

    Each x_j and the sum are (N, C, H, W); s_j and t_j are learned. At the start t_j = 0, and
    s_j = 1/layers, so that the sum lies within the ±1 that clip lets pass. Each element and layer
    costs one comparison to a bit and one multiply-accumulate, each layer two parameters [ours]:
    so counted, 32 layers give the operations and parameters of BAM in Table 1.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.full((layers,), 1.0 / layers))
        self.thresholds = nn.Parameter(torch.zeros(layers))

    def forward(self, inputs: list[Tensor]) -> Tensor:
        terms = [
            sign(x - threshold) * scale
            for x, threshold, scale in zip(inputs, self.thresholds, self.scales, strict=True)
        ]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return cast("Tensor", total)


class SignFunction(torch.autograd.Function):
    """sgn(x), two-valued, with clip's gradient."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return -minus_sgn(0.0 - x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return clip(x, grad)


def sign(x: Tensor) -> Tensor:
    """sgn(x) for x of any shape: +1 above 0, else −1. The gradient is clip's."""
    if not torch.is_grad_enabled():
        return -minus_sgn(0.0 - x)
    return cast("Tensor", SignFunction.apply(x))  # type: ignore[no-untyped-call]


class PublishedUnit(Protocol):
    """The class of a method's unit, which (C_in, C_out) determine."""

    convs_per_residual: int

    def __call__(self, c_in: int, c_out: int) -> Unit: ...


UNITS: dict[str, PublishedUnit] = {
    "bnn": BNN,
    "xnornet": XNORNet,
    "bireal": BiReal,
    "irnet": IRNet,
    "btm": BTM,
    "bam": BAM,
}


def unit(c_in: int, c_out: int, design: Design) -> Unit:
    """The unit of the design's method, C_in → C_out."""
    if design.method == "bbcu":
        return BBCU(c_in, c_out, design)
    return UNITS[design.method](c_in, c_out)


def residual_span(design: Design) -> int:
    """The number of convolutions of the body under one residual; 0 for no residual."""
    if design.method == "bbcu":
        return design.convs_per_residual
    return UNITS[design.method].convs_per_residual


class BinaryUpsample(nn.Module):
    """BBCU-U: PixelShuffle(unit(x)) + nearest(x), (N, n, H, W) → (N, m, s·H, s·W).

    The unit maps n to m·s² channels. A residual before the activation is before the shuffle too.
    There x with each channel repeated s² times stands for nearest(x), which is the same. If m is
    not n, ``repeat_channels(x, m)`` takes the place of x in the residual.
    """

    def __init__(self, c_in: int, c_out: int, scale: int, design: Design) -> None:
        super().__init__()
        self.scale, self.channels = scale, c_out
        self.unit = unit(c_in, c_out * scale**2, design)

    def forward(self, x: Tensor) -> Tensor:
        unit, s = self.unit, self.scale
        if x.shape[1] != self.channels:
            return self._onto(repeat_channels(x, self.channels), x)
        # BBCU only. The kernel adds up the residual's gradients in another order than torch, and
        # the figures of the other methods stay what they were.
        if isinstance(unit, BBCU) and unit.fused and native(x):
            step = unit.step(adds=True, times=s**2, shuffle=s)
            return run_chain([step], x, progress=unit.conv.progress)
        return self._onto(x, x)

    def _onto(self, residual: Tensor, x: Tensor) -> Tensor:
        unit, s = self.unit, self.scale
        if unit.place == "before":
            return pixel_shuffle(unit(x, residual.repeat_interleave(s**2, dim=1)), s)
        y = pixel_shuffle(unit(x), s)
        if unit.place == "none":
            return y
        return y + F.interpolate(residual, scale_factor=s, mode="nearest")
