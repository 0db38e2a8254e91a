"""PSNR and SSIM by the field's protocol, for networks, other models and baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bbnas.data import (
    ImageSet,
    bicubic_downscale,
    bicubic_on_y,
    bicubic_upscale,
    target,
    validation_pairs,
)
from bbnas.engine import Model
from bbnas.errors import UserError, unknown
from bbnas.inference.adapter import on_arrays
from bbnas.inference.device import resolve_device
from bbnas.metrics import Planes, psnr, quantize, ssim
from bbnas.networks import RestorationNetwork
from bbnas.runtime.colour import to_y
from bbnas.tasks import Task
from bbnas.tiling import Restorer, restore_tiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Keep = Callable[[str, Pixels], None]

# Largest side in HQ pixels of an image that is scored whole, as the field does. Larger images are
# scored in tiles, which bound the memory to about 1 GB for a network of width 64.
WHOLE = 1024

BASELINES = ("bicubic", "identity")
MEAN = "mean"  # the name of the row of means


class Score(NamedTuple):
    """PSNR (dB) and SSIM of one image, or their means: on Y, for denoising on RGB."""

    name: str
    psnr: float
    ssim: float


def score(
    model: RestorationNetwork | Model | Callable[[Tensor], Tensor],
    task: Task,
    images: ImageSet,
    device: str | torch.device = "auto",
    side: int = 0,
    tile: int | None = None,
    reach: int | None = None,
    keep: Keep | None = None,
) -> list[Score]:
    """One row per image, and their means in a last row named ``mean``.

    ``model`` is a network of bbnas, a packed one, or any callable from an LQ tensor (1, C, h, w),
    float32 in 0..1, to an HQ tensor (1, C, s·h, s·w); C is 3 (RGB), or 1 (Y) for jpeg. A
    ``torch.nn.Module`` is moved to ``device`` and put into evaluation mode.

    The protocol, which reproduces published tables from published weights to the printed digit:

    - super-resolution: HQ cropped to a multiple of the scale s, LQ of it by MATLAB's bicubic,
      8 bits; scored on Y of BT.601 (on the values of a grey file), without s border pixels.
    - denoising: LQ = HQ/255 + N(0, (σ/255)²), the same fixed values for each image as in the
      field's public code (:func:`bbnas.data.degradation.noisy`), not clipped or rounded; scored
      over RGB, SSIM as the mean of its channels, with the border.
    - deblocking: HQ is Y of BT.601 rounded to 8 bits, LQ baseline JPEG of it; scored on Y, with
      the border.

    Output is clamped to 0..1 and rounded to 8 bits. ``side`` is the side in HQ pixels of the
    centre crop that is scored; 0 scores whole images. ``tile`` is the largest side in LQ pixels
    that the model sees at once; the result is that of the whole image. It needs ``reach``, the
    distance in LQ pixels over which an input pixel can change the output, which networks of bbnas
    know. By default images with a side above 1024 HQ pixels are tiled if the reach is known.
    ``keep`` is called with the name and the restored image, (H, W, C) uint8, of each.

    Raises:
        UserError: a model of another scale or channel count than the task's; an image too small
            to score; ``tile`` without ``reach``.
        FloatingPointError: the model's output is not finite.
    """
    restorer = _restorer(model, task, reach, resolve_device(device))
    if tile is None and restorer.reach is not None:
        tile = WHOLE // task.scale
    rows = []
    for index, (name, grey) in enumerate(zip(images.names, images.grey, strict=True)):
        # One image at a time: the float LQ images of a whole set would fill the memory.
        ((lq, hq),) = validation_pairs(images.select([index]), task, side)
        output = restore_tiled(restorer, lq, tile)
        if keep is not None:
            keep(name, output)
        rows.append(Score(name, *_figures(task, output, hq, grey)))
    return [*rows, _mean(rows)]


class Difference(NamedTuple):
    """The mean difference in PSNR (dB) over ``images``, and its 95 % interval (Student's t).

    ``low`` and ``high`` are NaN for a single image.
    """

    psnr: float
    low: float
    high: float
    images: int


def difference(rows: Sequence[Score], others: Sequence[Score]) -> Difference:
    """PSNR of ``rows`` less that of ``others``, paired by image, of two calls of :func:`score`.

    The rows named ``mean`` are left out, so the rows of several benchmarks may be joined. The
    interval says how far the mean would move with other images of the same kind; it does not hold
    the noise between trainings.
    """
    first, second = ([row for row in side if row.name != MEAN] for side in (rows, others))
    if [row.name for row in first] != [row.name for row in second]:
        raise ValueError("the rows are of other images")
    gains = [one.psnr - other.psnr for one, other in zip(first, second, strict=True)]
    if len(gains) < 2:
        return Difference(fmean(gains), math.nan, math.nan, len(gains))
    from scipy.stats import ttest_1samp  # its import takes half a second

    low, high = ttest_1samp(gains, 0.0).confidence_interval(0.95)
    return Difference(fmean(gains), float(low), float(high), len(gains))


def _restorer(
    model: RestorationNetwork | Model | Callable[[Tensor], Tensor],
    task: Task,
    reach: int | None,
    device: torch.device,
) -> Restorer:
    if not isinstance(model, RestorationNetwork | Model):
        return on_arrays(model, task.scale, reach, device)
    if (model.scale, model.channels) != (task.scale, task.channels):
        raise UserError(
            f"a ×{model.scale} network of {model.channels} image channels cannot be scored on "
            f"{task.name} (×{task.scale}, {task.channels}): name the task it was built for"
        )
    if isinstance(model, Model):
        packed: Restorer = model.restorer
        return packed
    return on_arrays(model, model.scale, model.reach, device, model.step)


def _figures(task: Task, output: Pixels, hq: Pixels, grey: bool) -> tuple[float, float]:
    on = compared(task, grey)
    return psnr(output, hq, task.border, on), ssim(output, hq, task.border, on)


def compared(task: Task, grey: bool = False) -> Planes:
    """The function from an image to the values scored: Y in super-resolution, else all."""
    return partial(to_y, grey=grey) if task.degradation == "bicubic" else np.asarray


def skip(task: Task) -> Callable[[Tensor], Tensor]:
    """The network's own global skip: bilinear upsampling, or the LQ image as it is."""
    if task.scale == 1:
        return lambda lq: lq
    return partial(F.interpolate, scale_factor=task.scale, mode="bilinear", align_corners=False)


def bicubic(task: Task) -> Callable[[Tensor], Tensor]:
    """Bicubic interpolation of an LQ tensor (1, C, h, w), as MATLAB's ``imresize``."""

    def enlarged(lq: Tensor) -> Tensor:
        image = bicubic_upscale(quantize(lq[0].permute(1, 2, 0).cpu().numpy()), task.scale)
        return torch.from_numpy(image).permute(2, 0, 1)[None] / 255

    return enlarged


def skip_psnr(task: Task, images: ImageSet, side: int = 0) -> float:
    """PSNR (dB) of the global skip alone: the score of a network that has learned nothing."""
    return score(skip(task), task, images, "cpu", side, reach=1)[-1].psnr


def bicubic_psnr(task: Task, images: ImageSet, side: int = 0) -> float | None:
    """PSNR (dB) of bicubic interpolation; None where LQ and HQ are of one size."""
    if task.degradation != "bicubic":
        return None
    return score(bicubic(task), task, images, "cpu", side)[-1].psnr


def score_baseline(
    name: str, task: Task, images: ImageSet, keep: Keep | None = None
) -> list[Score]:
    """The rows of ``bicubic`` (super-resolution) or ``identity`` (denoising, deblocking).

    ``identity`` is the LQ image itself, rounded to 8 bits as any output. ``bicubic`` is scored as
    the published rows are, on the interpolated Y (:func:`bbnas.data.bicubic_on_y`); ``keep`` gets
    the bicubic interpolation of the 8-bit LQ image in colour. Of pairs, that is scored.

    Raises:
        UserError: no such baseline, or not one of this task.
    """
    if name not in BASELINES:
        raise unknown("baseline", name, BASELINES)
    if name != task.baseline:
        raise UserError(f"{name} is no baseline of {task.name}: use {task.baseline}")
    if name == "identity":
        return score(skip(task), task, images, "cpu", reach=0, keep=keep)
    if images.lq is not None:
        return score(bicubic(task), task, images, "cpu", keep=keep)
    rows = []
    for index, (image, grey) in enumerate(zip(images.images, images.grey, strict=True)):
        restored, true = bicubic_on_y(image, task.scale, grey)
        figures = psnr(restored, true, task.border), ssim(restored, true, task.border)
        rows.append(Score(images.names[index], *figures))
        if keep is not None:
            lq = bicubic_downscale(target(task, image), task.scale)
            keep(images.names[index], bicubic_upscale(lq, task.scale))
    return [*rows, _mean(rows)]


def _mean(rows: list[Score]) -> Score:
    return Score(MEAN, fmean(row.psnr for row in rows), fmean(row.ssim for row in rows))
