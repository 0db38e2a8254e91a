"""Reading: a photograph file as uint8 RGB, with its transparency and its colour profile."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bbnas.data.pack import Pixels
from bbnas.errors import UserError
from bbnas.formats import IMAGE, recognise

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
READER = 2  # version of the decoding; a change of it makes older caches unused

# The names of TIFF's tags.
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2

# Pillow logs some faults of a TIFF; without a handler Python prints them on the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Layers(NamedTuple):
    """A decoded file.

    ``colour`` is uint8 H×W×3 RGB, of a grey file the replicated values. ``alpha`` is uint8 H×W,
    0 where the file is transparent, None if it is opaque. ``profile`` is the ICC profile that
    describes ``colour``; None stands for sRGB. Of ``frames`` the first was read.
    """

    colour: Pixels
    alpha: Pixels | None
    grey: bool
    profile: bytes | None
    frames: int

    def over_white(self) -> Pixels:
        """The colour, with transparent pixels laid over white."""
        if self.alpha is None:
            return self.colour
        image = Image.fromarray(np.dstack([self.colour, self.alpha]))
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return np.array(Image.alpha_composite(white, image).convert("RGB"))


def read_image(path: str | Path) -> tuple[Pixels, bool]:
    """A photograph file as uint8 H×W×3 RGB, and whether the file had one grey channel.

    Grey values are replicated, palettes looked up, and transparent pixels laid over white. The
    upper 8 of 12 or 16 bits are kept. CMYK is converted by its ICC profile if it has one. The
    EXIF orientation is applied. Only the first of several frames is read.

    Raises:
        UserError: no image of a known format, damaged, too large, or of a kind of pixels whose
            white or transparency is not known.
    """
    layers = read_layers(path)
    return layers.over_white(), layers.grey


def read_layers(path: str | Path) -> Layers:
    """As :func:`read_image`, with colour and transparency apart."""
    try:
        with reader_warnings():
            return read(Path(path))
    except _UnusableError as error:
        raise UserError(f"{path}: {error}") from error
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
    """The image is intact but cannot be an input; the text is the reason and the remedy."""


def read(path: Path) -> Layers:
    """``read_layers`` inside ``reader_warnings``; raises whatever the decoder raises."""
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise _UnusableError("not a file; name an image file")
    try:
        with Image.open(path, formats=_FORMATS) as opened:
            stored = _Stored.of(opened)
            opened.load()
            image = ImageOps.exif_transpose(opened)
            frames = _frames(opened)  # it moves in the file, so the first frame is decoded before
    except UnidentifiedImageError:
        found = recognise(path)
        if found is None or found == IMAGE:
            raise
        remedy = found.remedy or "use another file"
        raise _UnusableError(f"not a readable image, but {found.title}; {remedy}") from None
    profile = image.info.get("icc_profile")
    if image.mode in ("1", "L") or image.mode.startswith("I;16"):
        colour, alpha = stored.grey(image)
    else:
        colour, alpha = stored.colour(image, profile)
    grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;16")
    grey = grey or stored.raw == "LA;16B"  # which Pillow decodes as RGBA
    if image.mode in ("CMYK", "LAB") or not fits(profile, grey):
        profile = None  # it describes the values of the file, or nothing
    return Layers(colour, alpha, grey, profile, frames)


def _frames(opened: Image.Image) -> int:
    if opened.format == "MPO":  # a JPEG, whose further pictures are previews or depth maps
        return 1
    try:
        return getattr(opened, "n_frames", 1)
    except Exception:  # noqa: BLE001 - decoders raise any exception on damaged further frames
        return 1


def fits(profile: bytes | None, grey: bool) -> bool:
    """Whether an ICC profile is of the colour space of a grey, or else an RGB, image."""
    return profile is not None and _space(profile) == (b"GRAY" if grey else b"RGB ")


def _space(profile: bytes) -> bytes:
    """The colour space in the header of an ICC profile; empty if it is none."""
    return profile[16:20] if profile[36:40] == b"acsp" else b""


class _Stored(NamedTuple):
    """How the file stores its pixels, where Pillow's mode does not tell."""

    raw: str  # Pillow's name of the layout, such as RGB;16B
    bits: int  # of a grey value
    inverted: bool

    @classmethod
    def of(cls, opened: Image.Image) -> _Stored:
        """Raises _UnusableError for pixels that cannot be shown in 8 bits."""
        tile: list[Any] = getattr(opened, "tile", [])
        args = tile[0][3] if tile else ""
        raw = str(args[0] if isinstance(args, tuple) and args else args)
        tags = getattr(opened, "tag_v2", {})
        mode = opened.mode
        if mode in ("I", "F") or _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
            pixels = "floating-point" if mode == "F" else "signed or 32-bit"
            raise _UnusableError(
                f"{pixels} pixels (mode {mode}), whose black and white are not defined: save it "
                "with 8 or 16 bits, unsigned"
            )
        if raw == "RGB;16B" and "transparency" in opened.info:
            raise _UnusableError(
                f"one transparent colour of 16 bits (mode {mode}, tRNS): save it with an alpha "
                "channel"
            )
        bits = int(raw[2:]) if raw in ("L;2", "L;4") else 8
        if mode.startswith("I;16"):
            bits = int(tags.get(_BITS, (16,))[0])
        # Pillow inverts such values itself, but for 16 bits.
        inverted = mode.startswith("I;16") and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        return cls(raw, bits, inverted)

    def grey(self, image: Image.Image) -> tuple[Pixels, Pixels | None]:
        """(H×W×3, alpha) of one channel, in which a single value may be transparent."""
        # By numpy: Pillow cuts 16 bits off at 255, and compares 2 and 4 bits with 8.
        values = np.asarray(image.convert("L") if image.mode == "1" else image)
        values = values.astype(np.uint16)
        alpha = None
        clear = image.info.get("transparency")
        if clear is not None:
            clear = clear * 255 // (2**self.bits - 1) if self.bits < 8 else clear
            alpha = np.where(values == clear, 0, 255).astype(np.uint8)
        levels = (values >> max(self.bits - 8, 0)).astype(np.uint8)
        return np.dstack([255 - levels if self.inverted else levels] * 3), alpha

    def colour(self, image: Image.Image, profile: bytes | None) -> tuple[Pixels, Pixels | None]:
        """(H×W×3, alpha) of every other mode."""
        if image.mode == "La":  # which Pillow converts to nothing else
            image = image.convert("LA")
        if image.has_transparency_data:
            layers = np.array(image.convert("RGBA"))
            return np.ascontiguousarray(layers[..., :3]), np.ascontiguousarray(layers[..., 3])
        if image.mode == "LAB" or (
            image.mode == "CMYK" and profile and _space(profile) == b"CMYK"
        ):
            image = _to_srgb(image, profile)
        return np.array(image.convert("RGB"), dtype=np.uint8, order="C"), None


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """CIELAB, or CMYK by its ICC profile, as sRGB; CMYK as it is if the profile is damaged."""
    from PIL import ImageCms

    try:
        transform = ImageCms.buildTransform(
            ImageCms.createProfile("LAB")
            if image.mode == "LAB"
            else ImageCms.ImageCmsProfile(io.BytesIO(profile or b"")),
            ImageCms.createProfile("sRGB"),
            image.mode,
            "RGB",
            # A table in place of the formula is wrong by up to 30 levels.
            flags=ImageCms.Flags.NOOPTIMIZE,
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return transform.apply(image)


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
