"""Restoring an image of any size in bounded memory: tiles that overlap by the receptive field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bbnas.errors import UserError
from bbnas.metrics import quantize

# Largest side of a tile in LQ pixels, overlap included: a ×4 network of width 64 then needs about
# 1 GB.
TILE = 256
# Largest share of the work that the overlap of tiles should take. A published ×4 network of
# depth 32 spends half of it at TILE.
MOST_OVERLAP = 0.6


class Restorer(NamedTuple):
    """A model that restores images, whatever it is.

    ``run`` maps an LQ image (h, w, C), uint8 or float in 0..1, to an HQ image (s·h, s·w, C),
    float32, neither clamped nor rounded, where s is ``scale``. ``reach`` is the distance in LQ
    pixels over which an input pixel can change the output; None if it is unknown, and the model
    can only be shown whole images. Parts of an image are cut at multiples of ``step`` pixels from
    its upper left corner (2 for a network that begins with a PixelUnshuffle ×2).
    """

    run: Callable[[NDArray[Any]], NDArray[Any]]
    scale: int
    reach: int | None
    step: int = 1


def restore_tiled(
    model: Restorer,
    image: NDArray[Any],
    tile: int | None = TILE,
    on_part: Callable[[float], None] | None = None,
) -> NDArray[np.uint8]:
    """The restored image: (H, W, C) → (s·H, s·W, C) uint8, for any H, W ≥ 1.

    ``image`` is uint8, or float in 0..1. ``tile`` is the largest side in LQ pixels that the model
    sees at once, so memory does not grow with the image; None shows it the whole image. Tiles
    overlap by the receptive field: the result differs from that of the whole image by rounding
    only. (Below twice the overlap, a tile is larger than ``tile``.) ``on_part`` is called after
    each tile with the share of the image that is restored.

    Raises:
        UserError: tiles are needed and the model's reach is unknown.
        FloatingPointError: the output is not finite.
    """
    height, width, channels = image.shape
    scale = model.scale
    restored = np.empty((height * scale, width * scale, channels), np.uint8)
    for rows, columns, output in tiles(model, image, tile):
        if not np.isfinite(output).all():
            raise FloatingPointError("the network's output is not finite")
        restored[rows, columns] = quantize(output)
        if on_part is not None:
            # Tiles come row by row from the left.
            done = rows.start * width + (rows.stop - rows.start) * columns.stop / scale
            on_part(done / (height * scale * width))
    return restored


def tiles(
    model: Restorer, image: NDArray[Any], tile: int | None
) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
    """The parts of the restored image: (rows, columns, output there), not clamped."""
    height, width = image.shape[:2]
    margin, inner = _margin_and_inner(model.reach, height, width, tile)
    s = model.scale
    for (top, bottom), (left, right) in product(spans(height, inner), spans(width, inner)):
        y, x = (max(start - margin, 0) // model.step * model.step for start in (top, left))
        output = model.run(image[y : bottom + margin, x : right + margin])
        yield (
            slice(top * s, bottom * s),
            slice(left * s, right * s),
            output[(top - y) * s : (bottom - y) * s, (left - x) * s : (right - x) * s],
        )


def _margin_and_inner(
    reach: int | None, height: int, width: int, tile: int | None
) -> tuple[int, int]:
    """The pixels that a tile sees on each side of its own, and the largest side of its own."""
    if tile is None or max(height, width) <= tile:
        return 0, max(height, width)
    if reach is None:
        raise UserError(
            f"a model of unknown receptive field cannot see {width}×{height} pixels in tiles of "
            f"{tile}: give its reach in LQ pixels, or tile=None to show images whole"
        )
    # The overlap of a deep network can exceed the tile: a quarter of it at least is new.
    return reach, max(tile - 2 * reach, tile // 4, 1)


def overlap(reach: int | None, height: int, width: int, tile: int | None) -> float:
    """The share of the work on an image of this size that the overlap of its tiles takes."""
    margin, inner = _margin_and_inner(reach, height, width, tile)
    seen = 1
    for length in (height, width):
        seen *= sum(
            min(end + margin, length) - max(start - margin, 0)
            for start, end in spans(length, inner)
        )
    return 1 - height * width / seen


def smallest_tile(reach: int | None, height: int, width: int) -> int:
    """The smallest tile, a multiple of 16, whose overlap is at most ``MOST_OVERLAP``."""
    tile = 16
    while overlap(reach, height, width, tile) > MOST_OVERLAP:
        tile += 16
    return tile


def spans(length: int, inner: int) -> Iterator[tuple[int, int]]:
    """The fewest parts of ``length``, each at most ``inner``, whose sizes differ by at most 1."""
    parts = -(-length // inner)
    return pairwise(length * i // parts for i in range(parts + 1))
