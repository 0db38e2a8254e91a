"""The unit: a convolution, a normalisation, an activation and the place of the residual.

:class:`Unit` declares the four and computes them; :class:`BBCU` is the unit of the paper (§3.1,
Fig. 2), ``bbnas.binary.methods`` holds those of earlier methods.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from bbnas.binary.estimators import SOFT, Progress
from bbnas.binary.functions import (
    BinaryConvFunction,
    BinaryWeightFunction,
    RPReLUAddFunction,
    binary_conv,
    binary_weight,
    pixel_shuffle,
    rprelu_add,
)
from bbnas.binary.kernels import (
    ACTIVATIONS,
    ESTIMATOR,
    PLACES,
    SCALINGS,
    Form,
    Parameters,
    Place,
    Step,
    native,
    run_chain,
)
from bbnas.binary.precision import conv2d
from bbnas.binary.weights import WEIGHTS, mean_magnitude
from bbnas.design import Design

# What is 1-bit of a 1-bit convolution in training: nothing yet, its weights, or weights and
# activations. The others are V and the soft sgn of ``bbnas.binary.estimators.SOFT``. In evaluation
# mode both are always 1-bit.
Stage = Literal["none", "weights", "both"]


class Unit(nn.Module):
    """f(N(conv(x))) with a residual: what replaces one convolution of a network.

    (N, C_in, H, W) → (N, C_out, H, W). ``norm`` is N and ``activation`` f. ``place`` says where
    the residual is added: ``before`` the activation, ``after`` it, or ``none`` for a method
    without residuals. A method whose equation has another shape overrides ``equation``, and
    declares ``norm_first`` if N comes before the convolution.

    The engine's compiler, the compiled kernels and the networks read these declarations.
    ``convs_per_residual`` is the number of convolutions of the body under one residual, 0 for no
    residual in the body.
    """

    convs_per_residual: ClassVar[int] = 1
    norm_first: ClassVar[bool] = False

    def __init__(
        self,
        conv: BinaryConv2d,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
        place: Place = "after",
    ) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm or nn.Identity()
        self.activation = activation or nn.Identity()
        self.place: Place = place

    def equation(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """The unit in torch."""
        y = self.norm(self.conv(x))
        if residual is None:
            return cast("Tensor", self.activation(y))
        if self.place == "before":
            return cast("Tensor", self.activation(y + residual))
        if isinstance(self.activation, RPReLU):  # adds ζ last
            return cast("Tensor", self.activation(y, residual))
        return cast("Tensor", self.activation(y) + residual)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """``residual`` (N, C_out, H, W) is optional; a unit of place ``none`` ignores it."""
        if self.place == "none":
            residual = None
        if not (self.fused and native(x)):
            return self.equation(x, residual)
        own_input = residual is x
        step = self.step(adds=residual is not None, times=int(own_input))
        return run_chain(
            [step], x, outside=None if own_input else residual, progress=self.conv.progress
        )

    @property
    def fused(self) -> bool:
        """Whether one call of the library can compute the unit.

        The library has BatchNorm after the convolution, by the statistics of the batch.
        """
        if not self.conv.one_bit:
            return False
        if isinstance(self.norm, nn.Identity):
            return True
        return self.norm.training and not self.norm_first

    @property
    def shifts(self) -> list[nn.Parameter]:
        """The parameters that are compared with the residual stream or added to it.

        They are thresholds α, the activation's γ and ζ, and the normalisation's.
        """
        own = [self.conv.alpha, *self.norm.parameters()]
        if isinstance(self.activation, RPReLU):
            own += [self.activation.gamma, self.activation.zeta]
        return [parameter for parameter in own if parameter is not None]

    def step(
        self, *, adds: bool, times: int = 0, residual: int | None = None, shuffle: int = 1
    ) -> Step:
        """The unit as a step of a chain (``bbnas.binary.kernels``).

        ``adds``: whether there is a residual; ``times``, ``residual`` and ``shuffle`` as in
        :class:`bbnas.binary.kernels.Step` and ``Form``.
        """
        place: Place = self.place if adds else "none"
        return self.conv.step(
            self.norm,
            self.activation,
            place=place,
            times=0 if place == "none" else times,
            residual=residual,
            shuffle=shuffle,
        )


class BBCU(Unit):
    """The paper's unit, V1 to V4, as a Design's axes declare it.

    With f the activation and N the normalisation or nothing:

    - V4: f(conv(x)) + residual, ``activation_position`` "residual_branch";
    - V1 (Eq. 5): f(N(conv(x)) + residual), "after_addition", N BatchNorm. It is the unit of
      ReActNet (Liu et al. 2020): learned thresholds (RSign), RPReLU after the sum;
    - V2 and V3: V1 without N. V3 has residual alignment, which is the network's.
    """

    def __init__(self, c_in: int, c_out: int, design: Design) -> None:
        inside = design.activation_position == "residual_branch"
        super().__init__(
            BinaryConv2d(
                c_in,
                c_out,
                weights="scaled" if design.weight_scale else "sign",
                estimator=design.estimator,
                redistribution=design.redistribution,
            ),
            norm=nn.BatchNorm2d(c_out) if design.norm == "batchnorm" else None,
            activation=activation(design.activation, c_out),
            place="after" if inside else "before",
        )


# The slope of a unit's LeakyReLU: a power of two, which a device without multipliers shifts by.
SHIFT = 0.25


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
        case "leaky":
            return nn.LeakyReLU(SHIFT)
        case _:
            return nn.Identity()


class RPReLU(nn.Module):
    """max(z, 0) + β·min(z, 0) + ζ with z = y − γ (paper Eq. 4), each of β, γ and ζ (C).

    γ = ζ = 0 and β = 0.25 at the start. ``shifted=False`` is PReLU, without γ and ζ.
    """

    def __init__(self, channels: int, *, shifted: bool = True) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.full((channels,), 0.25))
        self.gamma = nn.Parameter(torch.zeros(channels)) if shifted else None
        self.zeta = nn.Parameter(torch.zeros(channels)) if shifted else None

    def forward(self, y: Tensor, residual: Tensor | None = None) -> Tensor:
        """RPReLU(y) + residual; the residual is added before ζ, as the kernels do."""
        if not torch.is_grad_enabled():
            return rprelu_add(y, self.gamma, self.beta, self.zeta, residual)[0]
        out: Tensor = RPReLUAddFunction.apply(  # type: ignore[no-untyped-call]
            y, self.gamma, self.beta, self.zeta, residual
        )
        return out


# The kernels' name of each activation. Those named "slope" differ in β, or in one slope.
_KINDS: dict[type[nn.Module], str] = {
    RPReLU: "slope",
    nn.LeakyReLU: "slope",
    nn.ReLU: "slope",
    nn.Hardtanh: "hardtanh",
    nn.Identity: "none",
}


def _kind(activation: nn.Module) -> int:
    return ACTIVATIONS.index(_KINDS[type(activation)])


def _slope(activation: nn.Module | None) -> float:
    """The one slope of an activation without parameters."""
    return activation.negative_slope if isinstance(activation, nn.LeakyReLU) else 0.0


class BinaryConv2d(nn.Module):
    """1-bit 3×3 convolution, (N, C_in, H, W) → (N, C_out, H, W), paper Eq. 1–3.

    ``weights`` names a weight binarizer (``bbnas.binary.weights``), ``estimator`` the estimator
    of the activations' gradient (``bbnas.binary.estimators``). Activations are compared with a
    learned α_c, 0 at the start, or with 0 if ``threshold`` is False.

    Two choices of BiSRNet (Cai et al. 2023, as in its code) are learned too, and start at 1.
    With ``redistribution`` the signs are sgn(k_c·x − α_c), and ``gain`` is k (C_in); its b_c is
    −α_c. A packed model has it in its thresholds. With the estimator ``tanh`` the gradient is
    that of tanh(β(k_c·x − α_c)), with respect to β too, and ``steepness`` is β, one number.
    """

    # Set by the training loop. ``progress`` is e/E in 0..1; only EDE reads it.
    progress: Progress = 0.0
    stage: Stage = "both"

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        weights: str = "scaled",
        estimator: str = "quadratic",
        threshold: bool = True,
        redistribution: bool = False,
    ) -> None:
        super().__init__()
        self.weights, self.estimator = weights, estimator
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.alpha = nn.Parameter(torch.zeros(c_in)) if threshold else None
        self.gain = nn.Parameter(torch.ones(c_in)) if redistribution else None
        self.steepness = nn.Parameter(torch.ones(())) if estimator == "tanh" else None
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    @property
    def scaled(self) -> bool:
        """Whether each output channel is multiplied by a scale."""
        return WEIGHTS[self.weights].scale is not None

    @property
    def latent(self) -> Tensor:
        """V (C_out, C_in, 3, 3), the tensor whose signs are the 1-bit weights."""
        latent = WEIGHTS[self.weights].latent
        return self.weight if latent is None else latent(self.weight)

    @property
    def one_bit(self) -> bool:
        """Whether activations and weights are 1-bit now."""
        return self.stage == "both" or not self.training

    def forward(self, x: Tensor) -> Tensor:
        if not self.one_bit:
            return self._soft(x)
        if native(x):
            return run_chain([self.step()], x, progress=self.progress)
        if not torch.is_grad_enabled():
            return binary_conv(x, self.alpha, self.gain, self.latent, self.weights)[0]
        y: Tensor = BinaryConvFunction.apply(  # type: ignore[no-untyped-call]
            x,
            self.alpha,
            self.gain,
            self.steepness,
            self.latent,
            self.weights,
            self.estimator,
            self.progress,
        )
        return y

    def _soft(self, x: Tensor) -> Tensor:
        """The soft sgn of k·x − α, ⊛ V or ⊛ the 1-bit weights in the stage ``weights``."""
        u = x if self.gain is None else x * self.gain.view(1, -1, 1, 1)
        u = u if self.alpha is None else u - self.alpha.view(1, -1, 1, 1)
        u = u if self.steepness is None else u * self.steepness
        weight = self.latent
        if self.stage == "weights":
            weight = BinaryWeightFunction.apply(weight, self.weights, self.progress)  # type: ignore[no-untyped-call]
        return convolved(SOFT[self.estimator](u, self.progress), weight, None, nn.Identity(), 1)

    def step(
        self,
        norm: nn.Module | None = None,
        activation: nn.Module | None = None,
        *,
        place: Place = "none",
        times: int = 0,
        residual: int | None = None,
        shuffle: int = 1,
    ) -> Step:
        """The convolution as a step of a chain, with the other declarations of its unit."""
        binarizer, latent = WEIGHTS[self.weights], self.latent
        scaling, scale = "none", None
        if binarizer.scale is mean_magnitude and torch.is_grad_enabled():
            scaling = "mean"  # computed by the kernel
        elif binarizer.scale is not None:
            # Computed by torch: a .bbn file stores torch's bits, and inference must equal it.
            with torch.no_grad():
                scaling, scale = "given", binarizer.scale(latent)
        batchnorm = norm if isinstance(norm, nn.BatchNorm2d) else None
        gamma = beta = zeta = None
        if isinstance(activation, RPReLU):
            gamma, beta, zeta = activation.gamma, activation.beta, activation.zeta
        form = Form(
            one_bit=True,
            scaling=SCALINGS.index(scaling),
            activation=0 if activation is None else _kind(activation),
            place=PLACES.index(place),
            times=times,
            shuffle=shuffle,
            norm=batchnorm is not None,
            estimator=ESTIMATOR[self.estimator],
            weight_estimator=ESTIMATOR[binarizer.estimator],
            scales_gradient=binarizer.scales_gradient,
            slope=_slope(activation),
        )
        parameters = Parameters(
            latent,
            alpha=self.alpha,
            gain=self.gain,
            steepness=self.steepness,
            gamma=gamma,
            beta=beta,
            zeta=zeta,
            norm_weight=None if batchnorm is None else batchnorm.weight,
            norm_bias=None if batchnorm is None else batchnorm.bias,
            scale=scale,
        )
        return Step(form, parameters, residual, batchnorm)

    def after_step(self) -> None:
        """Clamp the weights of BNN to [−1, 1]; call it after each step of the optimizer."""
        if WEIGHTS[self.weights].clamped:
            with torch.no_grad():
                self.weight.clamp_(-1.0, 1.0)

    def extra_repr(self) -> str:
        c_out, c_in = self.weight.shape[:2]
        return f"{c_in}, {c_out}, weights={self.weights!r}, estimator={self.estimator!r}"


class FullConv2d(nn.Conv2d):
    """Full-precision 3×3 or 1×1 convolution, then its activation, then PixelShuffle.

    (N, C_in, H, W) → (N, C_out / shuffle², H·shuffle, W·shuffle). ``activation`` is an nn.ReLU,
    an nn.LeakyReLU, or None.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        bias: bool,
        activation: nn.Module | None = None,
        shuffle: int = 1,
        kernel: int = 3,
    ) -> None:
        super().__init__(c_in, c_out, kernel, padding=kernel // 2, bias=bias)
        self.activation, self.shuffle = activation or nn.Identity(), shuffle

    def forward(self, x: Tensor) -> Tensor:
        return convolved(x, self.weight, self.bias, self.activation, self.shuffle)


class BinaryWeightConv2d(nn.Module):
    """:class:`FullConv2d` with the weights mean|W_o|·sgn(W); activations stay full precision.

    Ma et al. 2019, "Efficient super resolution using binarized neural network". It saves memory
    and no operations, since it adds and subtracts full-precision numbers.
    """

    progress: Progress = 0.0  # as those of BinaryConv2d
    stage: Stage = "both"

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        bias: bool,
        activation: nn.Module | None = None,
        shuffle: int = 1,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(c_out)) if bias else None
        self.activation, self.shuffle = activation or nn.Identity(), shuffle

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.weight
        if not torch.is_grad_enabled():
            weight = binary_weight(weight, "scaled")
        elif self.stage != "none" or not self.training:
            weight = BinaryWeightFunction.apply(weight, "scaled", self.progress)  # type: ignore[no-untyped-call]
        return convolved(x, weight, self.bias, self.activation, self.shuffle)


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: nn.Module, shuffle: int
) -> Tensor:
    """PixelShuffle(activation(x ⊛ weight + bias)), zero-padded, in full precision."""
    if native(x) and weight.shape[-1] == 3:
        form = Form(activation=_kind(activation), slope=_slope(activation), shuffle=shuffle)
        return run_chain([Step(form, Parameters(weight.contiguous(), bias=bias))], x)
    y: Tensor = activation(conv2d(x, weight, bias))
    return y if shuffle == 1 else pixel_shuffle(y, shuffle)
