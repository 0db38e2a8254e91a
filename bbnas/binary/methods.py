"""The units of earlier binary methods, each as its equation reads.

All map (N, C_in, H, W) to (N, C_out, H, W) and take the part's residual, which they may leave
out: ``adds`` says whether they do. ``convs_per_residual`` is the span of a residual connection in
the body. ReActNet is not among them: its unit is BBCU-V1 (``bbnas.design.METHODS``). Nor is Ma et
al., which leaves the backbone as it is (``bbnas.binary.unit.BinaryWeightConv2d``). mean|W_o| is
one scale per output channel, as in the BBCU authors' code; the paper's Eq. 3 has one per layer.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbnas.binary.estimators import clip
from bbnas.binary.functions import minus_sgn
from bbnas.binary.kernels import native, run_chain
from bbnas.binary.unit import BinaryConv2d, BinaryUnit, RPReLU, whole_unit
from bbnas.design import Design


class Unit(nn.Module):
    """What all units share: one binary convolution, and whether they use the residual."""

    adds: ClassVar[bool] = True
    convs_per_residual: ClassVar[int] = 1

    def __init__(self, c_in: int, c_out: int, **conv: object) -> None:
        super().__init__()
        self.conv = BinaryConv2d(c_in, c_out, threshold=False, **conv)  # type: ignore[arg-type]


class BNN(Unit):
    """Hardtanh(BN(sgn(x) ⊛ sgn(W))): BNN (Courbariaux et al. 2016, Alg. 1). No residual.

    The gradient of sgn(x) is clip's; that of sgn(W) passes as it is, and W is clamped to [−1, 1]
    after each step.
    """

    adds = False
    convs_per_residual = 0

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, weights="sign", estimator="clip")
        self.norm = nn.BatchNorm2d(c_out)
        self.activation = nn.Hardtanh()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        whole = whole_unit(x, None, self.conv, self.norm, self.activation)
        return self.activation(self.norm(self.conv(x))) if whole is None else whole


class XNORNet(Unit):
    """ReLU(K · (sgn(BN(x)) ⊛ mean|W_o|·sgn(W))): XNOR-Net (Rastegari et al. 2016, §3.2–3.3).

    Normalisation comes first there (their Fig. 3); no residual. ``activation_scale`` is their
    K = box3×3(mean_c|BN(x)|), which most users of the method leave out, as the designs do.
    """

    adds = False
    convs_per_residual = 0

    def __init__(self, c_in: int, c_out: int, activation_scale: bool = False) -> None:
        super().__init__(c_in, c_out, weights="scaled", estimator="clip")
        self.norm = nn.BatchNorm2d(c_in)
        self.activation_scale = activation_scale

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        x = self.norm(x)
        y = self.conv(x)
        if self.activation_scale:
            y = y * F.avg_pool2d(x.abs().mean(1, keepdim=True), 3, stride=1, padding=1)
        return F.relu(y)


class BiReal(Unit):
    """BN(sgn(x) ⊛ mean|W_o|·sgn(W)) + x: Bi-Real (Liu et al. 2018, §3.2), paper Eq. 6."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, weights="scaled", estimator="quadratic")
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return _added(x, residual, self.conv, self.norm)


