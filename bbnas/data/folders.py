"""Folders: the high-quality photographs in one, and whether they train or validate."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bbnas.data.reading import SUFFIXES

# Formats that are not read: their files are reported as skipped instead of passed over in silence.
_OTHER_SUFFIXES = (
    ".arw", ".avif", ".cr2", ".cr3", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".jp2",
    ".jxl", ".nef", ".pgm", ".ppm", ".psd", ".raw", ".tga",
)  # fmt: skip

# Folders of low-resolution copies: DIV2K_train_LR_bicubic, LR, LRbicx4, lr_x2, LR-mild.
_LOW_RESOLUTION = re.compile(r"(?:^|[^a-z])LR(?:$|[^a-z]|bic|x)", re.IGNORECASE)


def find_files(root: Path) -> tuple[list[tuple[str, Path]], list[tuple[str, str]]]:
    """The photographs below ``root``: sorted (relative name, path), and (name, reason) skipped.

    Hidden files are ignored. Low-resolution copies in a data set are skipped, since bbnas makes
    every LQ image itself. Linked folders are followed, each real folder once.
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
            low = _LOW_RESOLUTION.search(name) is not None
            if low:
                skipped.append((_name(Path(folder, name), root) + "/", "low-resolution copies"))
            if low or name.startswith(".") or name == "__MACOSX":
                subfolders.remove(name)
        subfolders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            suffix = path.suffix.lower()
            if name.startswith("."):
                continue
            if suffix in _OTHER_SUFFIXES:
                skipped.append((_name(path, root), "not PNG, JPEG, WebP, BMP or TIFF"))
            elif suffix in SUFFIXES and _beside_its_original(path, names):
                skipped.append(
                    (_name(path, root), "low-resolution copy, or a result of some method")
                )
            elif suffix in SUFFIXES:
                files.append((_name(path, root), path))
    files.sort()
    return files, skipped


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
