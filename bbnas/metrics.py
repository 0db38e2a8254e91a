"""Metrics: PSNR and SSIM as the field computes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbnas.errors import UserError
from bbnas.runtime.colour import bands

Pixels = NDArray[np.uint8]
Values = NDArray[np.float64]
Planes = Callable[[NDArray[Any]], NDArray[Any]]


def psnr(a: NDArray[Any], b: NDArray[Any], crop: int = 0, on: Planes = np.asarray) -> float:
    """PSNR in dB of two H×W or H×W×C images in 0…255, over all channels; inf for equal images.

    ``crop`` pixels are cut from each border. ``on`` maps an image to the values that are compared,
    such as :func:`bbnas.runtime.colour.to_y`.

    Raises:
        UserError: the sizes differ, or nothing is left after the crop.
    """
    a, b = _inside(a, b, crop, least=1)
    total, count = 0.0, 0
    for rows in bands(a.shape[0]):
        error = np.asarray(on(a[rows]), np.float64) - on(b[rows])
        total += float(np.sum(error * error))
        count += error.size
    return math.inf if total == 0 else 10 * math.log10(255**2 * count / total)


def ssim(a: NDArray[Any], b: NDArray[Any], crop: int = 0, on: Planes = np.asarray) -> float:
    """SSIM (Wang et al. 2004) of two H×W or H×W×C images in 0…255: the mean over the channels.

    The window is an 11×11 Gaussian with σ = 1.5, only where it lies wholly inside the image;
    K1 = 0.01, K2 = 0.03, data range 255, population covariance. ``crop`` and ``on`` are those of
    :func:`psnr`.

    Raises:
        UserError: the sizes differ, or fewer than 11 pixels a side are left after the crop.
    """
    a, b = _inside(a, b, crop, least=_WINDOW.size)
    total, count = 0.0, 0
    overlap = _WINDOW.size - 1
    for rows in bands(a.shape[0] - overlap):
        seen = slice(rows.start, rows.stop + overlap)
        channels_a, channels_b = _channels(on(a[seen])), _channels(on(b[seen]))
        for one, other in zip(channels_a, channels_b, strict=True):
            similarity = _similarity(one, other)
            total += float(np.sum(similarity))
            count += similarity.size
    return total / count


def _similarity(a: Values, b: Values) -> Values:
    """The SSIM map of two H×W channels, at every position where the window fits."""
    mean_a, mean_b, square_a, square_b, product = (
        _blurred(values) for values in (a, b, a * a, b * b, a * b)
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    means = mean_a * mean_b
    powers = mean_a**2 + mean_b**2
    structure = (2 * (product - means) + c2) / (square_a + square_b - powers + c2)
    return np.asarray((2 * means + c1) / (powers + c1) * structure)


_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW /= _WINDOW.sum()


def _blurred(values: Values) -> Values:
    """``values`` blurred by the Gaussian window, at every position where it fits."""
    from scipy.ndimage import correlate1d

    cut = _WINDOW.size // 2
    rows = correlate1d(values, _WINDOW, axis=0, mode="constant")[cut:-cut]
    return np.asarray(correlate1d(rows, _WINDOW, axis=1, mode="constant")[:, cut:-cut])


def _inside(
    a: NDArray[Any], b: NDArray[Any], crop: int, least: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    if a.shape != b.shape:
        raise UserError(f"images of {a.shape} and {b.shape} cannot be compared: give equal sizes")
    if min(a.shape[:2]) - 2 * crop < least:
        raise UserError(
            f"an image of {a.shape[1]}×{a.shape[0]} is too small to score with {crop} pixels "
            f"cut from each border: {least} must be left"
        )
    inside = np.s_[crop : a.shape[0] - crop, crop : a.shape[1] - crop]
    return a[inside], b[inside]


def _channels(image: NDArray[Any]) -> Values:
    """An H×W×C or H×W image as C×H×W."""
    values = image.astype(np.float64)
    return values[None] if values.ndim == 2 else np.moveaxis(values, 2, 0)


def quantize(image: NDArray[Any]) -> Pixels:
    """A restored image in 0..1 as uint8: clamped and rounded, half to even; NaN becomes 0."""
    values = np.fmin(np.fmax(image.astype(np.float32, copy=False), 0), 1)
    levels: Pixels = np.rint(values * 255).astype(np.uint8, order="C")
    return levels
