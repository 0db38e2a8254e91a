"""The command ``bbnas-run``: restores a photograph, or times a model, without bbnas and torch."""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .binding import ISAS, ModelError
from .colour import luma, with_luma
from .model import BbnModel, load
from .timing import measure

if TYPE_CHECKING:
    from PIL import Image

TILE = 256
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def main(words: list[str] | None = None) -> int:
    """Run the command; returns its exit code, 2 for bad input."""
    try:
        _run(_parser().parse_args(words))
    except (ModelError, MemoryError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


class _OneLine(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ModelError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _OneLine("bbnas-run", description="Restore a photograph by a packed model (.bbn).")
    parser.add_argument("model", help="file of the packed model")
    parser.add_argument("image", nargs="?", help="PNG, JPEG, WebP, BMP or TIFF, 8 bits")
    parser.add_argument("-o", "--output", help="file of the restored image")
    parser.add_argument(
        "--tile",
        type=_number(16),
        default=TILE,
        help="largest side, in pixels of the image, that is restored at once (default: 256)",
    )
    parser.add_argument("--threads", type=_number(0), help="default: all cores; 1 with --time")
    parser.add_argument("--isa", choices=ISAS, help="default: the best of this machine")
    timing = parser.add_argument_group("times")
    timing.add_argument("--time", action="store_true", help="time the model instead")
    timing.add_argument(
        "--size", type=_size, default=(320, 180), help="of the image (default: 320x180)"
    )
    timing.add_argument("--runs", type=_number(1), default=5, help="timed runs (default: 5)")
    timing.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _number(least: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) < 1 << 31:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)

    return number


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size such as 320x180")
    return int(width), int(height)


def _run(given: argparse.Namespace) -> None:
    if given.time and given.image:
        raise ModelError("--time takes no image: leave it out, and give --size")
    if not given.time and not (given.image and given.output):
        raise ModelError("give an image and -o OUTPUT, or --time; see bbnas-run --help")
    model = load(given.model, given.isa)
    if given.time:
        _time(model, given)
        return
    restored = restore(model, Path(given.image), given.threads or 0, given.tile)
    _write(restored, Path(given.output))


def _time(model: BbnModel, given: argparse.Namespace) -> None:
    threads = 1 if given.threads is None else given.threads or os.cpu_count() or 1
    width, height = given.size
    found = measure(model, width, height, given.runs, threads)
    found["model"] = Path(given.model).name
    if given.json:
        print(json.dumps(found))
        return
    print(f"{'operation':>9}  {'kind':<10}  {'part':<10}  {'channels':<12}  {'ms':>9}")
    for index, one in enumerate(found["operations"]):
        channels = f"{one['inputs']}→{one['outputs']}"
        ms = one["seconds"] * 1e3
        print(f"{index:>9}  {one['kind']:<10}  {one['part']:<10}  {channels:<12}  {ms:>9.3f}")
    print(
        f"{statistics.median(found['seconds']) * 1e3:.1f} ms for {width}×{height} pixels, the "
        f"median of {given.runs} runs: {found['processor']}, {found['isa']}, threads: {threads}"
    )


def restore(model: BbnModel, path: Path, threads: int = 0, tile: int = TILE) -> Image.Image:
    """The restored photograph of ``path``, with the pixels of ``bbnas restore``.

    A model of one channel restores Y and keeps Cb and Cr. A grey image stays grey.

    Raises:
        ModelError: the file is no image that can be restored here, or there is not enough memory.
    """
    from PIL import Image

    image = _read(path)
    grey = image.mode == "L"
    pixels = np.array(image.convert("RGB"))
    if model.channels == 1 and model.scale == 1:
        before = luma(pixels, grey)
        restored = with_luma(pixels, before, model(before, threads, tile), grey)
    elif model.channels == 3:
        restored = model(pixels, threads, tile)
    else:
        raise ModelError(
            f"a model of {model.channels} channels and scale {model.scale}: photographs need 3 "
            "channels, or 1 at scale 1"
        )
    made = Image.fromarray(restored)
    made = made.convert("L") if grey else made
    if "icc_profile" in image.info:
        made.info["icc_profile"] = image.info["icc_profile"]
    return made


def _read(path: Path) -> Image.Image:
    """A photograph in mode RGB or L."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ModelError("no Pillow, which reads images: pip install pillow") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as opened:
                image = ImageOps.exif_transpose(opened)
                image.load()
    except Exception as error:  # decoders raise any exception on damaged files
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ModelError(f"{path}: cannot be read ({why}); use another image") from error
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode == "P" and "transparency" not in image.info:
        image = image.convert("RGB")
    elif image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB" if image.mode == "RGBA" else "L")
    if image.mode not in ("RGB", "L") or "transparency" in image.info:
        raise ModelError(
            f"{path}: pixels of mode {image.mode} are not restored here: save it in RGB or grey, "
            "8 bits, without transparency, or use bbnas restore"
        )
    return image


def _write(image: Image.Image, path: Path) -> None:
    from PIL import Image

    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in _FORMATS:
        raise ModelError(f"{path}: name a file of PNG, JPEG, WebP, BMP or TIFF, such as out.png")
    content = io.BytesIO()
    profile = image.info.get("icc_profile")
    quality = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    image.save(content, kind, icc_profile=profile, **quality)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content.getvalue())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written ({error.strerror}); name another") from error


if __name__ == "__main__":
    sys.exit(main())
