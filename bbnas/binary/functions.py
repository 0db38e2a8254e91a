"""Binary convolution and RPReLU in torch, forward and backward, in few passes over memory.

This path runs where the compiled kernels cannot (``bbnas.binary.kernels``), and the tests compare
the kernels with it. The operations are autograd functions because the passes over memory, not the
arithmetic, take the time of a binary unit in training.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from bbnas.binary.estimators import ESTIMATORS, Progress
from bbnas.binary.precision import conv2d_of_signs, reduced
from bbnas.binary.weights import WEIGHTS

_ONE = torch.ones(())


@cache
def _one(device: torch.device) -> Tensor:
    """1 on a device: a CUDA graph cannot hold a copy from the CPU's memory."""
    with torch.inference_mode(False):
        return torch.ones((), device=device)


def minus_sgn(u: Tensor) -> Tensor:
    """−sgn(−u) for u of any shape: −1 where u < 0, else +1. No element of u may be −0.0.

    With u = α − x, an x equal to its threshold gives +1 here, so sgn is −1 as in the paper's
    Eq. 2: the difference is −0.0 only if α is −0.0 and x is +0.0. copysign is one vectorised pass;
    `torch.where` takes forty times as long.
    """
    return torch.copysign(_ONE if u.is_cpu else _one(u.device), u)


