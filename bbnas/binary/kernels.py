"""Chains of units by the compiled library: one call forward and one call backward for each unit.

``bbnas/native/src/training.inc`` defines the arithmetic. ``bbnas.binary.functions`` computes the
same in torch, on machines without the library and on devices other than a CPU.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from ctypes import c_double, c_int64, c_void_p
from functools import cache
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bbnas.binary.estimators import ESTIMATORS, Progress, ede_slope
from bbnas.binary.precision import reduced
from bbnas.errors import UserError
from bbnas.native import LIBRARY, choose_isa, library

Place = Literal["none", "before", "after"]

# The enumerations of training.h: a name's index is its value there.
SCALINGS = ("none", "mean", "given")
ACTIVATIONS = ("none", "slope", "hardtanh")
PLACES: tuple[Place, ...] = ("none", "before", "after")
ESTIMATOR = {name: index for index, name in enumerate(ESTIMATORS)}


class Parameters(NamedTuple):
    """The tensors of a unit: ``latent`` (C_out, C_in, 3, 3), ``steepness`` (), the others one
    value a channel.

    None stands for an absent tensor. ``scale`` gets no gradient.
    """

    latent: Tensor
    alpha: Tensor | None = None
    gain: Tensor | None = None
    steepness: Tensor | None = None
    bias: Tensor | None = None
    gamma: Tensor | None = None
    beta: Tensor | None = None
    zeta: Tensor | None = None
    norm_weight: Tensor | None = None
    norm_bias: Tensor | None = None
    scale: Tensor | None = None


class Form(ctypes.Structure):
    """The unit's kind, apart from its tensors: the fields ``one_bit`` to ``slope`` of C's Unit.

    ``scaling``, ``activation`` and ``place`` are indices of the tuples above, ``estimator`` and
    ``weight_estimator`` values of ``ESTIMATOR``. ``times`` > 0: the residual is the unit's input,
    each channel repeated ``times`` times; 0: the residual is a tensor of its own. ``shuffle`` is
    the factor of the PixelShuffle at the end, 1 for none. ``slope`` applies to an activation
    without ``beta``.
    """

    _fields_ = [
        *((name, c_int64) for name in (
            "one_bit", "scaling", "activation", "place", "times", "shuffle", "norm", "estimator",
            "weight_estimator", "scales_gradient",
        )),
        ("slope", c_double),
    ]  # fmt: skip


class _Pointers(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in Parameters._fields]


class _Gradients(ctypes.Structure):
    _fields_ = [(name, c_void_p) for name in Parameters._fields if name != "scale"]


class _Unit(ctypes.Structure):
    """C's struct Unit (training.h). Fields that a call does not name are 0, or null."""

    _fields_ = [
        *((name, c_int64) for name in ("batch", "c_in", "c_out", "height", "width")),
        ("form", Form),
        *((name, c_double) for name in ("t", "kt", "eps", "momentum")),
        ("x", c_void_p),
        ("parameters", _Pointers),
        *((name, c_void_p) for name in (
            "residual", "out", "z", "y", "mean", "deviation", "running_mean", "running_var",
            "grad", "grad_x",
        )),
        ("gradients", _Gradients),
        ("grad_residual", c_void_p),
    ]  # fmt: skip


class Step(NamedTuple):
    """One unit of a chain.

    ``norm``: the BatchNorm in training mode; the call updates its running statistics.
    ``residual``, read if ``form.times`` is 0: the tensor to add, 0 the chain's input, i the output
    of step i − 1, None the tensor ``outside`` of :func:`run_chain`.
    """

    form: Form
    parameters: Parameters
    residual: int | None = None
    norm: nn.BatchNorm2d | None = None


def native(x: Tensor) -> bool:
    """Whether the library computes on x (N, C, H, W): on a CPU, in float32 throughout, and not
    being traced.

    Raises:
        UserError: $BBNAS_ISA names an instruction set that is unknown or cannot run here.
    """
    return (
        x.is_cpu
        and x.dtype == torch.float32
        and not reduced()
        and torch._C._get_tracing_state() is None
        and bool(_chosen(os.environ.get("BBNAS_ISA")))
    )


@cache
def _chosen(isa: str | None) -> str:
    return choose_isa(isa)


Call = Callable[[Any], int]


@cache
def _calls(isa: str) -> tuple[Call, Call]:
    """The library's forward and backward."""
    loaded = library()
    assert not isinstance(loaded, str), "an instruction set was chosen"
    loaded.bbn_unit_size.restype = c_int64
    if loaded.bbn_unit_size() != ctypes.sizeof(_Unit):
        raise UserError(f"{LIBRARY.name} is of another version: install bbnas again")
    calls = getattr(loaded, f"bbn_forward_{isa}"), getattr(loaded, f"bbn_backward_{isa}")
    for call in calls:
        call.argtypes = [ctypes.POINTER(_Unit)]
    return calls


def _run(call: Call, unit: _Unit) -> None:
    if call(unit):
        raise UserError("no memory for a convolution: close other programs")


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


class _Saved(NamedTuple):
    """The tensors, beside its input, that a step's backward pass reads."""

    z: Tensor | None = None  # input of the activation, less γ
    y: Tensor | None = None  # input of the BatchNorm
    statistics: Tensor | None = None  # (2, C): the mean and 1/√(var + ε) of y

    def pointers(self) -> dict[str, int | None]:
        if self.statistics is None:
            return {"z": _at(self.z)}
        mean, deviation = self.statistics
        return {"z": _at(self.z), "y": _at(self.y), "mean": _at(mean), "deviation": _at(deviation)}


