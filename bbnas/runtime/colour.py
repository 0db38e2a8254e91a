"""Luma, Y of BT.601: what networks of one channel restore, and metrics compare."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_BT601 = np.array([65481.0, 128553.0, 24966.0])  # weights of R, G, B in thousandths


def to_y(image: NDArray[Any], grey: bool = False) -> NDArray[np.float64]:
    """Y of BT.601 of an H×W×3 RGB image (uint8, or float in 0..1): 16…235, not rounded.

    For an image from a ``grey`` file (its values replicated), Y is the values themselves, 0…255:
    the same weights without the studio range.

    For uint8 the weighted sum is a whole number and therefore exact: where Y lies halfway between
    two levels, its rounding does not depend on the order of summation.
    """
    white, black = (_BT601.sum() / 255.0, 0.0) if grey else (1000.0, 16.0)
    if image.dtype == np.uint8:
        white = white * 255.0
    return np.asarray(image.astype(np.float64) @ _BT601 / white + black)


def luma(image: Pixels, grey: bool = False) -> Pixels:
    """Y of BT.601 rounded to 8 bits, H×W×1, of an H×W×3 image; of a ``grey`` file its values."""
    y = np.empty((*image.shape[:2], 1), np.uint8)
    for rows in bands(len(image)):
        y[rows, :, 0] = rounded(to_y(image[rows], grey))
    return y


def with_luma(pixels: Pixels, before: Pixels, y: Pixels, grey: bool) -> Pixels:
    """RGB (H, W, 3) uint8 with the Y ``y`` instead of ``before``, and Cb and Cr of ``pixels``.

    By the inverse of BT.601, R, G and B each change by 255/219 of the change of Y.
    """
    change = y.astype(np.int16) - before
    if not grey:
        change = np.rint(change * np.float32(255 / 219)).astype(np.int16)
    return np.asarray(np.clip(pixels + change, 0, 255), np.uint8)


def rounded(values: NDArray[np.float64]) -> Pixels:
    """``values`` rounded to 8 bits, ties upwards, as in MATLAB."""
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def bands(rows: int, most: int = 256) -> Iterator[slice]:
    """Slices that cut ``rows`` into bands of at most ``most``.

    Working by bands bounds the memory: float64 copies of a large photograph need gigabytes.
    """
    return (slice(*ends) for ends in pairwise([*range(0, rows, most), rows]))