def binarize(x: Tensor, alpha: Tensor | None, gain: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """``u`` = α − k·x and −sgn(k·x − α) for x (N, C, H, W).

    Thresholds α and ``gain`` k are (C), None for 0 and for 1.
    """
    if gain is not None:
        x = x * gain.view(1, -1, 1, 1)
    # + 0.0 turns a threshold of −0.0 into +0.0, because minus_sgn admits no −0.0.
    u = 0.0 - x if alpha is None else (alpha + 0.0).view(1, -1, 1, 1) - x
    return u, minus_sgn(u)


def binarize_weight(weight: Tensor, channels_last: bool) -> Tensor:
    """−sgn(W) for W (C_out, C_in, 3, 3), two-valued."""
    minus = minus_sgn(0.0 - weight)
    return minus.contiguous(memory_format=torch.channels_last) if channels_last else minus


def binary_conv(
    x: Tensor, alpha: Tensor | None, gain: Tensor | None, latent: Tensor, weights: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """The output of BinaryConvFunction, then u, −sgn(k·x − α), −sgn(V) and the scale (C_out)."""
    u, xb = binarize(x, alpha, gain)
    wb = binarize_weight(latent, x.is_contiguous(memory_format=torch.channels_last))
    y = conv2d_of_signs(xb, wb)  # the two minus signs cancel
    scale = WEIGHTS[weights].scale
    if scale is None:
        return y, u, xb, wb, None
    scales = scale(latent)
    return y.mul_(scales.view(1, -1, 1, 1)), u, xb, wb, scales


def rprelu_add(
    y: Tensor, gamma: Tensor | None, beta: Tensor, zeta: Tensor | None, residual: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The output of RPReLUAddFunction, then z = y − γ."""
    z = y if gamma is None else y - gamma.view(1, -1, 1, 1)
    out = torch.prelu(z, beta)
    if residual is not None:
        out = out.add_(residual)
    if zeta is not None:
        out = out.add_(zeta.view(1, -1, 1, 1))
    return out, z


def latent_gradient(latent: Tensor, grad: Tensor, weights: str, progress: Progress) -> Tensor:
    """The gradient of V from that of the 1-bit weights, all (C_out, C_in, 3, 3)."""
    binarizer = WEIGHTS[weights]
    gradient = ESTIMATORS[binarizer.estimator](latent, grad, progress)
    if binarizer.scales_gradient and binarizer.scale is not None:
        gradient = gradient * binarizer.scale(latent).view(-1, 1, 1, 1)
    return gradient


class BinaryConvFunction(torch.autograd.Function):
    """scale(V) · (sgn(k·x − α) ⊛ sgn(V)), 3×3, zero padding after binarization (paper Eq. 1–3).

    The convolution adds whole numbers, which is exact, like XNOR and popcount. The scale
    multiplies the sums. ``weights`` names a WeightBinarizer, ``latent`` is its V. In the backward
    pass ``estimator`` replaces the derivative of the activations' sgn, the binarizer's own that
    of the weights' sgn. ``steepness`` is β, the factor of the estimator's argument, None for 1:
    the gradient is that of a function of β·(k·x − α), with respect to β too.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        alpha: Tensor | None,
        gain: Tensor | None,
        steepness: Tensor | None,
        latent: Tensor,
        weights: str,
        estimator: str,
        progress: Progress,
    ) -> Tensor:
        y, u, xb, wb, scale = binary_conv(x, alpha, gain, latent, weights)
        kept = None if gain is None else x
        ctx.save_for_backward(u, xb, wb, latent, scale, kept, gain, steepness)
        ctx.weights, ctx.estimator, ctx.progress = weights, estimator, progress
        ctx.reduced = reduced()  # autograd may run the backward pass in another thread
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, xb, wb, latent, scale, x, gain, steepness = ctx.saved_tensors
        # xb and wb are −sgn(k·x − α) and −sgn(V), hence the minus signs below.
        kernel = -wb if scale is None else wb * -scale.view(-1, 1, 1, 1)
        mask = [any(ctx.needs_input_grad[:4]), True, False]
        if ctx.reduced:  # gradients need bfloat16's range
            grad, xb, kernel = grad.bfloat16(), xb.bfloat16(), kernel.bfloat16()
        grad_xb, grad_wb, _ = torch.ops.aten.convolution_backward(
            grad, xb, kernel, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask
        )
        if ctx.reduced:
            grad_wb = grad_wb.float()
        grad_x = grad_alpha = grad_gain = grad_steepness = None
        if grad_xb is not None:
            grad_xb = grad_xb.to(u.dtype)
            estimate = ESTIMATORS[ctx.estimator]
            if steepness is None:
                grad_x = estimate(u, grad_xb, ctx.progress)
            else:
                grad_x = estimate(u * steepness, grad_xb, ctx.progress)
                grad_steepness = (grad_x * u).sum().neg_()
                grad_x = grad_x * steepness
            if ctx.needs_input_grad[1]:
                grad_alpha = grad_x.sum((0, 2, 3)).neg_()
            if gain is not None:
                grad_gain = (grad_x * x).sum((0, 2, 3))
                grad_x = grad_x * gain.view(1, -1, 1, 1)
        grad_latent = latent_gradient(latent, grad_wb.neg(), ctx.weights, ctx.progress)
        return grad_x, grad_alpha, grad_gain, grad_steepness, grad_latent, None, None, None


def binary_weight(latent: Tensor, weights: str) -> Tensor:
    """scale(V) · sgn(V) for V (C_out, C_in, 3, 3); ``weights`` names the binarizer."""
    minus, scale = binarize_weight(latent, False), WEIGHTS[weights].scale
    return -minus if scale is None else minus * -scale(latent).view(-1, 1, 1, 1)


class BinaryWeightFunction(torch.autograd.Function):
    """``binary_weight``, whose gradient is that of BinaryConvFunction."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, weights: str, progress: Progress) -> Tensor:
        ctx.save_for_backward(latent)
        ctx.weights, ctx.progress = weights, progress
        return binary_weight(latent, weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (latent,) = ctx.saved_tensors
        return latent_gradient(latent, grad, ctx.weights, ctx.progress), None, None


class RPReLUAddFunction(torch.autograd.Function):
    """RPReLU(y) + residual (paper Eq. 4): max(z, 0) + β·min(z, 0) + ζ + residual, z = y − γ.

    y is (N, C, H, W) and β (C). γ and ζ are (C), or None for PReLU. The residual is None or of the
    shape of y.
    """

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        gamma: Tensor | None,
        beta: Tensor,
        zeta: Tensor | None,
        residual: Tensor | None,
    ) -> Tensor:
        out, z = rprelu_add(y, gamma, beta, zeta, residual)
        ctx.save_for_backward(z, beta)
        ctx.shifted = gamma is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        z, beta = ctx.saved_tensors
        positive = torch.ops.aten.threshold_backward(grad, z, 0)
        grad_z = torch.lerp(positive, grad, beta.view(1, -1, 1, 1))
        grad_beta = z.clamp_max(0).mul_(grad).sum((0, 2, 3))
        grad_gamma = grad_zeta = None
        if ctx.shifted:
            grad_gamma = grad_z.sum((0, 2, 3)).neg_()
            grad_zeta = grad.sum((0, 2, 3))
        return grad_z, grad_gamma, grad_beta, grad_zeta, grad if ctx.needs_input_grad[4] else None


def repeat_channels(x: Tensor, channels: int) -> Tensor:
    """X (N, c, H, W) with another number of channels: each ⌊channels/c⌋ times, then the first ones
    again to fill (BBCU-H's residual); of fewer channels than c, the first ones.
    """
    times, rest = divmod(channels, int(x.shape[1]))  # a tensor when traced
    if times == 0:
        return x[:, :channels]
    return torch.cat([x.repeat_interleave(times, dim=1), x[:, :rest]], dim=1)


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """PixelShuffle that keeps channels-last tensors so, as torch does on a CPU alone."""
    y = F.pixel_shuffle(x, factor)
    last = torch.channels_last
    if x.is_contiguous(memory_format=last) and not y.is_contiguous(memory_format=last):
        y = y.contiguous(memory_format=last)
    return y
