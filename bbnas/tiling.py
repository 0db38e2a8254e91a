"""Restoring an image of any size in bounded memory: tiles that overlap by the receptive field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bbnas.errors import UserError
from bbnas.inference.device import resolve_device
from bbnas.metrics import quantize
from bbnas.networks import RestorationNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

# LQ pixels a side, overlap included. A ×4 network of width 64 then needs about 1 GB.
TILE = 256


class Model(NamedTuple):
    """Anything that restores: from an LQ tensor (1, C, h, w), float in 0..1, to an HQ tensor
    (1, C, s·h, s·w).

    ``scale`` is s. ``reach``: how far, in LQ pixels, an input pixel can change the output; None
    if that is not known, and the model has to see an image whole.
    """

    run: Callable[[Tensor], Tensor]
    scale: int
    reach: int | None

    @classmethod
    def of(cls, network: RestorationNetwork) -> Model:
        return cls(network, network.scale, network.reach)

    def to(self, device: torch.device) -> Model:
        """Itself, a network moved to ``device`` and put into evaluation mode."""
        if isinstance(self.run, nn.Module):
            self.run.to(device).eval()
        return self


def restore(
    model: Model | RestorationNetwork,
    image: NDArray[Any],
    device: str | torch.device = "cpu",
    tile: int | None = TILE,
) -> NDArray[np.uint8]:
    """The restored image: (H, W, C) → (s·H, s·W, C) uint8, for any H, W ≥ 1.

    ``image`` is uint8, or float in 0..1. ``tile`` bounds the side in LQ pixels of what the model
    sees at once (but for tiles smaller than twice their overlap), so memory does not grow with
    the image; None shows it whole. Tiles overlap by the receptive field, so the seams are exact
    but for rounding. A network is left in evaluation mode on ``device``.

    Raises:
        UserError: tiles of a model whose reach is not known; an output that is no tensor of the
            right shape.
        FloatingPointError: the output is not finite.
    """
    if isinstance(model, RestorationNetwork):
        model = Model.of(model)
    place = resolve_device(device)
    model.to(place)
    height, width, channels = image.shape
    restored = np.empty((height * model.scale, width * model.scale, channels), np.uint8)
    for rows, columns, output in tiles(model, image, place, tile):
        if not bool(output.isfinite().all()):
            raise FloatingPointError("the network's output is not finite")
        restored[rows, columns] = quantize(output[0])
    return restored


def tiles(
    model: Model, image: NDArray[Any], device: torch.device, tile: int | None
) -> Iterator[tuple[slice, slice, Tensor]]:
    """(rows, columns, output there) of the restored image, (1, C, h, w), not clamped."""
    height, width = image.shape[:2]
    if tile is None or max(height, width) <= tile:
        margin, inner = 0, max(height, width)
    elif model.reach is None:
        raise UserError(
            f"a model of unknown receptive field cannot see {width}×{height} pixels in tiles of "
            f"{tile}: give its reach in LQ pixels, or tile=None to show images whole"
        )
    else:
        margin = model.reach
        # Wide networks of great depth: never let the overlap eat the tile.
        inner = max(tile - 2 * margin, tile // 4, 1)
    s = model.scale
    for (top, bottom), (left, right) in product(_spans(height, inner), _spans(width, inner)):
        y, x = max(top - margin, 0), max(left - margin, 0)
        seen = image[y : bottom + margin, x : right + margin]
        output = _run(model, _to_tensor(seen, device))
        yield (
            slice(top * s, bottom * s),
            slice(left * s, right * s),
            output[..., (top - y) * s : (bottom - y) * s, (left - x) * s : (right - x) * s],
        )


@torch.inference_mode()
def _run(model: Model, lq: Tensor) -> Tensor:
    try:
        output = model.run(lq)
    except RuntimeError as error:  # torch's word for sizes that do not fit
        if "memory" in str(error):
            raise
        reason = " ".join(str(error).split())
        raise UserError(
            f"the model cannot take an image of {tuple(lq.shape)}: {reason}"
        ) from error
    shape = (*lq.shape[:2], lq.shape[2] * model.scale, lq.shape[3] * model.scale)
    if not isinstance(output, Tensor) or output.shape != shape:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(
            f"the model makes {got} of {tuple(lq.shape)}: it must return a tensor of {shape}"
        )
    return output


def _to_tensor(image: NDArray[Any], device: torch.device) -> Tensor:
    planes = torch.from_numpy(image.transpose(2, 0, 1).copy())
    values = planes.unsqueeze(0).to(device).float()
    return values.div_(255) if image.dtype == np.uint8 else values


def _spans(length: int, inner: int) -> Iterator[tuple[int, int]]:
    """``length`` cut into the fewest parts of at most ``inner``, as equal as they can be."""
    parts = -(-length // inner)
    return pairwise(length * i // parts for i in range(parts + 1))
