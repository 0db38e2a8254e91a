"""PSNR and SSIM of networks and of the bicubic baseline on images."""

from __future__ import annotations

from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional as F

from bbnas.data import ImageSet, bicubic_on_y, find_benchmark, validation_pairs
from bbnas.errors import UserError
from bbnas.metrics import psnr_y, quantize, ssim_y
from bbnas.networks import SRResNet
from bbnas.tasks import get_task
from bbnas.training.checkpoint import load_checkpoint
from bbnas.training.device import resolve_device
from bbnas.training.tiling import restore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

# A scored image is seen whole up to this side in LQ pixels, as the field does.
WHOLE = 512


class Score(NamedTuple):
    """PSNR (dB) and SSIM on Y of one image, or their mean over all."""

    name: str
    psnr: float
    ssim: float


def score(
    network: SRResNet | Callable[[np.ndarray], np.ndarray],
    task: str,
    images: ImageSet,
    device: str | torch.device = "cpu",
    side: int = 0,
) -> list[Score]:
    """One row per image, and their mean as the last row, named ``mean``.

    ``network`` is a built network, or any function from an LQ to an HQ image, both (H, W, 3)
    uint8. ``side`` scores centre crops of that many HQ pixels; 0 scores whole images. The
    protocol is that of the field: HQ cropped to a multiple of the scale, LQ made from it, output
    rounded to 8 bits, ``scale`` border pixels left out, on Y of BT.601 (of grey files on their
    values).

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    restored = network
    if isinstance(network, SRResNet):
        restored = partial(restore, network, device=device, tile=WHOLE)
    pairs = validation_pairs(images, get_task(task), side)
    crop = get_task(task).scale
    rows = []
    for name, grey, (lq, hq) in zip(images.names, images.grey, pairs, strict=True):
        output = restored(lq)
        figures = psnr_y(output, hq, crop, grey), ssim_y(output, hq, crop, grey)
        rows.append(Score(name, *figures))
    return [*rows, _mean(rows)]


def interpolation_psnr(task: str, images: ImageSet, side: int = 0) -> float:
    """PSNR (dB) of the global skip alone: what a network that has learned nothing scores."""
    scale = get_task(task).scale

    def interpolate(lq: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(lq).permute(2, 0, 1)[None].float() / 255
        return quantize(F.interpolate(x, scale_factor=scale, mode="bilinear")[0])

    return score(interpolate, task, images, side=side)[-1].psnr


def score_bicubic(task: str, images: ImageSet) -> list[Score]:
    """The rows of the field's Bicubic baseline, made on Y (see ``bicubic_on_y``)."""
    scale = get_task(task).scale
    rows = []
    for name, image, grey in zip(images.names, images.images, images.grey, strict=True):
        restored, true = bicubic_on_y(image, scale, grey)
        rows.append(Score(name, psnr_y(restored, true, scale), ssim_y(restored, true, scale)))
    return [*rows, _mean(rows)]


def _mean(rows: list[Score]) -> Score:
    return Score("mean", fmean(row.psnr for row in rows), fmean(row.ssim for row in rows))


def evaluate_checkpoint(
    checkpoint: str | Path,
    benchmark: str | Path,
    task: str | None = None,
    device: str = "auto",
) -> list[Score]:
    """The rows of :func:`score` for a checkpoint, or for ``bicubic``, on a benchmark.

    ``benchmark`` is a name such as ``Set5`` or any folder of HQ images. ``task`` is needed for
    ``bicubic`` only.

    Raises:
        UserError: no such benchmark, a file that is no checkpoint, or a task that is missing or
            not the checkpoint's.
    """
    place = resolve_device(device)
    if str(checkpoint) == "bicubic":
        if task is None:
            raise UserError("bicubic has no task of its own: name one, such as --task sr4")
        return score_bicubic(task, find_benchmark(benchmark))
    network, info = load_checkpoint(checkpoint)
    if task not in (None, info.recipe.task):
        raise UserError(
            f"{checkpoint} was trained for {info.recipe.task}, not {task}: leave out --task"
        )
    try:
        return score(network, info.recipe.task, find_benchmark(benchmark), place)
    except FloatingPointError as error:
        raise UserError(f"{checkpoint}: {error}; choose an earlier checkpoint") from error
