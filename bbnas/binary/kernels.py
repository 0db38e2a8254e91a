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
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
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
_UNIT = struct.Struct("15q5d29q")
_NO_GRADIENTS = (0,) * 11


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
    norm: bool = False
    estimator: int = 0
    weight_estimator: int = 0
    scales_gradient: bool = False


class Step(NamedTuple):
    """One unit of a chain.

    ``latent`` (C_out, C_in, 3, 3), the rest one value a channel or None; ``slope`` is that of the
    activation without a ``beta``. ``norm``: the BatchNorm, in training, of the two tensors named
    after it; its running statistics are updated. ``residual``: for ``times`` 0, which tensor of
    the chain is added: 0 its input, i the output of step i − 1, None the one from outside.
    """

    form: Form
    latent: Tensor
    alpha: Tensor | None = None
    bias: Tensor | None = None
    gamma: Tensor | None = None
    beta: Tensor | None = None
    zeta: Tensor | None = None
    norm_weight: Tensor | None = None
    norm_bias: Tensor | None = None
    scale: Tensor | None = None
    slope: float = 0.0
    residual: int | None = None
    norm: nn.BatchNorm2d | None = None

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return self[1:10]


_TENSORS = 9  # of a step, with its scale last


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


class _Kept(NamedTuple):
    """What a step leaves for its backward pass, but its input."""

    z: Tensor | None = None
    y: Tensor | None = None
    statistics: Tensor | None = None  # (2, C): the mean and 1/√(var + ε) of y

    def pointers(self) -> tuple[int, ...]:
        if self.statistics is None:
            return _at(self.z), 0, 0, 0
        mean, deviation = self.statistics
        return _at(self.z), _at(self.y), mean.data_ptr(), deviation.data_ptr()


def _forward(
    steps: Sequence[Step], x: Tensor, outside: Tensor | None, keep: bool
) -> tuple[list[Tensor], list[_Kept]]:
    """The chain's input and the outputs of its steps, and what those keep."""
    call = _calls(_chosen(os.environ.get("BBNAS_ISA")))[0]
    seen: list[Tensor] = [x]
    kept: list[_Kept] = []
    for step in steps:
        form, norm = step.form, step.norm
        n, c_in, h, w = x.shape
        c_out, s = step.latent.shape[0], form.shuffle
        out = torch.empty((n, c_out // s**2, h * s, w * s))
        z = torch.empty((n, c_out, h, w)) if keep and form.activation != LINEAR else None
        added = outside if step.residual is None else seen[step.residual]
        settings, running, own = (0.0, 0.0), (0, 0), _Kept(z)
        if norm is not None:
            if n * h * w == 1:  # as torch does
                raise ValueError("a BatchNorm trains on more than 1 value per channel")
            own = _Kept(z, torch.empty((n, c_out, h, w)), torch.empty((2, c_out)))
            settings = norm.eps, cast("float", norm.momentum)
            running = _at(norm.running_mean), _at(norm.running_var)
            cast("Tensor", norm.num_batches_tracked).add_(1)
        _run(
            call, n, c_in, c_out, h, w, *form, step.slope, 0.0, 0.0, *settings, x.data_ptr(),
            *map(_at, step.tensors), _at(added), out.data_ptr(), *own.pointers(), *running,
            *_NO_GRADIENTS,
        )  # fmt: skip
        seen.append(out)
        kept.append(own)
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
        grad = grad.contiguous()
        call = _calls(_chosen(os.environ.get("BBNAS_ISA")))[1]
        x, *tensors = ctx.saved_tensors
        _, _, needs_x, needs_outside, *needs = ctx.needs_input_grad
        seen: list[Tensor] = [x, *ctx.between]
        t, kt = ede_slope(ctx.progress)
        grads: list[Tensor | None] = [None] * len(tensors)
        arrived: dict[int | None, Tensor] = {}  # by residuals, at tensors of the chain
        for i in range(len(seen) - 1, -1, -1):
            form, slope, residual = ctx.forms[i]
            x, own = seen[i], slice(i * _TENSORS, (i + 1) * _TENSORS)
            n, c_in, h, w = x.shape
            latent = tensors[own.start]
            of = [None if p is None or not need else torch.empty_like(p)
                  for p, need in zip(tensors[own], needs[own], strict=True)]  # fmt: skip
            if of[0] is None:
                of[0] = torch.empty_like(latent)
            of_x = torch.empty_like(x) if i or needs_x or of[1] is not None else None
            of_residual = None
            if form.place != ALONE and not form.times and (residual is not None or needs_outside):
                of_residual = torch.empty((n, latent.shape[0], h, w))
            _run(
                call, n, c_in, latent.shape[0], h, w, *form, slope, t, kt, 0.0, 0.0,
                x.data_ptr(), *map(_at, tensors[own]), 0, 0, *ctx.kept[i].pointers(), 0, 0,
                grad.data_ptr(), _at(of_x),
                *map(_at, of[:-1]), _at(of_residual),
            )  # fmt: skip
            grads[own] = of
            if of_residual is not None:
                before = arrived.get(residual)
                arrived[residual] = of_residual if before is None else before + of_residual
            if i in arrived and of_x is not None:
                of_x += arrived.pop(i)
            if i:
                grad = cast("Tensor", of_x)
        return None, None, of_x, arrived.get(None), *grads


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
    tensors = [tensor for step in steps for tensor in step.tensors]
    out: Tensor = NativeChain.apply(  # type: ignore[no-untyped-call]
        steps, progress, x, outside, *tensors
    )
    return out