def _forward(
    steps: Sequence[Step], x: Tensor, outside: Tensor | None, save: bool
) -> tuple[list[Tensor], list[_Saved]]:
    """The chain's input followed by the outputs of its steps, and what each step saves."""
    call = _calls(_chosen(os.environ.get("BBNAS_ISA")))[0]
    maps: list[Tensor] = [x]
    saved: list[_Saved] = []
    for form, parameters, residual, norm in steps:
        n, c_in, h, w = x.shape
        c_out, s = parameters.latent.shape[0], form.shuffle
        out = torch.empty((n, c_out // s**2, h * s, w * s))
        z = torch.empty((n, c_out, h, w)) if save and form.activation else None
        own, running = _Saved(z), {}
        if norm is not None:
            if n * h * w == 1:  # as torch does
                raise ValueError("a BatchNorm trains on more than 1 value per channel")
            own = _Saved(z, torch.empty((n, c_out, h, w)), torch.empty((2, c_out)))
            running = {
                "eps": norm.eps,
                "momentum": norm.momentum,
                "running_mean": _at(norm.running_mean),
                "running_var": _at(norm.running_var),
            }
            cast("Tensor", norm.num_batches_tracked).add_(1)
        unit = _Unit(
            batch=n, c_in=c_in, c_out=c_out, height=h, width=w, form=form, x=x.data_ptr(),
            parameters=_Pointers(*map(_at, parameters)),
            residual=_at(outside if residual is None else maps[residual]),
            out=out.data_ptr(), **own.pointers(), **running,
        )  # fmt: skip
        _run(call, unit)
        maps.append(out)
        saved.append(own)
        x = out
    return maps, saved


class NativeChain(torch.autograd.Function):
    """A chain of steps as one node of autograd, whose overhead is that of a small unit's work.

    ``tensors`` are the parameters of all steps, flat, because autograd differentiates only
    tensors that are arguments themselves.
    """

    @staticmethod
    def forward(
        ctx: Any,
        steps: Sequence[Step],
        progress: Progress,
        x: Tensor,
        outside: Tensor | None,
        *tensors: Tensor | None,
    ) -> Tensor:
        maps, ctx.saved = _forward(steps, x, outside, save=True)
        ctx.save_for_backward(x, *tensors)
        ctx.between, ctx.progress = maps[1:-1], progress
        ctx.forms = [(step.form, step.residual) for step in steps]
        return maps[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad.contiguous()
        call = _calls(_chosen(os.environ.get("BBNAS_ISA")))[1]
        x, *tensors = ctx.saved_tensors
        _, _, needs_x, needs_outside, *needs = ctx.needs_input_grad
        maps: list[Tensor] = [x, *ctx.between]
        t, kt = ede_slope(ctx.progress)
        grads: list[Tensor | None] = [None] * len(tensors)
        by_residual: dict[int | None, Tensor] = {}  # gradients of maps that later steps add
        size = len(Parameters._fields)
        for i in range(len(maps) - 1, -1, -1):
            form, residual = ctx.forms[i]
            x, own = maps[i], slice(i * size, (i + 1) * size)
            n, c_in, h, w = x.shape
            parameters = Parameters(*tensors[own])
            c_out = parameters.latent.shape[0]
            gradients = [
                None if parameter is None or not needed else torch.empty_like(parameter)
                for parameter, needed in zip(parameters, needs[own], strict=True)
            ]
            if gradients[0] is None:
                gradients[0] = torch.empty_like(parameters.latent)
            before_sgn = any(found is not None for found in gradients[1:4])  # α, gain, steepness
            grad_x = torch.empty_like(x) if i or needs_x or before_sgn else None
            grad_residual = None
            if form.place and not form.times and (residual is not None or needs_outside):
                grad_residual = torch.empty((n, c_out, h, w))
            unit = _Unit(
                batch=n, c_in=c_in, c_out=c_out, height=h, width=w, form=form, t=t, kt=kt,
                x=x.data_ptr(), parameters=_Pointers(*map(_at, parameters)),
                **ctx.saved[i].pointers(), grad=grad.data_ptr(), grad_x=_at(grad_x),
                gradients=_Gradients(*map(_at, gradients[:-1])),
                grad_residual=_at(grad_residual),
            )  # fmt: skip
            _run(call, unit)
            grads[own] = gradients
            if grad_residual is not None:
                before = by_residual.get(residual)
                by_residual[residual] = grad_residual if before is None else before + grad_residual
            if i in by_residual and grad_x is not None:
                grad_x += by_residual.pop(i)
            if i:
                grad = cast("Tensor", grad_x)
        return None, None, grad_x, by_residual.get(None), *grads


def run_chain(
    steps: Sequence[Step], x: Tensor, *, outside: Tensor | None = None, progress: Progress = 0.0
) -> Tensor:
    """The output of the last step, (N, C, H, W), for x (N, C_in, H, W) with ``native(x)``.

    ``outside`` is a residual that no step computes, of the shape of the output of the step that
    adds it. ``progress`` is e/E in 0..1, which EDE reads.

    Raises:
        UserError: there is not enough memory.
        ValueError: a BatchNorm trains on one value per channel.
    """
    x = x.contiguous()
    if outside is not None:
        outside = outside.contiguous()
    if not torch.is_grad_enabled():
        return _forward(steps, x, outside, save=False)[0][-1]
    tensors = [tensor for step in steps for tensor in step.parameters]
    out: Tensor = NativeChain.apply(  # type: ignore[no-untyped-call]
        steps, progress, x, outside, *tensors
    )
    return out
