"""The compiled engine, called by ctypes: turns a checked Program into a handle that runs it."""

from __future__ import annotations

import ctypes
import math
from ctypes import c_float, c_int, c_int32, c_int64, c_void_p
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbnas.engine.program import (
    ACTIVATIONS,
    KINDS,
    OPS,
    PER_CHANNEL,
    PLACES,
    Array,
    Op,
    Program,
    full_precision,
)
from bbnas.errors import UserError
from bbnas.native import LIBRARY, library

LANES = 16  # channels of one vector; arrays are padded to a multiple of it (engine.h)

_FLOATS = (
    "bias", "scale", "norm_a", "norm_b", "gamma", "beta", "zeta", "pack_a", "pack_b",
    "mean", "std", "factors",
)  # fmt: skip


class _Tensor(ctypes.Structure):
    _fields_ = [(name, c_int32) for name in ("kind", "channels", "scale")]


class _Op(ctypes.Structure):
    _fields_ = [
        *(
            (name, c_int32)
            for name in (
                "kind", "input", "output", "bits", "residual", "in_channels", "channels",
                "shuffle", "activation", "place", "zeta_first", "packing", "standardise", "inputs",
                "kernel",
            )
        ),
        ("factor", c_float),
        ("slope", c_float),
        *((name, c_void_p) for name in ("weight", "border", "more", *_FLOATS)),
    ]  # fmt: skip


class _Image(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("bytes", c_int32),
        ("row", c_int64),
        ("pixel", c_int64),
        ("channel", c_int64),
    ]


@cache
def _engine() -> ctypes.CDLL:
    """The library, with the types of its functions declared.

    Raises:
        UserError: there is no library, or its structures differ from those above.
    """
    found = library()
    if isinstance(found, str):
        raise UserError(f"the engine has no compiled library: {found}")
    found.bbn_sizes.restype = c_int64
    sizes = ctypes.sizeof(_Op) << 32 | ctypes.sizeof(_Tensor) << 16 | ctypes.sizeof(_Image)
    if found.bbn_sizes() != sizes:
        raise UserError(f"{LIBRARY.name} is of another version: install bbnas again")
    found.bbn_create.restype = c_void_p
    found.bbn_create.argtypes = [c_void_p, c_int, c_void_p, *[c_int] * 3, ctypes.c_char_p]
    found.bbn_destroy.argtypes = [c_void_p]
    found.bbn_run.argtypes = [c_void_p, c_void_p, c_void_p, c_int, c_int, c_int, c_int]
    found.bbn_peak_bytes.restype = c_int64
    found.bbn_peak_bytes.argtypes = [c_void_p]
    found.bbn_times.argtypes = [c_void_p, c_void_p]
    found.bbn_counting.restype = ctypes.c_float
    found.bbn_counting.argtypes = [ctypes.c_char_p, c_int64]
    return found


def counting(isa: str, times: int) -> None:
    """Count the bits of 16 outputs and three words ``times`` times, in registers alone.

    The time of this call bounds the speed of a 1-bit convolution.

    Raises:
        UserError: there is no library.
    """
    _engine().bbn_counting(isa.encode(), times)


class Native:
    """A program in the library, on one instruction set. The caller has checked ``program``."""

    def __init__(self, program: Program, isa: str) -> None:
        found = self._library = _engine()
        self._arrays: list[Any] = []  # kept alive because the library reads them
        self._handle: int | None = None
        tensors = (_Tensor * len(program.tensors))(
            *(_Tensor(KINDS.index(t.kind), t.channels, t.scale) for t in program.tensors)
        )
        ops = (_Op * len(program.ops))(*(self._op(program, op) for op in program.ops))
        self._handle = found.bbn_create(
            tensors, len(tensors), ops, len(ops), program.scale, program.step, isa.encode()
        )
        if not self._handle:
            raise UserError("no memory for the model: close other programs")
        self._count = len(ops)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.bbn_destroy(self._handle)

    def run(self, image: Array, out: Array, threads: int, profile: bool = False) -> None:
        """Write the restored ``image`` (H, W, C) to ``out`` (s·H, s·W, C).

        Each is uint8 or float32 and may have any strides.

        Raises:
            UserError: there is not enough memory.
        """
        height, width = image.shape[:2]
        failed = self._library.bbn_run(
            self._handle,
            ctypes.byref(_image(image)),
            ctypes.byref(_image(out)),
            height,
            width,
            threads,
            int(profile),
        )
        if failed:
            raise UserError(
                f"no memory for {width}×{height} pixels at once: restore in smaller tiles"
            )

    @property
    def peak_bytes(self) -> int:
        return int(self._library.bbn_peak_bytes(self._handle))

    @property
    def times(self) -> list[float]:
        """The seconds of each operation in the last profiled run."""
        seconds = np.zeros(self._count)
        self._library.bbn_times(self._handle, seconds.ctypes.data)
        return [float(s) for s in seconds]

    # ---- the layout that the kernels read -----------------------------------------------------

    def _op(self, program: Program, op: Op) -> _Op:
        made = op.output if op.output >= 0 else op.bits
        channels = program.tensors[made].channels if made >= 0 else program.channels
        source = program.tensors[op.inputs[0]] if op.inputs else None
        arrays = dict(op.arrays)
        fields: dict[str, Any] = {}
        if op.kind == "binary":
            words, border = _binary(arrays["weight"], op.shuffle)
            fields |= {"weight": self._pointer(words), "border": self._pointer(border)}
        elif op.kind == "conv":
            fields["weight"] = self._pointer(_conv(full_precision(op), op.shuffle))
        elif op.kind == "narrow":
            fields["weight"] = self._pointer(_narrow(full_precision(op)))
        for laid_out in ("weight", "magnitude"):
            arrays.pop(laid_out, None)
        affine = "pack_b" in arrays
        if "threshold" in arrays:
            # The bits of padding channels must be 0: no value is above infinity.
            fill = 0.0 if affine else math.inf
            arrays["pack_a"] = _padded(arrays.pop("threshold"), 1, fill)
        if affine:
            arrays["pack_b"] = _padded(arrays["pack_b"], 1)
        for name, array in arrays.items():
            whole = _padded(array, op.shuffle) if name in PER_CHANNEL else array
            fields[name] = self._pointer(np.ascontiguousarray(whole, np.float32))
        if op.kind == "accumulate":
            fields["more"] = self._pointer(np.array(op.inputs, np.int32))
        return _Op(
            kind=OPS.index(op.kind),
            input=op.inputs[0] if op.inputs else -1,
            output=op.output,
            bits=op.bits,
            residual=op.residual,
            in_channels=0 if source is None else source.channels,
            channels=channels,
            shuffle=op.shuffle,
            activation=ACTIVATIONS.index(op.activation),
            place=PLACES.index(op.place),
            zeta_first=int(op.zeta_first),
            packing=0 if op.bits < 0 else 2 if affine else 1,
            standardise=int("mean" in op.arrays),
            inputs=len(op.inputs),
            kernel=op.arrays["weight"].shape[-1] if "weight" in op.arrays else 0,
            factor=op.factor,
            slope=op.slope,
            **fields,
        )

    def _pointer(self, array: Array) -> int:
        self._arrays.append(array)
        return int(array.ctypes.data)


