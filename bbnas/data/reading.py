"""Reading: a photograph file as uint8 RGB."""

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
READER = 1  # version of the decoding; a change of it makes older caches unused


def read_image(path: str | Path) -> tuple[Pixels, bool]:
    """A photograph file as uint8 H×W×3 RGB, and whether the file had one grey channel.

    Grey values are replicated, palettes looked up, and transparent pixels laid over white. The
    upper 8 of 16 bits are kept. CMYK is converted without its profile. The EXIF orientation is
    applied. Only the first of several frames is read.

    Raises:
        UserError: no image of a known format, damaged, too large, or a pixel type whose white
            is not defined (32 bits).
    """
    try:
        with reader_warnings():
            return read(Path(path))
    except Exception as error:  # decoders raise any exception on damaged files
        raise UserError(f"{path}: {reason(error)}; use another file") from error


@contextlib.contextmanager
def reader_warnings() -> Iterator[None]:
    """Silence Pillow's warnings, and make the one about decompression bombs an error.

    Python's filters belong to the process, so enter this outside the threads that read.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


class _UnusableError(Exception):
    """The image is intact but cannot be an input; the text is the reason."""


def read(path: Path) -> tuple[Pixels, bool]:
    """``read_image`` inside ``reader_warnings``; raises whatever the decoder raises."""
    if path.exists() and not path.is_file():  # opening a pipe would block
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
    """Why an image cannot be used, in a few words for a message."""
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
