"""Units of a network by the compiled library: one call forward, one backward each.

What the calls compute is in ``bbnas/native/src/training.inc``; the torch path that they replace,
and which holds where there is no library, is in ``bbnas.binary.functions``.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bbnas.binary.estimators import ESTIMATORS, ede_slope
from bbnas.errors import UserError
from bbnas.native import LIBRARY, choose_isa, library

Call = Callable[[bytes], int]

# The enumerations of training.h, and its struct Unit.
NO_SCALE, MEAN_SCALE, GIVEN_SCALE = range(3)
LINEAR, SLOPE, HARDTANH = range(3)
ALONE, BEFORE, AFTER = range(3)
ESTIMATOR = {name: index for index, name in enumerate(ESTIMATORS)}
_UNIT = struct.Struct("14q3d20q")
_INPUT, _NONE = 0, -1


class Form(NamedTuple):
    """What a unit is, apart from its numbers: fields of the library's struct, in its order.

    ``place``: of the residual and the activation. ``times``: the residual is the unit's input,
    each channel so often; 0: a tensor of its own. ``shuffle``: PixelShuffle's factor, last.
    """

    one_bit: bool = False
    scaling: int = NO_SCALE
    activation: int = LINEAR
    place: int = ALONE
    times: int = 0
    shuffle: int = 1
    estimator: int = 0
    weight_estimator: int = 0
    scales_gradient: bool = False


class Step(NamedTuple):
    """One unit of a chain.

    ``latent`` (C_out, C_in, 3, 3), the rest one value a channel or None; ``slope`` is that of the
    activation without a ``beta``. ``residual``: for ``times`` 0, which tensor of the chain is
    added: 0 its input, i the output of step i − 1, None the one from outside.
    """

    form: Form
    latent: Tensor
    alpha: Tensor | None = None
    scale: Tensor | None = None
    bias: Tensor | None = None
    gamma: Tensor | None = None
    beta: Tensor | None = None
    zeta: Tensor | None = None
    slope: float = 0.0
    residual: int | None = None


_TENSORS = 7  # of a step, after its form


def native(x: Tensor) -> bool:
    """Whether the library's kernels take x (N, C, H, W): on a CPU, float32, and not traced."""
    return (
        x.is_cpu
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


def _run(call: Call, *fields: float) -> None:
    if call(_UNIT.pack(*fields)):
        raise UserError("no memory for a convolution: close other programs")


def _at(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _forward(
    steps: Sequence[Step], x: Tensor, outside: Tensor | None, keep: bool
) -> tuple[list[Tensor], list[Tensor | None]]:
    """The chain's input and the outputs of its steps, and their z where ``keep``."""
    call = _calls(_chosen(os.environ.get("BBNAS_ISA")))[0]
    seen, kept = [x], []
    for form, latent, alpha, scale, bias, gamma, beta, zeta, slope, residual in steps:
        n, c_in, h, w = x.shape
        c_out, s = latent.shape[0], form.shuffle
        out = torch.empty((n, c_out // s**2, h * s, w * s))
        z = torch.empty((n, c_out, h, w)) if keep and form.activation else None
        added = outside if residual is None else seen[residual]
        _run(
            call, n, c_in, c_out, h, w, *form, slope, 0.0, 0.0, x.data_ptr(), _at(alpha),
            latent.data_ptr(), _at(scale), _at(bias), _at(gamma), _at(beta), _at(zeta), _at(added),
            out.data_ptr(), _at(z), 0, 0, 0, 0, 0, 0, 0, 0, 0,
        )  # fmt: skip
        seen.append(out)
        kept.append(z)
        x = out
    return seen, kept


class NativeChain(torch.autograd.Function):
    """Steps one after the other as one node of autograd, which costs as much as a small unit.

    ``tensors`` are the steps' own: autograd finds only what a function is given by itself.
    """

    @staticmethod
    def forward(
        ctx: Any,
        steps: Sequence[Step],
        progress: float,
        x: Tensor,
        outside: Tensor | None,
        *tensors: Tensor | None,
    ) -> Tensor:
        seen, ctx.kept = _forward(steps, x, outside, keep=True)
        ctx.save_for_backward(x, *tensors)
        ctx.between, ctx.progress = seen[1:-1], progress
        ctx.forms = [(step.form, step.slope, step.residual) for step in steps]
        return seen[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        call = _calls(_chosen(os.environ.get("BBNAS_ISA")))[1]
        x, *tensors = ctx.saved_tensors
        needs = ctx.needs_input_grad
        seen = [x, *ctx.between]
        slope_of_ede = ede_slope(ctx.progress)
        grads: list[Tensor | None] = [None] * len(tensors)
        arrived: dict[int, Tensor] = {}  # by residuals, at tensors of the chain
        to_outside = None
        for i in range(len(seen) - 1, -1, -1):
            form, slope, residual = ctx.forms[i]
            x, at = seen[i], i * _TENSORS
            latent, alpha, scale, bias, gamma, beta, zeta = tensors[at : at + _TENSORS]
            needed = needs[4 + at : 4 + at + _TENSORS]
            n, c_in, h, w = x.shape
            grad = grad.contiguous()
            if i + 1 in arrived:
                grad = grad + arrived.pop(i + 1)
            grad_x = torch.empty_like(x) if i or needs[2] or needed[1] else None
            of_residual = None
            if form.place and not form.times and (residual is not None or needs[3]):
                of_residual = x.new_empty((n, latent.shape[0], h, w))
            found = [
                None if t is None or not need else torch.empty_like(t)
                for t, need in zip((latent, alpha, bias, gamma, beta, zeta),
                                   (True, *needed[1:2], *needed[3:]), strict=True)
            ]  # fmt: skip
            of_latent, of_alpha, of_bias, of_gamma, of_beta, of_zeta = found
            _run(
                call, n, c_in, latent.shape[0], h, w, *form, slope, *slope_of_ede, x.data_ptr(),
                _at(alpha), latent.data_ptr(), _at(scale), 0, 0, _at(beta), 0, 0, 0,
                _at(ctx.kept[i]), grad.data_ptr(), _at(grad_x), _at(of_alpha), _at(of_latent),
                _at(of_bias), _at(of_gamma), _at(of_beta), _at(of_zeta), _at(of_residual),
            )  # fmt: skip
            grads[at : at + _TENSORS] = (
                of_latent, of_alpha, None, of_bias, of_gamma, of_beta, of_zeta
            )  # fmt: skip
            if of_residual is not None:
                if residual is None:
                    to_outside = of_residual
                elif residual in arrived:
                    arrived[residual] += of_residual
                else:
                    arrived[residual] = of_residual
            grad = grad_x
        if 0 in arrived and grad is not None:
            grad = grad + arrived.pop(0)
        return None, None, grad, to_outside, *grads


def run_chain(
    steps: Sequence[Step], x: Tensor, *, outside: Tensor | None = None, progress: float = 0.0
) -> Tensor:
    """The output of the last step, (N, C, H, W), for x (N, C_in, H, W) with ``native(x)``.

    ``outside`` is a residual from elsewhere, like the output of the step that adds it.
    """
    x = x.contiguous()
    if outside is not None:
        outside = outside.contiguous()
    if not torch.is_grad_enabled():
        return _forward(steps, x, outside, keep=False)[0][-1]
    tensors = [tensor for step in steps for tensor in step[1 : 1 + _TENSORS]]
    out: Tensor = NativeChain.apply(  # type: ignore[no-untyped-call]
        steps, progress, x, outside, *tensors
    )
    return out