def _image(array: Array) -> _Image:
    size = array.itemsize
    row, pixel, channel = (stride // size for stride in array.strides)
    return _Image(array.ctypes.data, size, row, pixel, channel)


def _up(channels: int) -> int:
    return -(-channels // LANES) * LANES


def _shuffled(array: Array, shuffle: int) -> Array:
    """(s²·C, …) → (s², C padded, …), ordered by the position in PixelShuffle's square."""
    parts = array.reshape(-1, shuffle**2, *array.shape[1:]).swapaxes(0, 1)
    out = np.zeros((shuffle**2, _up(parts.shape[1]), *array.shape[1:]), array.dtype)
    out[:, : parts.shape[1]] = parts
    return out


def _padded(array: Array, shuffle: int, fill: float = 0.0) -> NDArray[np.float32]:
    out = _shuffled(np.asarray(array, np.float32), shuffle)
    out[:, array.shape[0] // shuffle**2 :] = fill
    return np.ascontiguousarray(out)


def _conv(weight: Array, shuffle: int) -> Array:
    """(s², k, k, C_in, C_out padded)."""
    return np.ascontiguousarray(_shuffled(weight, shuffle).transpose(0, 3, 4, 2, 1))


def _narrow(weight: Array) -> Array:
    """(k, k, C_in padded / 16, C_out, 16)."""
    out, channels, side, _ = weight.shape
    wide = np.zeros((out, _up(channels), side, side), np.float32)
    wide[:, :channels] = weight
    return np.ascontiguousarray(
        wide.reshape(out, -1, LANES, side, side).transpose(3, 4, 1, 0, 2), np.float32
    )


def _binary(weight: Array, shuffle: int) -> tuple[Array, Array]:
    """Words (s², 3, words, 3, C_out padded) of 32 input channels, and border terms.

    A column of three taps is stored as the words of its upper two taps and the parity of all
    three.

    The kernel counts P = popcount(x XOR w) over all nine taps. A tap outside the image has x = 0,
    so it counts the ones of its weights. The true sum over the v taps inside is
    v·C_in + 2·(ones of the taps outside) − 2·P. The border terms are the first two summands,
    (s², 16, C_out padded), indexed by the set of image borders that the pixel touches.
    """
    out, channels = weight.shape[:2]
    words = -(-channels // 32)
    wide = np.zeros((out, words * 32, 3, 3), np.uint8)
    wide[:, :channels] = weight
    packed = np.packbits(wide.transpose(0, 2, 3, 1), axis=-1, bitorder="little").view("<u4")
    packed[:, 2] ^= packed[:, 0] ^ packed[:, 1]
    laid = _shuffled(packed.astype(np.uint32), shuffle).transpose(0, 3, 4, 2, 1)
    # Padding outputs get a sum too; their scale is 0.
    ones = _shuffled(weight.sum(1, dtype=np.int32), shuffle)  # (s², C_out padded, 3, 3)
    border = np.empty((shuffle**2, 16, ones.shape[1]), np.float32)
    for edge in range(16):
        outside = np.zeros((3, 3), bool)
        outside[0] |= bool(edge & 1)
        outside[2] |= bool(edge & 2)
        outside[:, 0] |= bool(edge & 4)
        outside[:, 2] |= bool(edge & 8)
        within = 9 - int(outside.sum())
        border[:, edge] = within * channels + 2 * ones[:, :, outside].sum(-1)
    return np.ascontiguousarray(laid), border
