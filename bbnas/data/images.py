"""Image sets: photographs, decoded once for all processes of the machine."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import __version__ as PILLOW

from bbnas.data.folders import find_files, no_image
from bbnas.data.pack import (
    Pack,
    Pixels,
    Shape,
    cache_folder,
    finish,
    made_once,
    map_in_order,
    temporary_file,
)
from bbnas.data.reading import READER, read, reader_warnings, reason
from bbnas.errors import UserError
from bbnas.text import from_json

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Decoded images in a fixed order.

    ``images`` are uint8 H×W×3 RGB, read-only. ``grey`` marks those from a file with one channel,
    whose values are replicated. ``digests`` are the SHA-256 of shape and pixels. ``skipped`` holds
    (file, reason) of every file left out, and of the frames after the first. If the images lie in
    a ``pack``, a pickled set holds the file's path instead of pixels, and every process that
    unpickles it shares the memory.

    The images are HQ. ``lq`` holds their LQ images in the same order where they are given (real
    degradations); without it, each task makes its own.
    """

    names: tuple[str, ...]
    images: tuple[Pixels, ...] = field(repr=False)
    grey: tuple[bool, ...]
    digests: tuple[str, ...] = field(repr=False)
    skipped: tuple[tuple[str, str], ...] = ()
    pack: Pack | None = field(default=None, repr=False)
    lq: ImageSet | None = field(default=None, repr=False)

    @classmethod
    def from_arrays(
        cls, names: Sequence[str], images: Sequence[Pixels], grey: Sequence[bool] = ()
    ) -> ImageSet:
        """A set of uint8 H×W×3 arrays in this process's memory; by default no image is grey."""
        views = tuple(np.ascontiguousarray(image).view() for image in images)
        for view in views:
            view.flags.writeable = False
        flags = tuple(grey) or (False,) * len(views)
        return cls(tuple(names), views, flags, tuple(digest(view) for view in views))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def fingerprint(self) -> str:
        """The identity of names, sizes and pixels: 16 hexadecimal digits."""
        content = json.dumps(
            [self.names, self.digests, *([self.lq.names, self.lq.digests] if self.lq else [])]
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def select(self, indices: Iterable[int]) -> ImageSet:
        """The images at ``indices``, in the same memory, with ``skipped`` unchanged."""
        chosen = list(indices)
        return ImageSet(
            names=tuple(self.names[i] for i in chosen),
            images=tuple(self.images[i] for i in chosen),
            grey=tuple(self.grey[i] for i in chosen),
            digests=tuple(self.digests[i] for i in chosen),
            skipped=self.skipped,
            pack=self.pack.select(chosen) if self.pack else None,
            lq=self.lq.select(chosen) if self.lq else None,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        images = () if self.pack else self.images
        fields = (self.names, images, self.grey, self.digests, self.skipped, self.pack, self.lq)
        return _unpickled, fields


def _unpickled(
    names: tuple[str, ...],
    images: tuple[Pixels, ...],
    grey: tuple[bool, ...],
    digests: tuple[str, ...],
    skipped: tuple[tuple[str, str], ...],
    pack: Pack | None,
    lq: ImageSet | None,
) -> ImageSet:
    return ImageSet(names, pack.arrays() if pack else images, grey, digests, skipped, pack, lq)


def digest(image: Pixels) -> str:
    """The SHA-256 of an image's shape and pixels."""
    hashed = hashlib.sha256(repr(image.shape).encode())
    hashed.update(np.ascontiguousarray(image).data)
    return hashed.hexdigest()


def load_images(path: str | Path, min_side: int = 1, copies: bool = False) -> ImageSet:
    """The photographs of a folder and its subfolders, sorted by name, or a single file.

    ``skipped`` lists the files that cannot be used, with the reason: unreadable files, images with
    a side below ``min_side`` pixels, low-resolution copies in a data set unless ``copies`` are
    asked for.

    Raises:
        UserError: no such file or folder, or no usable image in it.
    """
    path = Path(path)
    if path.is_dir():
        files, skipped = find_files(path, copies)
    elif path.exists():
        files, skipped = [(path.name, path)], []
    else:
        raise UserError(f"{path}: no such file or folder; give a folder of images")
    images = decode(files, min_side)
    images = replace(images, skipped=tuple(sorted({*skipped, *images.skipped})))
    if not images.names:
        raise no_image(path, images.skipped)
    return images


def decode(files: Sequence[tuple[str, Path]], min_side: int = 1) -> ImageSet:
    """The decoded images of (name, file) pairs, from the cache unless a file has changed.

    If the cache cannot be written, the images are held in this process's memory.
    """
    folder = cache_folder()
    index = folder / f"{_source_key(files, min_side)}.json"
    cached = _from_cache(index)
    if cached is not None:
        return cached
    with reader_warnings():
        try:
            with made_once(index):
                return _from_cache(index) or _to_cache(files, min_side, folder, index)
        except OSError as error:
            _log.warning(
                "image cache %s cannot be written (%s): images are held in memory; "
                "set BBNAS_CACHE to another folder",
                folder,
                error.strerror or error,
            )
            return _in_memory(files, min_side)


@dataclass(frozen=True)
class _Decoded:
    """The outcome of decoding one file: pixels, or the reason why it cannot be used."""

    name: str
    pixels: Pixels | None = None
    grey: bool = False
    digest: str = ""
    frames: int = 1
    reason: str = ""
    passing: bool = False  # whether the reason is temporary (memory, the system), not the file

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        if self.reason:
            return ((self.name, self.reason),)
        if self.frames > 1:
            return ((f"{self.name}, frames 2 to {self.frames}", "only the first frame is read"),)
        return ()


def _decode_one(item: tuple[str, Path], min_side: int) -> _Decoded:
    name, path = item
    try:
        layers = read(path)
        pixels = layers.over_white()
    except Exception as error:  # noqa: BLE001 - decoders raise any exception on damaged files
        system = isinstance(error, OSError) and error.errno is not None
        passing = system or isinstance(error, MemoryError)
        return _Decoded(name, reason=reason(error), passing=passing)
    height, width = pixels.shape[:2]
    if min(height, width) < min_side:
        return _Decoded(name, reason=f"{width}×{height}, a side is below {min_side} pixels")
    return _Decoded(name, pixels, layers.grey, digest(pixels), layers.frames)


def _decoded(files: Sequence[tuple[str, Path]], min_side: int) -> Iterator[_Decoded]:
    return map_in_order(partial(_decode_one, min_side=min_side), files)


def _in_memory(files: Sequence[tuple[str, Path]], min_side: int) -> ImageSet:
    results = list(_decoded(files, min_side))
    kept = [(one.name, one.pixels, one.grey) for one in results if one.pixels is not None]
    names, pixels, grey = zip(*kept, strict=True) if kept else ((), (), ())
    images = ImageSet.from_arrays(names, pixels, grey)
    skipped = tuple(left for one in results for left in one.left_out)
    return replace(images, skipped=skipped)


def _to_cache(
    files: Sequence[tuple[str, Path]], min_side: int, folder: Path, index: Path
) -> ImageSet:
    kept: list[_Decoded] = []
    shapes: list[Shape] = []
    skipped: list[tuple[str, str]] = []
    passing = False
    with temporary_file(folder) as (file, temporary):
        for one in _decoded(files, min_side):
            passing = passing or one.passing
            skipped += one.left_out
            if one.pixels is None:
                continue
            file.write(one.pixels.data)
            height, width, channels = one.pixels.shape
            shapes.append((height, width, channels))
            kept.append(replace(one, pixels=None))  # the file holds the pixels now
        images = ImageSet(
            names=tuple(one.name for one in kept),
            images=(),
            grey=tuple(one.grey for one in kept),
            digests=tuple(one.digest for one in kept),
            skipped=tuple(skipped),
        )
        if not kept:
            return images
        pack = Pack.of_shapes(folder / f"{images.fingerprint}.rgb", shapes)
        if not pack.whole():
            finish(file, temporary, pack.path)
    if not passing:
        content = {
            "names": images.names,
            "grey": images.grey,
            "digests": images.digests,
            "skipped": images.skipped,
            "shapes": shapes,
            "pack": pack.path.name,
        }
        with temporary_file(folder) as (file, temporary):
            file.write(json.dumps(content).encode())
            finish(file, temporary, index)
    return replace(images, images=pack.arrays(), pack=pack)


def _from_cache(index: Path) -> ImageSet | None:
    try:
        content = from_json(index.read_bytes())
        shapes = [(int(h), int(w), int(c)) for h, w, c in content["shapes"]]
        pack = Pack.of_shapes(index.parent / Path(content["pack"]).name, shapes)
        if not pack.whole():
            return None
        return ImageSet(
            names=tuple(content["names"]),
            images=pack.arrays(),
            grey=tuple(content["grey"]),
            digests=tuple(content["digests"]),
            skipped=tuple((name, why) for name, why in content["skipped"]),
            pack=pack,
        )
    except (OSError, ValueError, TypeError, KeyError, UserError):
        return None  # missing or damaged: it is made again


def _source_key(files: Sequence[tuple[str, Path]], min_side: int) -> str:
    """A digest of the files as they are now: paths, sizes and times."""
    seen: list[object] = [READER, PILLOW, min_side]
    for name, path in files:
        place = str(path.absolute())
        try:
            now = path.stat()
        except OSError:
            seen.append((name, place))
        else:
            seen.append((name, place, now.st_size, now.st_mtime_ns, now.st_ctime_ns))
    # JSON escapes to ASCII: a path may hold bytes that are not valid UTF-8.
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:32]
