"""Restored crops, as the caller restored them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BICUBIC = "bicubic"
DEGRADED = "degraded"
FULL_PRECISION = "full precision"
RECOMMENDED = "recommended"
HQ = "HQ"


@dataclass(frozen=True)
class Crop:
    """One place in one image, restored in several ways.

    ``images`` holds (H, W, 3) uint8 arrays of one size by the name of the method, in the order
    in which to show them; ``psnr`` in dB of each but the HQ image, as the caller scored it.
    """

    name: str
    images: Mapping[str, NDArray[np.uint8]]
    psnr: Mapping[str, float]


@dataclass(frozen=True)
class Pictures:
    """Crops restored by the design of ``trial`` and what it is compared with.

    ``mean_psnr`` is the mean over all of the study's validation images, by method; its
    ``bicubic`` is what lets published designs be laid over the front, as dB above bicubic.
    ``note`` says how the networks were trained.
    """

    trial: int
    crops: tuple[Crop, ...]
    mean_psnr: Mapping[str, float]
    note: str = ""

    @property
    def bicubic(self) -> float | None:
        return self.mean_psnr.get(BICUBIC)


def data_uri(image: NDArray[np.uint8]) -> str:
    """A (H, W, 3) uint8 image as a PNG in a ``data:`` address."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
