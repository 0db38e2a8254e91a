"""Packs: decoded pixels in a file that every process maps, so memory holds them once."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from bbnas.errors import UserError

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int]

_STALE_SECONDS = 24 * 3600.0  # age from which an unfinished file is deleted: no write takes a day
_TEMPORARY = ".unfinished"


@dataclass(frozen=True)
class Pack:
    """The layout of a pack file: raw uint8 values, one image after another.

    ``spans`` holds the (first byte, shape) of each image; ``size`` is the file's, in bytes.
    """

    path: Path
    size: int
    spans: tuple[tuple[int, Shape], ...]

    @classmethod
    def of_shapes(cls, path: Path, shapes: Iterable[Shape]) -> Pack:
        """The pack that holds images of ``shapes`` in this order."""
        first, spans = 0, []
        for height, width, channels in shapes:
            spans.append((first, (height, width, channels)))
            first += height * width * channels
        return cls(path, first, tuple(spans))

    def select(self, indices: Iterable[int]) -> Pack:
        """The same file, restricted to the images at ``indices``."""
        return Pack(self.path, self.size, tuple(self.spans[i] for i in indices))

    def whole(self) -> bool:
        """Whether the file exists and has the right size."""
        try:
            return self.path.stat().st_size == self.size
        except OSError:
            return False

    def arrays(self) -> tuple[Pixels, ...]:
        """Read-only views of the images, in memory that all processes share.

        Raises:
            UserError: the file is missing or damaged.
        """
        if not self.whole():
            raise UserError(f"{self.path}: image cache missing or damaged; run the command again")
        values = np.asarray(np.memmap(self.path, dtype=np.uint8, mode="r"))
        return tuple(
            values[first : first + h * w * c].reshape(h, w, c) for first, (h, w, c) in self.spans
        )


def file_behind(array: NDArray[Any]) -> Path | None:
    """The file that an array's memory is mapped from; None if there is none."""
    base: Any = array
    while base is not None:
        if isinstance(base, np.memmap):
            return Path(base.filename) if base.filename else None
        base = getattr(base, "base", None)
    return None


def cache_folder() -> Path:
    """$BBNAS_CACHE, or the platform's cache folder; it may be deleted at any time."""
    import platformdirs

    return Path(os.environ.get("BBNAS_CACHE") or platformdirs.user_cache_dir("bbnas")).absolute()


@contextlib.contextmanager
def temporary_file(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file in ``folder``, to be written and renamed; deleted unless it was renamed.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f"*{_TEMPORARY}"):  # by a process that was killed
        with contextlib.suppress(OSError):
            if time.time() - left_over.stat().st_mtime > _STALE_SECONDS:
                left_over.unlink()
    path = folder / f"{uuid.uuid4().hex}{_TEMPORARY}"
    try:
        with path.open("xb") as file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def made_once(final: Path) -> Iterator[None]:
    """Let one process at a time make ``final``; check inside whether another has made it.

    Raises:
        OSError: its folder cannot be made or written.
    """
    from filelock import FileLock

    final.parent.mkdir(parents=True, exist_ok=True)
    lock = final.with_name(f"{final.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            # A process that waits for the removed lock and one that makes a new lock may both
            # enter. Both check for ``final``; at worst it is made twice, which wastes time only.
            lock.unlink(missing_ok=True)


def finish(file: BinaryIO, temporary: Path, final: Path) -> None:
    """Rename a written temporary file, with its content flushed to the disk."""
    file.flush()
    os.fsync(file.fileno())
    temporary.replace(final)


def write_pack(pack: Pack, images: Iterable[Pixels]) -> None:
    """Write the file of ``pack``, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with temporary_file(pack.path.parent) as (file, temporary):
        for image in images:
            file.write(np.ascontiguousarray(image).data)
        finish(file, temporary, pack.path)


A = TypeVar("A")
B = TypeVar("B")
_watcher: ContextVar[Callable[[], None] | None] = ContextVar("watcher", default=None)


@contextlib.contextmanager
def watched(on_item: Callable[[], None]) -> Iterator[None]:
    """Call ``on_item`` after each item that ``map_in_order`` yields within the block."""
    token = _watcher.set(on_item)
    try:
        yield
    finally:
        _watcher.reset(token)


def map_in_order(function: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """``map`` on threads, in order, with few results waiting, since they may be large."""
    threads = min(8, os.cpu_count() or 1)
    waiting: deque[Future[B]] = deque()
    on_item = _watcher.get() or (lambda: None)
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
                on_item()
        while waiting:
            yield waiting.popleft().result()
            on_item()
