"""A convolution and its unit by the compiled library: one call forward, one backward.

What the calls compute is in ``bbnas/native/src/training.inc``; the torch path that they replace,
and which holds where there is no library, is in ``bbnas.binary.functions``.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bbnas.binary.estimators import ESTIMATORS, ede_slope
from bbnas.errors import UserError
from bbnas.native import LIBRARY, choose_isa, library

Call = Callable[[bytes], int]

# In the order of training.h's enumerations and of its struct Unit.
ACTIVATIONS = ("none", "prelu", "relu", "hardtanh")
PLACES = ("alone", "before", "after")
_ESTIMATOR = {name: index for index, name in enumerate(ESTIMATORS)}
_UNIT = struct.Struct("13q2d18q")


@dataclass(frozen=True)
class Form:
    """What a unit is, apart from its numbers.

    ``mean_scale``: the scale is mean|V_o| (else one is given, or none); ``place`` of the residual
    and the activation; ``times``: the residual is the input, each channel so often (0: a tensor
    of its own, if any). Estimators by name.
    """

    one_bit: bool = False
    mean_scale: bool = False
    activation: str = "none"
    place: str = "alone"
    times: int = 0
    estimator: str = "identity"
    weight_estimator: str = "identity"
    scales_gradient: bool = False

    def numbers(self, scale: Tensor | None) -> tuple[int, ...]:
        return (
            int(self.one_bit),
            1 if self.mean_scale else 0 if scale is None else 2,
            ACTIVATIONS.index(self.activation),
            PLACES.index(self.place),
            self.times,
            _ESTIMATOR[self.estimator],
            _ESTIMATOR[self.weight_estimator],
            int(self.scales_gradient),
        )


def kernels() -> str:
    """What trains on a CPU here: ``native`` and the instruction set, or ``torch``.

    Raises:
        UserError: $BBNAS_ISA names an instruction set that is not there.
    """
    isa = _chosen(os.environ.get("BBNAS_ISA"))
    return f"native {isa}" if isa else "torch"


def native(x: Tensor) -> bool:
    """Whether the library's kernels take x (N, C, H, W): on a CPU, float32, and not traced."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch._C._get_tracing_state() is None
        and bool(_chosen(os.environ.get("BBNAS_ISA")))
    )


@cache
def _chosen(isa: str | None) -> str:
    return choose_isa(isa)


@cache
def _calls(isa: str) -> tuple[Call, Call]:
    found = library()
    assert not isinstance(found, str), "an instruction set was chosen"
    found.bbn_unit_size.restype = ctypes.c_int64
    if found.bbn_unit_size() != _UNIT.size:
        raise UserError(f"{LIBRARY.name} is of another version: install bbnas again")
    calls = getattr(found, f"bbn_forward_{isa}"), getattr(found, f"bbn_backward_{isa}")
    for call in calls:
        call.argtypes = [ctypes.c_char_p]
    return calls


def _run(backward: bool, *fields: float) -> None:
    if _calls(_chosen(os.environ.get("BBNAS_ISA")))[backward](_UNIT.pack(*fields)):
        raise UserError("no memory for a convolution: close other programs")


def _at(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def unit_forward(
    form: Form,
    x: Tensor,
    alpha: Tensor | None,
    latent: Tensor,
    scale: Tensor | None,
    gamma: Tensor | None,
    beta: Tensor | None,
    zeta: Tensor | None,
    residual: Tensor | None,
    keep: bool,
) -> tuple[Tensor, Tensor | None]:
    """The unit's output, and z where ``keep`` and the activation's gradient needs it.

    All float32 and contiguous: x (N, C_in, H, W), latent (C_out, C_in, 3, 3), the residual like
    the output, the rest one value a channel.
    """
    n, c_in, h, w = x.shape
    c_out = latent.shape[0]
    out = torch.empty((n, c_out, h, w))
    z = torch.empty_like(out) if keep and form.activation != "none" else None
    _run(
        False, n, c_in, c_out, h, w, *form.numbers(scale), 0.0, 0.0, _at(x), _at(alpha),
        _at(latent), _at(scale), _at(gamma), _at(beta), _at(zeta), _at(residual), out.data_ptr(),
        _at(z), 0, 0, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    return out, z


class NativeUnit(torch.autograd.Function):
    """``unit_forward``, and all its gradients in one call. ``progress``: see ``ESTIMATORS``."""

    @staticmethod
    def forward(
        ctx: Any,
        form: Form,
        progress: float,
        x: Tensor,
        alpha: Tensor | None,
        latent: Tensor,
        scale: Tensor | None,
        gamma: Tensor | None,
        beta: Tensor | None,
        zeta: Tensor | None,
        residual: Tensor | None,
    ) -> Tensor:
        out, z = unit_forward(
            form, x, alpha, latent, scale, gamma, beta, zeta, residual, keep=True
        )
        ctx.save_for_backward(x, alpha, latent, scale, beta, z)
        ctx.form, ctx.progress = form, progress
        ctx.shapes = gamma is not None, zeta is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, alpha, latent, scale, beta, z = ctx.saved_tensors
        form: Form = ctx.form
        grad = grad.contiguous()
        needs_x, needs_alpha = ctx.needs_input_grad[2:4]
        n, c_in, h, w = x.shape
        c_out = latent.shape[0]
        grad_x = torch.empty_like(x) if needs_x or needs_alpha else None
        grad_alpha = torch.empty_like(alpha) if needs_alpha else None
        grad_latent = torch.empty_like(latent)
        shifted, ended = ctx.shapes
        grad_gamma = latent.new_empty(c_out) if shifted else None
        grad_beta = None if beta is None else torch.empty_like(beta)
        grad_zeta = latent.new_empty(c_out) if ended else None
        grad_residual = None
        if ctx.needs_input_grad[9]:
            grad_residual = grad if form.place == "after" else torch.empty_like(grad)
        _run(
            True, n, c_in, c_out, h, w, *form.numbers(scale), *ede_slope(ctx.progress), _at(x),
            _at(alpha), _at(latent), _at(scale), 0, _at(beta), 0, 0, 0, _at(z), grad.data_ptr(),
            _at(grad_x), _at(grad_alpha), grad_latent.data_ptr(), _at(grad_gamma), _at(grad_beta),
            _at(grad_zeta), _at(grad_residual) if form.place == "before" else 0,
        )  # fmt: skip
        return (
            None, None, grad_x, grad_alpha, grad_latent, None, grad_gamma, grad_beta, grad_zeta,
            grad_residual,
        )  # fmt: skip


def native_unit(
    form: Form,
    x: Tensor,
    latent: Tensor,
    *,
    alpha: Tensor | None = None,
    scale: Tensor | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    zeta: Tensor | None = None,
    residual: Tensor | None = None,
    progress: float = 0.0,
) -> Tensor:
    """A unit of this form, (N, C_in, H, W) → (N, C_out, H, W); ``native(x)`` must hold."""
    x, latent = x.contiguous(), latent.contiguous()
    if residual is not None:
        residual = residual.contiguous()
    if not torch.is_grad_enabled():
        given = (x, alpha, latent, scale, gamma, beta, zeta, residual)
        return unit_forward(form, *given, keep=False)[0]
    out: Tensor = NativeUnit.apply(  # type: ignore[no-untyped-call]
        form, progress, x, alpha, latent, scale, gamma, beta, zeta, residual
    )
    return out
