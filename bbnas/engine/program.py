"""Program: a network as a flat list of operations. The engine runs it, a .bbn file stores it.

A tensor is an image at ``scale`` times the size of the *grid*, the LQ image reduced by ``step``.
It is of one of three kinds: ``planes`` (a few full-precision channels), ``floats`` (features) or
``bits`` (features, one bit each: 1 is +1, 0 is −1). An operation makes the tensor ``output``, the
tensor ``bits``, which is the output binarized for the next binary convolution, or both. ``s`` is
the operation's ``shuffle``:

=========== =================================================================================
input       planes of the image x: x·factor, or (x − mean)/std if mean and std exist; its last row
            and column are repeated up to a multiple of ``step``
repeat      planes or floats → floats: each channel ⌊n/c⌋ times, the first ones again; the first
            n of c > n
conv        planes or floats → floats: 3×3 or 1×1, zero padding, optional bias
binary      bits → floats: 3×3 on ±1, zero padding after binarization (paper Eq. 1)
narrow      floats → planes: conv to at most 4 channels, + residual
bilinear    planes → planes at ``scale`` of the network
accumulate  bits of several layers → floats: Σ_j factors_j · b_j (BAM)
pack        planes or floats → bits alone
output      planes or floats → the image: x/factor, or x·std + mean; its rows and columns beyond
            the image are left out
unshuffle   planes → planes: PixelUnshuffle by the quotient of their scales
shuffle     floats → planes: PixelShuffle s, + residual
=========== =================================================================================

``conv`` and ``binary`` convolve to s²·C channels y. Then follow, in this order: y·scale;
y·norm_a + norm_b; + residual if ``place`` is before; the activation, hardtanh or prelu, which is
max(z, 0) + β·min(z, 0) with z = y − γ; + ζ if ``zeta_first``; + residual if ``place`` is after;
+ ζ if not ``zeta_first``; a LeakyReLU of ``slope`` if that is not 1; PixelShuffle s. A step whose
array is absent is left out. The residual is a tensor of the input's size, of which the first C
channels are added; if s > 1, each of them is repeated s² times. Bits are y > threshold, or
y·threshold + pack_b > 0 if pack_b exists. These are PyTorch's operations in PyTorch's order, so
equal inputs give equal bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bbnas.errors import UserError, class_of

Array = NDArray[Any]
Kind = Literal["planes", "floats", "bits"]

OPS = (
    "input", "pack", "repeat", "conv", "binary", "narrow", "accumulate", "bilinear", "output",
    "unshuffle", "shuffle",
)  # fmt: skip
KINDS: tuple[Kind, ...] = ("planes", "floats", "bits")
ACTIVATIONS = ("none", "prelu", "hardtanh")
PLACES = ("none", "before", "after")

# Upper bounds of what a hostile file can make the engine allocate; networks of bbnas are
# far below them. src/program.h repeats them.
MAX_OPS, MAX_TENSORS, MAX_CHANNELS, MAX_SHUFFLE = 2048, 4096, 1 << 12, 4


@dataclass(frozen=True)
class Tensor:
    """An image of ``channels`` at ``scale`` times the size of the grid."""

    kind: Kind
    channels: int
    scale: int = 1


@dataclass(frozen=True)
class Op:
    """One operation. An index names a tensor; −1 is no tensor.

    ``arrays`` are (s²·C), the output's channels in PyTorch's order before PixelShuffle, with three
    exceptions: ``threshold`` and ``pack_b`` are (C), the channels after it, ``mean`` and ``std``
    (C), and ``factors`` (inputs). ``weight`` is (s²·C, C_in, k, k), float32 or uint8; k is 3, or 1
    in ``conv`` and ``narrow``. In uint8, 0 is −1 and 1 is +1: so in ``binary``, and in a
    convolution with ``magnitude``, (s²·C), which multiplies these weights.
    """

    kind: str
    inputs: tuple[int, ...] = ()
    output: int = -1
    bits: int = -1
    residual: int = -1
    shuffle: int = 1
    activation: str = "none"
    place: str = "none"
    zeta_first: bool = False
    factor: float = 1.0
    slope: float = 1.0
    part: str = ""  # of the network: head, body, upsampling or tail
    arrays: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A network for the engine.

    ``scale``, ``channels`` (of the image), ``reach`` and ``step`` are those of the
    RestorationNetwork. ``design`` and ``task`` are labels for people.
    """

    scale: int
    channels: int
    reach: int
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    design: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    step: int = 1


