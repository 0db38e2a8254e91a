"""Patches: training batches and validation pairs of a task, from decoded images."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bbnas.data.degradation import crop_to_multiple, degrade
from bbnas.data.images import ImageSet
from bbnas.data.pack import Pack, Pixels, finish, map_in_order, temporary_file
from bbnas.errors import UserError
from bbnas.tasks import Task

_log = logging.getLogger(__name__)
_DEGRADATION = 1  # raise it when degrade changes: caches of older LQ images are then not used


class Patches:
    """Batches of (LQ, HQ) patches that depend on seed and iteration alone.

    Every design sees the same batches (common random numbers), and a resumed training needs no
    generator state. Each patch is drawn from an image chosen uniformly, whatever its size: how
    varied the patches are is a matter of how many photographs, not pixels, they come from. The
    LQ patch is cut from the LQ image of the whole photograph; both are flipped and turned alike.

    ``patch`` is the side of the HQ patch in pixels, reduced to a multiple of the scale.

    Raises:
        UserError: an image is smaller than the patch.
    """

    def __init__(self, images: ImageSet, task: Task, patch: int, batch: int, seed: int) -> None:
        self.images, self.task, self.batch, self.seed = images, task, batch, seed
        self.patch = patch // task.scale * task.scale
        if self.patch == 0:
            raise UserError(f"patch {patch} is below the scale {task.scale}; give a larger patch")
        if not len(images):
            raise UserError("no images to train on; give a folder of images")
        for name, image in zip(images.names, images.images, strict=True):
            height, width = image.shape[:2]
            if min(height, width) < self.patch:
                raise UserError(
                    f"{name} has {width}×{height} pixels, fewer than the patch of {self.patch}: "
                    "choose a smaller patch or take the image out"
                )
        self.lq = lq_images(images, task)
        side = self.patch // task.scale
        # How many places an LQ patch has in each image.
        self._places = np.array([np.subtract(lq.shape[:2], side - 1) for lq in self.lq])

    def __reduce__(self) -> tuple[Any, ...]:
        return Patches, (self.images, self.task, self.patch, self.batch, self.seed)

    def batch_at(self, iteration: int) -> tuple[Tensor, Tensor]:
        """LQ and HQ of batch ``iteration``: float32, N×3×H×W, in 0..1."""
        key = np.array([self.seed, iteration], np.uint64)
        draw = np.random.Generator(np.random.Philox(key=key)).random((self.batch, 5))
        chosen = (draw[:, 0] * len(self.lq)).astype(np.int64)
        corners = (draw[:, 1:3] * self._places[chosen]).astype(np.int64)
        turns = (draw[:, 3] * 4).astype(np.int64)
        flips = draw[:, 4] < 0.5

        scale, patch = self.task.scale, self.patch
        side = patch // scale
        lq = np.empty((self.batch, side, side, 3), np.uint8)
        hq = np.empty((self.batch, patch, patch, 3), np.uint8)
        for i, (index, (y, x)) in enumerate(zip(chosen.tolist(), corners.tolist(), strict=True)):
            low = self.lq[index][y : y + side, x : x + side]
            top, left = y * scale, x * scale
            high = self.images.images[index][top : top + patch, left : left + patch]
            lq[i] = _turned(low, int(turns[i]), bool(flips[i]))
            hq[i] = _turned(high, int(turns[i]), bool(flips[i]))
        return _to_tensor(lq), _to_tensor(hq)


def _turned(image: Pixels, turns: int, flip: bool) -> Pixels:
    """One of the eight symmetries of the square, as a view: ``turns`` quarters, then a flip."""
    if turns % 2:
        image = image.swapaxes(0, 1)
    if turns in (1, 2):
        image = image[::-1]
    if (turns in (2, 3)) is not flip:
        image = image[:, ::-1]
    return image


def _to_tensor(batch: Pixels) -> Tensor:
    planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    return torch.from_numpy(planes).float().div_(255)


def lq_images(images: ImageSet, task: Task) -> tuple[Pixels, ...]:
    """The LQ image of each whole HQ image (cropped to a multiple of the scale).

    They are made once, and lie beside the pack of the HQ images if those lie in one.
    """

    def made(image: Pixels) -> Pixels:
        return degrade(task, crop_to_multiple(image, task.scale))

    if images.pack is None:
        return tuple(map_in_order(made, images.images))
    name = f"{images.fingerprint}-{task.name}-{_DEGRADATION}.rgb"
    shapes = ((i.shape[0] // task.scale, i.shape[1] // task.scale, 3) for i in images.images)
    pack = Pack.of_shapes(images.pack.path.with_name(name), shapes)
    if not pack.whole():
        try:
            _write(pack, map_in_order(made, images.images))
        except OSError as error:
            _log.warning("%s cannot be written (%s): held in memory", pack.path, error.strerror)
            return tuple(map_in_order(made, images.images))
    return pack.arrays()


def _write(pack: Pack, images: Iterable[Pixels]) -> None:
    with temporary_file(pack.path.parent) as (file, temporary):
        for image in images:
            file.write(image.data)
        finish(file, temporary, pack.path)


def validation_pairs(images: ImageSet, task: Task, side: int) -> list[tuple[Pixels, Pixels]]:
    """(LQ, HQ) of the centre crop of each image, uint8 H×W×3; the LQ is made from the crop.

    ``side`` is that of the crop in HQ pixels, reduced to a multiple of the scale and to what
    the image holds; 0 takes the whole image, cropped to a multiple of the scale.

    Raises:
        UserError: nothing is left of an image.
    """
    pairs = []
    for name, image in zip(images.names, images.images, strict=True):
        hq = crop_to_multiple(_centre(image, side) if side else image, task.scale)
        if not hq.size:
            raise UserError(
                f"{name}: a crop of {side or min(image.shape[:2])} pixels is below the scale "
                f"{task.scale}; give a larger one"
            )
        pairs.append((degrade(task, hq), hq))
    return pairs


def _centre(image: Pixels, side: int) -> Pixels:
    height, width = image.shape[:2]
    y, x = max(0, height - side) // 2, max(0, width - side) // 2
    return image[y : y + side, x : x + side]