class IRNet(Unit):
    """BN(sgn(x) ⊛ 2^s·sgn(Ŵ)) + x: IR-Net (Qin et al. 2020), Ŵ standardised, EDE for both.

    Ŵ and s are its Eq. 7–8 and 11 (``bbnas.binary.weights``); EDE starts at t = 0.001 as in its
    code, where the paper has 0.1 (``bbnas.binary.estimators``). Published for classification, it
    ends in Hardtanh(· + x); that clamps the residual stream of a restoration network, which
    carries the image, so it is left out on every task [ours].
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, weights="libra", estimator="ede")
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return _added(x, residual, self.conv, self.norm)


class BTM(Unit):
    """PReLU(sgn(x) ⊛ mean|W_o|·sgn(W)), a residual a block of two: BTM (Jiang et al. 2021).

    No BatchNorm anywhere; weights start Xavier-uniform; the image is standardised and put back
    at the output, which the network does (``bbnas.networks``). The published formula is
    incomplete: the estimator (Bi-Real's), the span of the residual (the backbone's block) and
    the statistics of the image (fixed ones of natural images) are ours.
    """

    convs_per_residual = 2

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, weights="scaled", estimator="quadratic")
        nn.init.xavier_uniform_(self.conv.weight)
        self.activation = RPReLU(c_out, shifted=False)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        whole = whole_unit(x, residual, self.conv, None, self.activation)
        return cast("Tensor", self.activation(self.conv(x), residual)) if whole is None else whole


class BAM(Unit):
    """BN(sgn(x) ⊛ mean|W_o|·sgn(W)) + residual: BAM (Xin et al. 2020).

    In the body the residual is no full-precision stream but its approximation by the 1-bit
    features of this and all earlier layers (:class:`Accumulation`). The published formula could
    not be verified; estimator (clip) and the place of BatchNorm are ours.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(c_in, c_out, weights="scaled", estimator="clip")
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return _added(x, residual, self.conv, self.norm)


class Accumulation(nn.Module):
    """Σ_j s_j · sgn(x_j − t_j) over ``layers`` layers' inputs, s_j and t_j learned (BAM).

    A comparison to one bit and a multiply-accumulate an element and layer, two parameters a
    layer [ours]: counted as such, 32 layers give the operations and parameters that Table 1
    prints for BAM. s_j = 1/layers at the start, so that the sum starts within the ±1 that clip
    lets pass, and t_j = 0.
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


class Sign(torch.autograd.Function):
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
    """sgn(x) for x of any shape, +1 above 0 and else −1, with clip's gradient."""
    if not torch.is_grad_enabled():
        return -minus_sgn(0.0 - x)
    return cast("Tensor", Sign.apply(x))  # type: ignore[no-untyped-call]


def _added(x: Tensor, residual: Tensor | None, conv: BinaryConv2d, norm: nn.Module) -> Tensor:
    """norm(conv(x)) + residual."""
    whole = whole_unit(x, residual, conv, norm)
    if whole is not None:
        return whole
    y: Tensor = norm(conv(x))
    return y if residual is None else y + residual


UNITS: dict[str, type[Unit]] = {
    "bnn": BNN,
    "xnornet": XNORNet,
    "bireal": BiReal,
    "irnet": IRNet,
    "btm": BTM,
    "bam": BAM,
}


def unit(c_in: int, c_out: int, design: Design) -> BinaryUnit | Unit:
    """The unit of the design's method, C_in → C_out."""
    if design.method == "bbcu":
        return BinaryUnit(c_in, c_out, design)
    return UNITS[design.method](c_in, c_out)


def residual_span(design: Design) -> int:
    """Convolutions under one residual connection in the body; 0 for no residual."""
    if design.method == "bbcu":
        return design.convs_per_residual
    return UNITS[design.method].convs_per_residual


class BinaryUpsample(nn.Module):
    """BBCU-U: unit n → n·s², PixelShuffle s, residual = the input, nearest-upsampled.

    Repeating each input channel s² times before the shuffle is the same as nearest upsampling
    after it; with the activation after the addition the residual must be there before.
    """

    def __init__(self, channels: int, scale: int, design: Design) -> None:
        super().__init__()
        self.scale = scale
        self.unit = unit(channels, channels * scale**2, design)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.unit, BinaryUnit) and self.unit.chains and native(x):
            step = self.unit.step(True, times=self.scale**2, shuffle=self.scale)
            return run_chain([step], x, progress=self.unit.conv.progress)
        if not self.unit.adds:
            return F.pixel_shuffle(self.unit(x), self.scale)
        if isinstance(self.unit, BinaryUnit) and self.unit.inside:
            y = F.pixel_shuffle(self.unit(x), self.scale)
            return y + F.interpolate(x, scale_factor=self.scale, mode="nearest")
        repeated = x.repeat_interleave(self.scale**2, dim=1)
        return F.pixel_shuffle(self.unit(x, repeated), self.scale)
