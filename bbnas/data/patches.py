"""Patches: a task's training batches and validation pairs, from decoded images."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bbnas.data.degradation import Lq, crop_to_multiple, degrade, jpeg, target
from bbnas.data.images import ImageSet
from bbnas.data.pack import Pack, Pixels, Shape, made_once, map_in_order, write_pack
from bbnas.errors import UserError
from bbnas.runtime.colour import luma
from bbnas.tasks import Task

_log = logging.getLogger(__name__)
_DEGRADATION = 2  # version of degrade and target; a change of it makes older caches unused


class Patches:
    """Batches of (LQ, HQ) patches that depend on seed and iteration alone.

    Every design therefore sees the same batches (common random numbers), and a resumed training
    needs no generator state. Each patch comes from an image drawn uniformly, whatever its size,
    because the variety of patches depends on the number of photographs more than on that of
    pixels. The LQ patch is cut from the LQ image of the whole photograph. With ``augment``, both
    are flipped and rotated alike, by one of the 8 symmetries of the square. Noise is drawn anew
    for each batch. A blind task draws a level for each patch: σ evenly, JPEG's quality among the
    whole numbers. The LQ images of pairs have their own degradation.

    ``patch`` is the side of the HQ patch in pixels, reduced to a multiple of the scale.

    Raises:
        UserError: an image is smaller than the patch; a pair does not fit the task.
    """

    def __init__(
        self,
        images: ImageSet,
        task: Task,
        patch: int,
        batch: int,
        seed: int,
        augment: bool = True,
    ) -> None:
        self.images, self.task, self.batch, self.seed = images, task, batch, seed
        self.augment = augment
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
        check_sizes(images, task)
        # The blocks of JPEG at a drawn quality are made for each patch.
        self._compresses = task.degradation == "jpeg" and task.blind and images.lq is None
        self.hq = hq_images(images, task)
        self.lq = self.hq if self._compresses else lq_images(images, task)
        side = self.patch // task.scale
        # The number of positions of an LQ patch in each image, vertically and horizontally.
        self._places = np.array([np.subtract(lq.shape[:2], side - 1) for lq in self.lq])

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.images, self.task, self.patch, self.batch, self.seed, self.augment)
        return Patches, fields

    def batch_at(self, iteration: int) -> tuple[Tensor, Tensor]:
        """LQ and HQ of batch ``iteration``: float32, N×C×H×W, in 0..1 before noise is added."""
        stream = np.random.Philox(key=np.array([self.seed, iteration], np.uint64))
        draw = np.random.Generator(stream).random((self.batch, 5))
        chosen = (draw[:, 0] * len(self.lq)).astype(np.int64)
        corners = (draw[:, 1:3] * self._places[chosen]).astype(np.int64)
        turns = (draw[:, 3] * 4).astype(np.int64)
        flips = draw[:, 4] < 0.5
        if not self.augment:
            turns, flips = np.zeros_like(turns), np.zeros_like(flips)

        scale, patch, channels = self.task.scale, self.patch, self.task.channels
        side = patch // scale
        lq = np.empty((self.batch, side, side, channels), np.uint8)
        hq = np.empty((self.batch, patch, patch, channels), np.uint8)
        # Streams 2^128 draws ahead, so that the draws above do not depend on the task.
        levels = self._levels(stream.jumped(2))
        for i, (index, (y, x)) in enumerate(zip(chosen.tolist(), corners.tolist(), strict=True)):
            low = self.lq[index][y : y + side, x : x + side]
            if self._compresses:
                low = _compressed(self.hq[index], y, x, side, int(levels[i]))
            top, left = y * scale, x * scale
            high = self.hq[index][top : top + patch, left : left + patch]
            lq[i] = _turned(low, int(turns[i]), bool(flips[i]))
            hq[i] = _turned(high, int(turns[i]), bool(flips[i]))
        seen = _to_tensor(lq)
        if self.task.degradation == "noise" and self.images.lq is None:
            noise = np.random.Generator(stream.jumped()).standard_normal(seen.shape, np.float32)
            if self.task.blind:
                noise *= (levels / 255).astype(np.float32)[:, None, None, None]
                seen.add_(torch.from_numpy(noise))
            else:  # rounded once, as in the evaluations that are stored
                seen.add_(torch.from_numpy(noise), alpha=self.task.level / 255)
        return seen, _to_tensor(hq)

    def _levels(self, stream: np.random.Philox) -> NDArray[np.float64]:
        """The level of each patch: that of the task, or drawn."""
        if not self.task.blind:
            return np.full(self.batch, float(self.task.level))
        low, high = self.task.levels
        drawn = np.random.Generator(stream).random(self.batch)
        if self.task.degradation == "jpeg":
            return np.floor(low + drawn * (high - low + 1))
        return np.asarray(low + drawn * (high - low))


def _compressed(image: Pixels, y: int, x: int, side: int, quality: int) -> Pixels:
    """The patch at (y, x) of ``image`` after JPEG at ``quality`` of the whole image.

    Only the blocks of 8×8 that it touches are compressed: blocks do not depend on each other.
    """
    top, left = y // 8 * 8, x // 8 * 8
    blocks = jpeg(image[top : _to_block(y + side), left : _to_block(x + side)], quality)
    return blocks[y - top : y - top + side, x - left : x - left + side]


def _to_block(end: int) -> int:
    return -(-end // 8) * 8


def _turned(image: Pixels, turns: int, flip: bool) -> Pixels:
    """A view of ``image`` under a symmetry of the square: ``turns`` quarter turns, then a flip."""
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


def hq_images(images: ImageSet, task: Task) -> tuple[Pixels, ...]:
    """The images that HQ patches are cut from: RGB, H×W×3, or cached Y, H×W×1."""
    if task.channels == 3:
        return images.images

    def made() -> Iterator[Pixels]:
        return map_in_order(lambda pair: target(task, *pair), _with_grey(images))

    shapes = [(*image.shape[:2], 1) for image in images.images]
    return _cached(images, f"y-{_greys(images)}", shapes, made)


def lq_images(images: ImageSet, task: Task) -> tuple[Pixels, ...]:
    """The images that LQ patches are cut from: the cached LQ version of each whole image, h×w×C.

    For ``noise`` they are the HQ images: each batch adds its own noise. Pairs have LQ images.
    """
    if images.lq is not None:
        return hq_images(images.lq, task)
    hq, scale = hq_images(images, task), task.scale
    if task.degradation == "noise":
        return hq

    def made() -> Iterator[Pixels]:
        cropped = (crop_to_multiple(image, scale) for image in hq)
        return map_in_order(lambda image: cast("Pixels", degrade(task, image)), cropped)

    shapes = [(i.shape[0] // scale, i.shape[1] // scale, i.shape[2]) for i in hq]
    name = task.name if task.channels == 3 else f"{task.name}-{_greys(images)}"
    return _cached(images, name, shapes, made)


def _with_grey(images: ImageSet) -> Iterator[tuple[Pixels, bool]]:
    return zip(images.images, images.grey, strict=True)


def _greys(images: ImageSet) -> str:
    """A digest of which files were grey: the same pixels in a colour file have another Y."""
    return hashlib.sha256(bytes(images.grey)).hexdigest()[:8]


def _cached(
    images: ImageSet, name: str, shapes: Iterable[Shape], made: Callable[[], Iterator[Pixels]]
) -> tuple[Pixels, ...]:
    """The arrays of ``made``, cached in a pack beside that of ``images`` if they have one."""
    if images.pack is None:
        return tuple(made())
    path = images.pack.path.with_name(f"{images.fingerprint}-{name}-{_DEGRADATION}.rgb")
    pack = Pack.of_shapes(path, shapes)
    if not pack.whole():
        try:
            with made_once(path):
                if not pack.whole():
                    write_pack(pack, made())
        except OSError as error:
            _log.warning("%s cannot be written (%s): held in memory", path, error.strerror)
            return tuple(made())
    return pack.arrays()


def check_sizes(images: ImageSet, task: Task) -> None:
    """Raises UserError for a pair whose sizes do not fit the task's scale.

    HQ may have the rows and columns that fill no LQ pixel (:func:`crop_to_multiple`).
    """
    given = images.lq
    if given is None:
        return
    for name, hq, lq in zip(images.names, images.images, given.images, strict=True):
        (height, width), (low, narrow) = hq.shape[:2], lq.shape[:2]
        if (height // task.scale, width // task.scale) != (low, narrow):
            raise UserError(
                f"{name} has {width}×{height} pixels and its LQ image {narrow}×{low}: for "
                f"{task.name} HQ must be {task.scale} times as large as LQ; name the task of "
                "their scale, or other folders"
            )


def validation_pairs(images: ImageSet, task: Task, side: int) -> list[tuple[Lq, Pixels]]:
    """(LQ, HQ) of the centre crop of each image, (h, w, C) and (H, W, C).

    LQ is made from the crop; that of a pair is the same place of its LQ image. Both are uint8;
    the LQ of ``noise`` is float32 in 0..1. ``side`` is the side of the crop in HQ pixels, at most
    that of the image, reduced to a multiple of the scale; 0 takes the whole image, cropped to a
    multiple of the scale.

    Raises:
        UserError: an image is smaller than the scale; a pair does not fit the task.
    """
    if images.lq is not None:
        return _given_pairs(images, images.lq, task, side)
    pairs = []
    for name, (image, grey) in zip(images.names, _with_grey(images), strict=True):
        hq = target(task, _centre(image, side) if side else image, grey)
        if not hq.size:
            raise UserError(
                f"{name}: a crop of {side or min(image.shape[:2])} pixels is below the scale "
                f"{task.scale}; give a larger one"
            )
        pairs.append((degrade(task, hq), hq))
    return pairs


def _given_pairs(
    images: ImageSet, given: ImageSet, task: Task, side: int
) -> list[tuple[Lq, Pixels]]:
    check_sizes(images, task)
    scale = task.scale
    if 0 < side < scale:
        raise UserError(f"a crop of {side} pixels is below the scale {scale}; give a larger one")
    pairs: list[tuple[Lq, Pixels]] = []
    for (image, grey), (low, low_grey) in zip(_with_grey(images), _with_grey(given), strict=True):
        height, width = (min(side // scale or n, n) for n in low.shape[:2])
        y, x = (low.shape[0] - height) // 2, (low.shape[1] - width) // 2
        lq = low[y : y + height, x : x + width]
        top, left = y * scale, x * scale
        hq = image[top : top + height * scale, left : left + width * scale]
        pairs.append((lq if task.channels == 3 else luma(lq, low_grey), target(task, hq, grey)))
    return pairs


def _centre(image: Pixels, side: int) -> Pixels:
    height, width = image.shape[:2]
    y, x = max(0, height - side) // 2, max(0, width - side) // 2
    return image[y : y + side, x : x + side]
