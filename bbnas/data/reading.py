"""Reading: any photograph file to uint8 RGB."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bbnas.data.pack import Pixels
from bbnas.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
READER = 1  # raise it when decoding changes: caches of older readings are then not used


def read_image(path: str | Path) -> tuple[Pixels, bool]:
    """One photograph file as uint8 H×W×3 RGB, and whether the file had one grey channel.

    Grey values are replicated; palettes are looked up; transparent pixels are laid over white;
    of 16 bits the upper 8 are kept; CMYK is converted without its profile; the EXIF orientation
    is applied; of several frames the first is read.

    Raises:
        UserError: no image of a known format, damaged, too large, or a pixel type whose white
            is not defined (32 bits).
    """
    try:
        with reader_warnings():
            return read(Path(path))
    except Exception as error:  # a decoder raises anything on a damaged file
        raise UserError(f"{path}: {reason(error)}; use another file") from error


@contextlib.contextmanager
def reader_warnings() -> Iterator[None]:
    """Silences Pillow's warnings and makes an error of the one about decompression bombs.

    Python's filters belong to the process: enter this outside of the threads that read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


class _UnusableError(Exception):
    """An image that is whole but no input; its text is the reason."""


def read(path: Path) -> tuple[Pixels, bool]:
    """``read_image`` inside ``reader_warnings``; raises whatever the decoder raises."""
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise _UnusableError("not a file")
    with Image.open(path, formats=_FORMATS) as opened:
        opened.load()
        image = ImageOps.exif_transpose(opened)
    mode = image.mode
    if mode in ("I", "F"):
        raise _UnusableError(
            "32 bits a pixel, whose white is not defined: save it with 8 or 16 bits"
        )
    if mode.startswith("I;16"):
        upper = np.asarray(image).astype(np.uint16) >> 8
        image = Image.fromarray(upper.astype(np.uint8))
    elif image.has_transparency_data:
        colour = image.convert("RGBA")
        white = Image.new("RGBA", colour.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, colour)
    pixels = np.array(image.convert("RGB"), dtype=np.uint8, order="C")
    return pixels, mode in ("1", "L", "LA", "La") or mode.startswith("I;16")


def reason(error: BaseException) -> str:
    """Why an image cannot be used, in a few words."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "not a readable PNG, JPEG, WebP, BMP or TIFF image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "too large for memory"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, _UnusableError) else f"damaged ({text})"
