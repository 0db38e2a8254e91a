"""Folders: the high-quality photographs in one, and whether they train or validate."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bbnas.data.reading import SUFFIXES
from bbnas.errors import UserError

# Formats that are not read: their files are reported as skipped instead of passed over in silence.
_OTHER_SUFFIXES = (
    ".apng", ".arw", ".avif", ".avifs", ".cr2", ".cr3", ".dcm", ".dds", ".dib", ".dng", ".eps",
    ".exr", ".gif", ".hdr", ".heic", ".heif", ".hif", ".icns", ".ico", ".j2k", ".jfif", ".jif",
    ".jp2", ".jpe", ".jpf", ".jpx", ".jxl", ".jxr", ".mpo", ".nef", ".orf", ".pbm", ".pcx", ".pfm",
    ".pgm", ".pnm", ".ppm", ".psd", ".qoi", ".raf", ".raw", ".rw2", ".sgi", ".svg", ".tga", ".xbm",
)  # fmt: skip

# Folders of low-resolution copies: DIV2K_train_LR_bicubic, LR, LRbicx4, lr_x2, LR-mild.
_LOW_RESOLUTION = re.compile(r"(?:^|[^a-z])LR(?:$|[^a-z]|bic|x)", re.IGNORECASE)


def find_files(
    root: Path, copies: bool = False
) -> tuple[list[tuple[str, Path]], list[tuple[str, str]]]:
    """The photographs below ``root``: sorted (relative name, path), and (name, reason) skipped.

    Skipped are hidden images and folders, folders of macOS's metadata, and images of other
    formats. Low-resolution copies in a data set are skipped too, since bbnas makes every LQ image
    itself, unless ``copies`` are asked for. Linked folders are followed, each real folder once.
    """
    files: list[tuple[str, Path]] = []
    skipped: list[tuple[str, str]] = []

    def refused(error: OSError) -> None:
        skipped.append((_name(Path(error.filename), root), error.strerror or "cannot be read"))

    seen = set()
    for folder, subfolders, names in os.walk(root, onerror=refused, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        for name in sorted(subfolders):
            why = _no_folder(name, copies)
            if why:
                skipped.append((_name(Path(folder, name), root) + "/", why))
                subfolders.remove(name)
        subfolders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            why = _no_photograph(path, names, copies)
            if why:
                skipped.append((_name(path, root), why))
            elif path.suffix.lower() in SUFFIXES:
                files.append((_name(path, root), path))
    files.sort()
    return files, skipped


def no_image(folder: Path, skipped: Sequence[tuple[str, str]]) -> UserError:
    """The error for a folder whose every file was skipped."""
    some = "; ".join(f"{name}: {why}" for name, why in skipped[:3])
    rest = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    reasons = f" (skipped {some}{rest})" if some else ""
    return UserError(
        f"{folder}: no usable image{reasons}; give PNG, JPEG, WebP, BMP or TIFF files"
    )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is no part of a data set: .thumbnails, ._a.png, __MACOSX."""
    return name.startswith(".") or name == "__MACOSX"


def _no_folder(name: str, copies: bool) -> str:
    if is_hidden(name):
        return "hidden" if name.startswith(".") else "metadata of macOS"
    return "low-resolution copies" if not copies and _LOW_RESOLUTION.search(name) else ""


def _no_photograph(path: Path, names: list[str], copies: bool) -> str:
    """Why a file is left out; empty for a photograph, and for what is no image at all."""
    suffix = path.suffix.lower()
    if suffix not in (*SUFFIXES, *_OTHER_SUFFIXES):
        lost = path.is_symlink() and not path.exists() and not is_hidden(path.name)
        return "a link to nothing" if lost else ""
    if is_hidden(path.name):
        return "hidden"
    if suffix in _OTHER_SUFFIXES:
        return "not PNG, JPEG, WebP, BMP or TIFF"
    if not copies and _beside_its_original(path, names):
        return "low-resolution copy, or a result of some method"
    return ""


def _beside_its_original(path: Path, names: list[str]) -> bool:
    """Whether ``path`` is like img_001_SRF_4_LR.png, or …_SRCNN.png, with …_HR.png beside it."""
    image, _, kind = path.stem.rpartition("_")
    copy = kind == "LR" or (kind != "HR" and re.search(r"_SRF_\d$", image) is not None)
    return copy and f"{image}_HR{path.suffix}" in names


def split_of(name: str) -> str:
    """``train``, ``valid`` or "", by the folders of a relative name (DIV2K_train_HR/0001.png)."""
    for folder in reversed(name.lower().split("/")[:-1]):
        for word in re.split(r"[^a-z]+", folder):
            if re.fullmatch(r"train(ing)?(set|hr)?", word):
                return "train"
            if re.fullmatch(r"val(id|idation)?(set|hr)?", word):
                return "valid"
    return ""


def _name(path: Path, root: Path) -> str:
    text = path.relative_to(root).as_posix()
    return os.fsencode(text).decode("utf-8", "replace")  # a name may hold bytes of no encoding
