"""Data: photographs, degradations, patches and benchmark sets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bbnas.data.datasets import Dataset, embedded_name, find_benchmark, load_dataset
from bbnas.data.degradation import (
    bicubic_downscale,
    bicubic_on_y,
    bicubic_upscale,
    crop_to_multiple,
    degrade,
    target,
)
from bbnas.data.images import ImageSet, load_images
from bbnas.data.pairs import load_pairs
from bbnas.data.reading import read_image

if TYPE_CHECKING:
    from bbnas.data.patches import Patches, hq_images, lq_images, validation_pairs

__all__ = [
    "Dataset",
    "ImageSet",
    "Patches",
    "bicubic_downscale",
    "bicubic_on_y",
    "bicubic_upscale",
    "crop_to_multiple",
    "degrade",
    "embedded_name",
    "find_benchmark",
    "hq_images",
    "load_dataset",
    "load_images",
    "load_pairs",
    "lq_images",
    "read_image",
    "target",
    "validation_pairs",
]

# These names need torch and load on first use: listing and checking sets need no torch.
_OF_PATCHES = ("Patches", "hq_images", "lq_images", "validation_pairs")


def __getattr__(name: str) -> Any:
    if name in _OF_PATCHES:
        return getattr(import_module("bbnas.data.patches"), name)
    raise AttributeError(f"module 'bbnas.data' has no attribute {name!r}")
