"""BbnModel restores images with a packed network."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .binding import CImage, COperation, ModelError, library


class BbnOperation(NamedTuple):
    """One operation: its kind (``binary``), part of the network (``body``), input channels, output
    channels before PixelShuffle, and the grid that it runs on, in sizes of the input.
    """

    kind: str
    part: str
    inputs: int
    outputs: int
    scale: int


class BbnModel:
    """A packed network in the library.

    ``content`` is that of a .bbn file, ``isa`` an instruction set (None: the best one here).

    Raises:
        ModelError: there is no library, the content is no model, or the instruction set cannot
            run here.
    """

    def __init__(self, content: bytes, isa: str | None = None) -> None:
        self._library = found = _opened()
        name = isa.encode() if isa else None
        self._take(found.bbn_load_bytes(content, len(content), name))

    @classmethod
    def from_file(cls, path: str | Path, isa: str | None = None) -> BbnModel:
        """The model of a .bbn file.

        Raises:
            ModelError: see the class; the file cannot be read.
        """
        model = cls.__new__(cls)
        model._library = found = _opened()
        model._take(found.bbn_load(os.fsencode(path), isa.encode() if isa else None))
        return model

    def _take(self, handle: int | None) -> None:
        if not handle:
            raise ModelError(_last_error(self._library))
        self._handle: int = handle
        found = self._library
        self.scale = int(found.bbn_scale(handle))
        self.channels = int(found.bbn_channels(handle))
        self.reach = int(found.bbn_reach(handle))
        self.isa = str(found.bbn_isa(handle).decode())

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.bbn_free(self._handle)

    def __call__(
        self, image: NDArray[np.uint8], threads: int = 0, tile: int = 0
    ) -> NDArray[np.uint8]:
        """The restored image: (H, W, C) → (s·H, s·W, C), uint8.

        ``threads`` 0 stands for all cores. ``tile`` is the largest side in input pixels that is
        restored at once, which bounds the memory; 0 for the whole image. It changes no pixel.

        Raises:
            ModelError: the image has another shape or type, or there is not enough memory.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != self.channels:
            raise ModelError(
                f"an image of {image.dtype} and shape {image.shape}: the model takes uint8 "
                f"(H, W, {self.channels})"
            )
        height, width = image.shape[:2]
        out = np.empty((height * self.scale, width * self.scale, self.channels), np.uint8)
        self.run(image, out, threads, tile)
        return out

    def run(self, image: NDArray[Any], out: NDArray[Any], threads: int, tile: int = 0) -> None:
        """Write the restored ``image`` (H, W, C) to ``out`` (s·H, s·W, C).

        Each is uint8, or float32 in 0..1, and may have any strides. Floats are not clamped.

        Raises:
            ModelError: a size does not fit, or there is not enough memory.
        """
        if not any(image.strides):  # which would stand for an image without gaps
            image = np.ascontiguousarray(image)
        failed = self._library.bbn_run(self._handle, _image(image), _image(out), threads, tile)
        if failed:
            raise ModelError(_last_error(self._library))

    def profile(self, image: NDArray[Any], out: NDArray[Any], threads: int) -> list[float]:
        """As :meth:`run`; the processor seconds of each operation, summed over the threads."""
        seconds = (ctypes.c_double * int(self._library.bbn_operations(self._handle)))()
        if self._library.bbn_profile(self._handle, _image(image), _image(out), threads, seconds):
            raise ModelError(_last_error(self._library))
        return list(seconds)

    @property
    def operations(self) -> list[BbnOperation]:
        number = int(self._library.bbn_operations(self._handle))
        found = (self._library.bbn_operation_at(self._handle, i) for i in range(number))
        return [_operation(one) for one in found]

    @property
    def peak_bytes(self) -> int:
        """Bytes of memory of the last run, without its images and the weights."""
        return int(self._library.bbn_peak_bytes(self._handle))


def load(path: str | Path, isa: str | None = None) -> BbnModel:
    """The model of a .bbn file; see :class:`BbnModel`."""
    return BbnModel.from_file(path, isa)


def _opened() -> ctypes.CDLL:
    found = library()
    if isinstance(found, str):
        raise ModelError(f"the engine has no compiled library: {found}")
    return found


def _last_error(found: ctypes.CDLL) -> str:
    return str(found.bbn_error().decode(errors="replace"))


def _image(array: NDArray[Any]) -> CImage:
    if array.dtype not in (np.uint8, np.float32):
        raise ModelError(f"an image of {array.dtype}: give uint8, or float32 in 0..1")
    size = array.itemsize
    row, pixel, channel = (stride // size for stride in array.strides)
    height, width = array.shape[:2]
    return CImage(array.ctypes.data, height, width, size, row, pixel, channel)


def _operation(one: COperation) -> BbnOperation:
    words = (one.kind.decode(), one.part.decode(errors="replace"))
    return BbnOperation(*words, one.inputs, one.outputs, one.scale)
