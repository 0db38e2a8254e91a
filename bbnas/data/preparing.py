"""Preparing: the fast form of a folder's images, made before any training asks for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bbnas.data.datasets import Dataset, load_dataset
from bbnas.data.folders import find_files
from bbnas.data.pack import cache_folder, file_behind, watched
from bbnas.data.sets import OnProgress, Work
from bbnas.errors import UserError
from bbnas.tasks import Task


@dataclass(frozen=True)
class Prepared:
    """What lies ready: ``files`` of raw pixels, ``size`` bytes in all.

    ``made`` counts the images decoded or generated just now; 0 means that all was there before.
    """

    dataset: Dataset
    files: tuple[Path, ...]
    size: int
    made: int
    seconds: float


def prepare(
    path: str | Path, task: Task | None = None, on_progress: OnProgress | None = None
) -> Prepared:
    """Decodes a folder's images and generates their LQ images for ``task``, as training does.

    They are written to the cache folder ($BBNAS_CACHE), each file whole or not at all, where
    every process maps them: memory holds them once. What is there already is left as it is.

    Raises:
        UserError: no such folder, too few usable images, or the cache cannot be written.
    """
    start, made = time.monotonic(), 0
    done, total, what = 0, 0, ""

    def count() -> None:
        nonlocal made, done
        made, done = made + 1, done + 1
        if on_progress is not None:
            on_progress(Work(what, done, max(done, total)))

    with watched(count):
        what = "decoding"
        total = len(find_files(Path(path))[0]) if Path(path).is_dir() else 0
        dataset = load_dataset(path)
        images = list(dataset.train.images) + list(dataset.validation.images)
        if task is not None and dataset.train.pack is not None:  # else it is refused below
            from bbnas.data.patches import hq_images, lq_images  # which need torch

            total = len(dataset.train)
            done, what = 0, "taking Y"
            images += hq_images(dataset.train, task)
            done, what = 0, f"degrading for {task.name}"
            images += lq_images(dataset.train, task)
    behind = [file_behind(image) for image in images]
    if None in behind:
        raise UserError(
            f"{cache_folder()}: the image cache cannot be written; free some space or set "
            "BBNAS_CACHE to another folder"
        )
    files = tuple(sorted({file for file in behind if file is not None}))
    size = sum(file.stat().st_size for file in files)
    return Prepared(dataset, files, size, made, time.monotonic() - start)
