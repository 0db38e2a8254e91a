"""Metrics: PSNR and SSIM as the field computes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bbnas.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
Y = NDArray[np.float64]

_BT601 = np.array([65.481, 128.553, 24.966])


def to_y(image: NDArray[Any], grey: bool = False) -> Y:
    """Y of BT.601, 16…235 and not rounded, of an H×W×3 RGB image (uint8, or float in 0..1).

    Of an image whose file was ``grey`` (its values replicated) Y is the values themselves,
    0…255: the same weights without the studio range. An H×W image is Y in 0…255 already.
    """
    if image.ndim == 2:
        return image.astype(np.float64)
    weights, black = (_BT601 * (255.0 / _BT601.sum()), 0.0) if grey else (_BT601, 16.0)
    if image.dtype == np.uint8:
        weights = weights / 255.0
    return np.asarray(image.astype(np.float64) @ weights + black)


def psnr_y(a: NDArray[Any], b: NDArray[Any], crop: int, grey: bool = False) -> float:
    """PSNR in dB on Y, with ``crop`` pixels cut from each border; inf for equal images.

    Raises:
        UserError: the sizes differ, or nothing is left after the crop.
    """
    y_a, y_b = _pair(a, b, crop, grey, least=1)
    error = float(np.mean((y_a - y_b) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim_y(a: NDArray[Any], b: NDArray[Any], crop: int, grey: bool = False) -> float:
    """SSIM on Y (Wang et al. 2004), with ``crop`` pixels cut from each border.

    11×11 Gaussian window with σ = 1.5, only where it lies wholly inside; K1 = 0.01, K2 = 0.03,
    data range 255, population covariance.

    Raises:
        UserError: the sizes differ, or fewer than 11 pixels a side are left after the crop.
    """
    y_a, y_b = _pair(a, b, crop, grey, least=_WINDOW.size)
    mean_a, mean_b, square_a, square_b, product = (
        _blurred(values) for values in (y_a, y_b, y_a * y_a, y_b * y_b, y_a * y_b)
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    means = mean_a * mean_b
    powers = mean_a**2 + mean_b**2
    structure = (2 * (product - means) + c2) / (square_a + square_b - powers + c2)
    return float(np.mean((2 * means + c1) / (powers + c1) * structure))


_WINDOW = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
_WINDOW /= _WINDOW.sum()


def _blurred(values: Y) -> Y:
    """The Gaussian window at every place where it fits."""
    for _ in range(2):
        rows = values.shape[0] - _WINDOW.size + 1
        total = np.zeros((rows, values.shape[1]))
        for start, weight in enumerate(_WINDOW):
            total += weight * values[start : start + rows]
        values = total.T
    return values


def _pair(a: NDArray[Any], b: NDArray[Any], crop: int, grey: bool, least: int) -> tuple[Y, Y]:
    if a.shape != b.shape:
        raise UserError(f"images of {a.shape} and {b.shape} cannot be compared: give equal sizes")
    inside = np.s_[crop : a.shape[0] - crop, crop : a.shape[1] - crop]
    if min(a.shape[:2]) - 2 * crop < least:
        raise UserError(
            f"an image of {a.shape[1]}×{a.shape[0]} is too small to score with {crop} pixels "
            f"cut from each border: {least} must be left"
        )
    return to_y(a[inside], grey), to_y(b[inside], grey)


def quantize(image: Tensor) -> Pixels:
    """A restored 3×H×W tensor in 0..1 as uint8 H×W×3: clamped and rounded; NaN becomes 0."""
    import torch

    values = torch.nan_to_num(image.detach().float(), nan=0.0, posinf=1.0, neginf=0.0)
    levels = (values.clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())
