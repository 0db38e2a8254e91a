"""Model restores images with a program."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbnas.engine.file import to_bytes
from bbnas.engine.program import Program, check
from bbnas.errors import UserError
from bbnas.metrics import quantize
from bbnas.native import choose_isa
from bbnas.runtime import BbnModel, ModelError
from bbnas.tiling import Restorer, restore_tiled

Pixels = NDArray[np.uint8]

# The largest image, in LQ pixels a side and in all, that the library's arithmetic supports.
MAX_SIDE, MAX_PIXELS = 1 << 17, 1 << 28


@dataclass(frozen=True)
class OpTime:
    """One operation's CPU time in a profiled run: seconds, summed over the threads."""

    index: int
    part: str
    kind: str
    seconds: float


class Model:
    """Restores images with a packed network, by 1-bit operations.

    ``isa`` names the instruction set: avx512, avx2, neon, portable, or torch, which needs no
    compiled library. The default is $BBNAS_ISA, or else the best one. ``threads`` is the number of
    threads, 0 for all cores. All instruction sets give the same output except torch, which adds
    full-precision products in another order. docs/guide/device.md states how exact the output is.

    Raises:
        UserError: the instruction set is unknown or cannot run here, ``threads`` is negative, or
            the program is not valid.
    """

    def __init__(self, program: Program, isa: str | None = None, threads: int = 1) -> None:
        check(program)
        if threads < 0:
            raise UserError(f"threads {threads}: give a number of threads, or 0 for all cores")
        self.program = program
        self.threads = threads or os.cpu_count() or 1
        self.isa = choose_isa(isa) or "torch"
        self._native: BbnModel | None = None
        if self.isa != "torch":
            with _told():
                self._native = BbnModel(to_bytes(program), self.isa)

    @property
    def scale(self) -> int:
        return self.program.scale

    @property
    def channels(self) -> int:
        return self.program.channels

    @property
    def reach(self) -> int:
        """The distance, in LQ pixels, at which an input pixel can still change the output."""
        return self.program.reach

    @property
    def restorer(self) -> Restorer:
        """The model for :mod:`bbnas.tiling`."""
        return Restorer(self.run, self.scale, self.reach, self.program.step)

    @property
    def peak_bytes(self) -> int:
        """Bytes of memory of the last run, without its input, its output and the weights."""
        return 0 if self._native is None else self._native.peak_bytes

    def __call__(self, image: NDArray[Any], tile: int | None = None) -> Pixels:
        """The restored image, uint8: (H, W, C) or, for C = 1, (H, W) → s·H, s·W.

        ``image`` is uint8, or float in 0..1. ``tile`` is the largest side, in LQ pixels, of the
        piece that is restored at once; it does not change the result (on torch only by rounding).
        None restores the whole image at once.

        Raises:
            UserError: the image has another number of channels, another type or no pixels, or
                there is not enough memory.
            FloatingPointError: the output of a tile is not finite.
        """
        whole = self._checked(image)
        if tile is not None and max(whole.shape[:2]) > tile:
            restored = restore_tiled(self.restorer, whole, tile)
        else:
            restored = np.empty(self._size(whole), np.uint8)
            self._run(whole, restored)
        return restored[..., 0] if image.ndim == 2 else restored

    def run(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """The restored image as float32, neither clamped nor rounded; otherwise as a call."""
        whole = self._checked(image)
        out = np.empty(self._size(whole), np.float32)
        self._run(whole, out)
        return out[..., 0] if image.ndim == 2 else out

    def profile(self, height: int, width: int, runs: int = 3) -> list[OpTime]:
        """The time of each operation on an image of ``height``×``width`` LQ pixels.

        It is the shortest time of ``runs`` runs.

        Raises:
            UserError: there is no compiled library.
        """
        if self._native is None:
            raise UserError("the PyTorch path has no profile: install bbnas with a C++ compiler")
        image = np.random.default_rng(0).random((height, width, self.channels), np.float32)
        out = np.empty(self._size(self._checked(image)), np.uint8)
        best = [math.inf] * len(self.program.ops)
        for _ in range(runs + 1):  # one more than `runs`, to warm up
            with _told():
                times = self._native.profile(image, out, self.threads)
            best = [min(pair) for pair in zip(best, times, strict=True)]
        ops = enumerate(zip(self.program.ops, best, strict=True))
        return [OpTime(i, op.part, op.kind, seconds) for i, (op, seconds) in ops]

    def _size(self, image: NDArray[Any]) -> tuple[int, int, int]:
        return image.shape[0] * self.scale, image.shape[1] * self.scale, self.channels

    def _checked(self, image: NDArray[Any]) -> NDArray[Any]:
        image = np.asarray(image)
        if image.ndim == 2 and self.channels == 1:
            image = image[..., None]
        if image.ndim != 3 or image.shape[2] != self.channels or 0 in image.shape:
            raise UserError(
                f"an image of shape {image.shape}: the model takes (H, W, {self.channels})"
            )
        height, width = image.shape[:2]
        if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
            raise UserError(
                f"an image of {width}×{height} pixels: restore parts of at most {MAX_SIDE} a side"
            )
        if image.dtype != np.uint8:
            if not np.issubdtype(image.dtype, np.floating):
                raise UserError(f"an image of {image.dtype}: give uint8, or float in 0..1")
            image = image.astype(np.float32, copy=False)
        return image

    def _run(self, image: NDArray[Any], out: NDArray[Any]) -> None:
        if self._native is not None:
            with _told():
                self._native.run(image, out, self.threads)
            return
        import torch

        from bbnas.engine import reference

        lq = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float()
        hq = reference.run(self.program, lq / 255 if image.dtype == np.uint8 else lq)
        values = hq[0].permute(1, 2, 0).numpy()
        out[:] = quantize(values) if out.dtype == np.uint8 else values


@contextmanager
def _told() -> Iterator[None]:
    """Faults of the library as errors of bbnas."""
    try:
        yield
    except ModelError as error:
        raise UserError(str(error)) from error


def load(path: str | Path, isa: str | None = None, threads: int = 1) -> Model:
    """The model of a .bbn file.

    Raises:
        UserError: see :func:`bbnas.engine.file.read_program` and :class:`Model`.
    """
    from bbnas.engine.file import read_program

    return Model(read_program(Path(path)), isa, threads)
