"""Restoring an image of any size in bounded memory: tiles that overlap by the receptive field."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from bbnas.metrics import quantize
from bbnas.training.device import resolve_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from bbnas.networks import SRResNet

# LQ pixels a side, overlap included. A ×4 network of width 64 then needs about 1 GB.
TILE = 256


def reach(network: SRResNet) -> int:
    """How far, in LQ pixels, an input pixel can change the output: one a 3×3 convolution.

    Head, body, upsampling (at most two convolutions), conv_hr, tail and the bilinear skip.
    """
    return network.design.depth + 6


def restore(
    network: SRResNet, image: np.ndarray, device: str | torch.device = "cpu", tile: int = TILE
) -> np.ndarray:
    """The restored image: (H, W, 3) uint8 → (s·H, s·W, 3) uint8, for any H, W ≥ 1.

    ``tile`` bounds the side in LQ pixels of what the network sees at once (but for tiles smaller
    than twice their overlap), so memory does not grow with the image. Tiles overlap by the
    receptive field, so the seams are exact but for rounding. The network is left in evaluation
    mode on ``device``.

    Raises:
        FloatingPointError: the network's output is not finite.
    """
    output = forward(network, _to_tensor(image, resolve_device(device)), tile)[0]
    if not bool(output.isfinite().all()):
        raise FloatingPointError("the network's output is not finite")
    return quantize(output)


def _to_tensor(image: np.ndarray, device: torch.device) -> Tensor:
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return planes.unsqueeze(0).to(device).float().div_(255)


@torch.inference_mode()
def forward(network: SRResNet, lq: Tensor, tile: int = TILE) -> Tensor:
    """The network's output (1, C, s·H, s·W), not clamped, for ``lq`` (1, C, H, W) by tiles."""
    network.to(lq.device).eval()
    height, width = lq.shape[-2:]
    if max(height, width) <= tile:
        return cast("Tensor", network(lq))
    s, margin = network.scale, reach(network)
    # Wide networks of great depth: never let the overlap eat the tile.
    inner = max(tile - 2 * margin, tile // 4)
    out = lq.new_empty((*lq.shape[:-2], height * s, width * s))
    for (top, bottom), (left, right) in product(_spans(height, inner), _spans(width, inner)):
        y, x = max(top - margin, 0), max(left - margin, 0)
        seen = network(lq[..., y : bottom + margin, x : right + margin])
        rows = slice((top - y) * s, (bottom - y) * s)
        out[..., top * s : bottom * s, left * s : right * s] = seen[
            ..., rows, (left - x) * s : (right - x) * s
        ]
    return out


def _spans(length: int, inner: int) -> Iterator[tuple[int, int]]:
    """``length`` cut into the fewest parts of at most ``inner``, as equal as they can be."""
    parts = -(-length // inner)
    return pairwise(length * i // parts for i in range(parts + 1))