# The arrays that have one value per output channel before PixelShuffle.
PER_CHANNEL = ("bias", "scale", "norm_a", "norm_b", "gamma", "beta", "zeta")
_ARRAYS: dict[str, tuple[set[str], set[str]]] = {  # kind → needed, allowed
    "input": (set(), {"mean", "std"}),
    "output": (set(), {"mean", "std"}),
    "pack": ({"threshold"}, {"pack_b"}),
    "repeat": (set(), set()),
    "bilinear": (set(), set()),
    "accumulate": ({"factors"}, set()),
    "narrow": ({"weight"}, {"bias", "magnitude"}),
    "conv": ({"weight"}, {*PER_CHANNEL, "magnitude", "threshold", "pack_b"} - {"scale"}),
    "binary": ({"weight", "scale"}, {*PER_CHANNEL, "threshold", "pack_b"} - {"bias"}),
    "unshuffle": (set(), set()),
    "shuffle": (set(), set()),
}
_READS: dict[str, tuple[Kind, ...]] = {
    "pack": ("planes", "floats"),
    "repeat": ("planes", "floats"),
    "conv": ("planes", "floats"),
    "binary": ("bits",),
    "narrow": ("floats",),
    "bilinear": ("planes",),
    "accumulate": ("bits",),
    "output": ("planes", "floats"),
    "unshuffle": ("planes",),
    "shuffle": ("floats",),
}
_MAKES: dict[str, Kind] = {
    "input": "planes",
    "repeat": "floats",
    "conv": "floats",
    "binary": "floats",
    "narrow": "planes",
    "bilinear": "planes",
    "accumulate": "floats",
    "unshuffle": "planes",
    "shuffle": "planes",
}


def check(program: Program, where: str = "program") -> None:
    """Check that the engine can run ``program`` within the bounds of its memory.

    ``where`` names the program in the error.

    Raises:
        UserError: a field of the program is invalid; the message names it.
    """
    if not isinstance(program, Program):
        raise UserError(
            f"{class_of(program)} is no program of the engine: make one by compile_network, or "
            "read one by read_program"
        )
    try:
        _check_header(program)
        made: set[int] = set()
        for index, op in enumerate(program.ops):
            try:
                _check_op(program, op, made)
            except ValueError as error:
                raise ValueError(f"operation {index} ({op.kind}): {error}") from error
        _need(len(made) == len(program.tensors), "no operation makes one of the tensors")
        kinds = [op.kind for op in program.ops]
        _need(kinds[0] == "input" and kinds.count("input") == 1, "must start with one input")
        _need(kinds[-1] == "output" and kinds.count("output") == 1, "must end with one output")
        read = {t for op in program.ops for t in (*op.inputs, op.residual)}
        _need(set(range(len(program.tensors))) <= read, "no operation reads one of the tensors")
    except ValueError as error:
        raise UserError(
            f"{where}: not a program the engine can run ({error}); pack it again"
        ) from (error)


def _need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def _check_header(program: Program) -> None:
    _need(1 <= program.scale <= MAX_SHUFFLE, "scale out of range")
    _need(1 <= program.channels <= MAX_CHANNELS, "image channels out of range")
    _need(0 <= program.reach <= 1 << 16, "reach out of range")
    _need(1 <= program.step <= MAX_SHUFFLE, "step out of range")
    _need(2 <= len(program.ops) <= MAX_OPS, "too few or too many operations")
    _need(1 <= len(program.tensors) <= MAX_TENSORS, "too few or too many tensors")
    for tensor in program.tensors:
        _need(tensor.kind in KINDS, "unknown kind of tensor")
        _need(1 <= tensor.channels <= MAX_CHANNELS, "channels out of range")
        _need(1 <= tensor.scale <= MAX_SHUFFLE**2, "scale of a tensor out of range")


def _check_op(program: Program, op: Op, made: set[int]) -> None:
    _need(op.kind in OPS, "unknown operation")
    _need(op.activation in ACTIVATIONS and op.place in PLACES, "unknown activation or place")
    _need(1 <= op.shuffle <= MAX_SHUFFLE, "shuffle out of range")
    _need(1e-30 < abs(op.factor) < 1e30, "factor is 0 or not finite")
    _need(0 <= op.slope <= 1, "slope out of range")
    for tensor in (*op.inputs, *([op.residual] if op.residual != -1 else [])):
        _need(tensor in made, "reads a tensor before an operation makes it")
    for tensor in (op.output, op.bits):
        if tensor != -1:
            _need(
                0 <= tensor < len(program.tensors) and tensor not in made, "makes a tensor twice"
            )
            made.add(tensor)

    inputs = [program.tensors[t] for t in op.inputs]
    outputs = [program.tensors[t] for t in (op.output, op.bits) if t != -1]
    layer = op.kind in ("conv", "binary")
    _need(op.output == -1 or program.tensors[op.output].kind == _MAKES.get(op.kind), "output kind")
    _need(op.bits == -1 or program.tensors[op.bits].kind == "bits", "bits kind")
    _need(op.bits == -1 or layer or op.kind == "pack", "only a convolution or pack makes bits")
    if op.kind == "pack":
        _need(op.output == -1 and op.bits != -1, "must make bits and no output")
    elif op.kind == "output":
        _need(not outputs, "must not make a tensor")
    else:
        _need(bool(outputs) and (layer or op.output != -1), "must make a tensor")
    _need(layer or op.shuffle == 1 or op.kind == "shuffle", "only a convolution has a shuffle")
    _need(
        layer or (op.activation == "none" and op.slope == 1),
        "only a convolution has an activation",
    )
    _need(layer or op.place == "none", "only a convolution has a place of the residual")

    many = op.kind == "accumulate"
    wanted = 0 if op.kind == "input" else 1
    _need(
        1 <= len(op.inputs) <= MAX_OPS if many else len(op.inputs) == wanted,
        "wrong number of inputs",
    )
    _need(all(t.kind in _READS[op.kind] for t in inputs), "reads a tensor of the wrong kind")
    _check_shapes(program, op, inputs, outputs)
    _check_arrays(op, inputs, outputs, program)


