"""Data: photographs, degradations, patches and benchmark sets."""

from __future__ import annotations

from bbnas.data.datasets import Dataset, find_benchmark, load_dataset
from bbnas.data.degradation import (
    bicubic_downscale,
    bicubic_on_y,
    bicubic_upscale,
    crop_to_multiple,
    degrade,
)
from bbnas.data.images import ImageSet, load_images
from bbnas.data.patches import Patches, lq_images, validation_pairs
from bbnas.data.reading import read_image

__all__ = [
    "Dataset",
    "ImageSet",
    "Patches",
    "bicubic_downscale",
    "bicubic_on_y",
    "bicubic_upscale",
    "crop_to_multiple",
    "degrade",
    "find_benchmark",
    "load_dataset",
    "load_images",
    "lq_images",
    "read_image",
    "validation_pairs",
]
