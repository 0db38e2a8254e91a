"""Degradations: how the LQ (low-quality) image of a task is made from the HQ image."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bbnas.errors import UserError
from bbnas.runtime.colour import bands, luma, rounded, to_y
from bbnas.tasks import Task

Pixels = NDArray[np.uint8]
Values = NDArray[np.float64]
Lq = NDArray[np.uint8] | NDArray[np.float32]


def target(task: Task, image: Pixels, grey: bool = False) -> Pixels:
    """The HQ image that a network of ``task`` has to restore, H×W×C, of a photograph, H×W×3.

    It is the RGB image cropped to a multiple of the scale (a view), or, for a network of one
    channel, its :func:`luma`. All are uint8.
    """
    return crop_to_multiple(image, task.scale) if task.channels == 3 else luma(image, grey)


def degrade(task: Task, hq: Pixels) -> Lq:
    """The LQ image of an HQ image (uint8, H×W×C), which scoring shows to a network.

    - ``bicubic``: :func:`bicubic_downscale`, uint8.
    - ``noise``: :func:`noisy`, float32 in 0..1 before noise is added.
    - ``jpeg``: :func:`jpeg`, uint8.

    The level is the task's, also that of a blind task. (The authors' code trains denoising and
    deblocking blind, with σ drawn up to 75 and quality up to q. [ours: a network for each level,
    or blind])

    Raises:
        UserError: a side is no multiple of the scale.
    """
    match task.degradation:
        case "bicubic":
            return bicubic_downscale(hq, task.scale)
        case "noise":
            return noisy(hq, task.level)
        case "jpeg":
            return jpeg(hq, task.level)


def noisy(hq: Pixels, sigma: float) -> NDArray[np.float32]:
    """HQ/255 + N(0, (σ/255)²), float32, neither clipped nor rounded.

    The noise of every image is ``numpy.random.RandomState(0).normal(0, sigma / 255, shape)`` in
    the order of rows, columns, channels, as in the field's public test code (KAIR, which holds the
    published DnCNN weights, calls ``np.random.seed(0)`` before each image).
    """
    random = np.random.RandomState(0)
    lq = np.empty(hq.shape, np.float32)
    for rows in bands(len(hq)):  # the generator gives the same values as in one call
        clean = (hq[rows] / 255.0).astype(np.float32)
        lq[rows] = clean + random.normal(0, sigma / 255.0, clean.shape)
    return lq


def jpeg(y: Pixels, quality: int) -> Pixels:
    """``y`` (uint8, H×W×1) after baseline JPEG at ``quality`` (libjpeg, one channel)."""
    content = io.BytesIO()
    Image.fromarray(y[..., 0]).save(content, "JPEG", quality=quality)
    with Image.open(content) as image:
        return np.asarray(image)[..., None]


def crop_to_multiple(image: Pixels, scale: int) -> Pixels:
    """``image`` without the last rows and columns that fill no LQ pixel (a view)."""
    height, width = image.shape[:2]
    return image[: height // scale * scale, : width // scale * scale]


def bicubic_downscale(hq: Pixels, scale: int) -> Pixels:
    """MATLAB's ``imresize(hq, 1/scale, 'bicubic')`` for uint8 H×W or H×W×C.

    Bicubic with a = −0.5, its support widened by ``scale`` (antialiasing), borders repeated,
    rounded to 8 bits after each of the two passes, vertical first.

    Raises:
        UserError: a side is no multiple of ``scale``.
    """
    height, width = hq.shape[:2]
    if height % scale or width % scale:
        raise UserError(
            f"a {width}×{height} image cannot be reduced ×{scale}: "
            "crop its sides to a multiple first"
        )
    rows = rounded(_reduced_rows(hq, scale))
    return _transposed(rounded(_reduced_rows(_transposed(rows), scale)))


def bicubic_upscale(lq: Pixels, scale: int) -> Pixels:
    """MATLAB's ``imresize(lq, scale, 'bicubic')`` for uint8 H×W or H×W×C."""
    rows = rounded(_enlarged_rows(lq, scale))
    return _transposed(rounded(_enlarged_rows(_transposed(rows), scale)))


def bicubic_on_y(hq: Pixels, scale: int, grey: bool = False) -> tuple[Pixels, Pixels]:
    """(restored Y, true Y), uint8 H×W, as in the field's published Bicubic rows.

    Those rows predate colour LQ files: the 8-bit Y of ``hq`` is reduced and enlarged without
    rounding in between. On Set5 this gives 33.66 dB / 0.9299 (×2) and 28.42 / 0.8104 (×4) where
    ``bicubic_upscale`` of the 8-bit RGB LQ image gives 33.67 / 0.9303 and 28.43 / 0.8111.
    """
    true = rounded(to_y(crop_to_multiple(hq, scale), grey))
    low = _reduced_rows(_transposed(_reduced_rows(true, scale)), scale)
    restored = _enlarged_rows(_transposed(_enlarged_rows(low, scale)), scale)
    return rounded(restored), true


def _cubic(n: int, s: int) -> int:
    """Keys' cubic with a = −0.5 at x = n/(2s), times 16·s³: a whole number."""
    n = abs(n)
    if n <= 2 * s:  # 3/2 x³ − 5/2 x² + 1
        return 3 * n**3 - 10 * s * n**2 + 16 * s**3
    if n < 4 * s:  # −1/2 x³ + 5/2 x² − 4 x + 2
        return -(n**3) + 10 * s * n**2 - 32 * s**2 * n + 32 * s**3
    return 0


# The weights share one denominator, so sums of 8-bit values are exact, and the rounding of a tie
# does not depend on the order of summation.


@cache
def _down_taps(scale: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """((offset from the first of the ``scale`` inputs, weight), …) and the denominator."""
    taps = []
    for offset in range(-2 * scale, 3 * scale):
        weight = _cubic(2 * offset - (scale - 1), scale)  # centre at (scale − 1)/2
        if weight:
            taps.append((offset, weight))
    return tuple(taps), 16 * scale**4


@cache
def _up_taps(scale: int, phase: int) -> tuple[tuple[tuple[int, int], ...], int]:
    """As ``_down_taps``, for output ``phase`` of the ``scale`` outputs over one input."""
    taps = []
    for offset in range(-2, 3):
        weight = _cubic(2 * phase + 1 - scale - 2 * scale * offset, scale)
        if weight:
            taps.append((offset, weight))
    return tuple(taps), 16 * scale**3


def _reduced_rows(image: NDArray[Any], scale: int) -> Values:
    taps, denominator = _down_taps(scale)
    border = 2 * scale
    padded = _bordered(image, border)
    rows = image.shape[0]
    total = np.zeros((rows // scale, *image.shape[1:]))
    for offset, weight in taps:
        start = border + offset
        total += np.multiply(padded[start : start + rows : scale], weight, dtype=np.float64)
    total /= denominator
    return total


def _enlarged_rows(image: NDArray[Any], scale: int) -> Values:
    padded = _bordered(image, 2)
    rows = image.shape[0]
    result = np.empty((rows * scale, *image.shape[1:]))
    for phase in range(scale):
        taps, denominator = _up_taps(scale, phase)
        total = np.zeros(image.shape)
        for offset, weight in taps:
            start = 2 + offset
            total += np.multiply(padded[start : start + rows], weight, dtype=np.float64)
        total /= denominator
        result[phase::scale] = total
    return result


def _bordered(image: NDArray[Any], border: int) -> NDArray[Any]:
    return np.pad(image, [(border, border)] + [(0, 0)] * (image.ndim - 1), mode="edge")


def _transposed(image: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.swapaxes(image, 0, 1))