def _check_shapes(program: Program, op: Op, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    layer = op.kind in ("conv", "binary")
    for tensor in outputs:
        if op.kind == "input":
            image = (program.channels, program.step)
            _need((tensor.channels, tensor.scale) == image, "not the image")
        elif op.kind == "unshuffle":
            u = inputs[0].scale // tensor.scale
            _need(2 <= u <= MAX_SHUFFLE and inputs[0].scale == tensor.scale * u, "sizes")
            _need(inputs[0].channels * u**2 == tensor.channels, "channels")
        elif op.kind == "bilinear":
            same = (inputs[0].channels, program.scale)
            _need(
                program.step == inputs[0].scale == 1 and (tensor.channels, tensor.scale) == same,
                "sizes",
            )
        else:
            _need(all(t.scale * op.shuffle == tensor.scale for t in inputs), "sizes")
    _need(len({(t.channels, t.scale) for t in outputs}) <= 1, "output and bits differ")
    channels = outputs[0].channels if outputs else 0
    if op.kind in ("pack", "accumulate"):
        _need(all(t.channels == channels for t in inputs), "channels")
    if op.kind == "shuffle":
        _need(inputs[0].channels == channels * op.shuffle**2, "channels")
    if op.kind == "narrow":
        _need(channels <= 4, "at most 4 channels")
    if op.kind == "output":
        image = (program.channels, program.scale * program.step)
        _need((inputs[0].channels, inputs[0].scale) == image, "sizes")
    if op.residual != -1:
        residual = program.tensors[op.residual]
        planes = op.kind in ("narrow", "shuffle")
        _need(layer or planes, "only a convolution or shuffle has a residual")
        _need(residual.kind == ("planes" if planes else "floats"), "residual kind")
        _need(residual.scale == (outputs if planes else inputs)[0].scale, "residual size")
        enough = residual.channels == channels if planes else residual.channels >= channels
        _need(enough, "residual channels")
    _need((op.place == "none") == (op.residual == -1 or not layer), "residual and place")


def _check_arrays(op: Op, inputs: list[Tensor], outputs: list[Tensor], program: Program) -> None:
    needed, allowed = _ARRAYS[op.kind]
    names = set(op.arrays)
    _need(needed <= names <= needed | allowed, "arrays missing or too many")
    for together in ({"norm_a", "norm_b"}, {"mean", "std"}):
        _need(not names & together or together <= names, f"{' without '.join(sorted(together))}")
    _need((op.activation == "prelu") == ("beta" in names), "prelu and beta")
    _need("beta" in names or not names & {"gamma", "zeta"}, "gamma or zeta without prelu")
    _need(op.bits == -1 or "threshold" in names, "bits without threshold")
    _need(op.bits != -1 or not names & {"threshold", "pack_b"}, "threshold without bits")
    _need("pack_b" not in names or "threshold" in names, "pack_b without threshold")
    channels = outputs[0].channels if outputs else program.channels
    wide = channels * op.shuffle**2
    for name, array in op.arrays.items():
        shape: tuple[int, ...] = (wide,)
        if name == "weight":
            side = 1 if op.kind != "binary" and array.shape[-1:] == (1,) else 3
            shape = (wide, inputs[0].channels, side, side)
        elif name in ("threshold", "pack_b", "mean", "std"):
            shape = (channels,)
        elif name == "factors":
            shape = (len(op.inputs),)
        bits = name == "weight" and (op.kind == "binary" or "magnitude" in names)
        _need(array.dtype == (np.uint8 if bits else np.float32), f"{name} has the wrong type")
        _need(array.shape == shape, f"{name} has the wrong shape")
        if bits:
            _need(array.size == 0 or int(array.max()) <= 1, "weights are not bits")
        else:
            _need(bool(np.isfinite(array).all()), f"{name} is not finite")


def full_precision(op: Op) -> Array:
    """The weight of a ``conv`` or ``narrow`` in float32, however it is stored."""
    weight = op.arrays["weight"]
    if "magnitude" not in op.arrays:
        return weight
    sign = weight.astype(np.float32) * 2 - 1
    return sign * op.arrays["magnitude"][:, None, None, None]
