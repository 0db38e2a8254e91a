"""Pairs: LQ images given as files beside their HQ images (real degradations)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bbnas.data.images import ImageSet, load_images
from bbnas.data.sets import stem_of
from bbnas.errors import UserError

# A path without a colon, but for that of a drive letter: C:\photos.
_PATH = r"((?:[A-Za-z]:[\\/]|(?![A-Za-z]:[\\/]))[^:]*)"


def split_pair(text: str) -> tuple[str, str] | None:
    r"""LQ_DIR and HQ_DIR of ``LQ_DIR:HQ_DIR``; None for a single path.

    A folder whose own name holds a colon is a single path, and so is ``C:\photos``.
    """
    both = re.fullmatch(f"{_PATH}:{_PATH}", text)
    return None if both is None or Path(text).exists() else (both[1], both[2])


def load_pairs(lq: str | Path, hq: str | Path, min_side: int = 1) -> ImageSet:
    """The HQ images of the folder ``hq`` that have an LQ image in the folder ``lq``, and those.

    An LQ image belongs to the HQ image of its name. Either name may end in what sets it apart:
    ``_LR``, ``_LQ``, ``x4`` or ``_SRF_4_LR`` of LQ, ``_HR``, ``_GT`` or ``_SRF_4_HR`` of HQ. An
    image without its other half is skipped, as are HQ images with a side below ``min_side``.

    Raises:
        UserError: no such folder, one folder for both, no usable image in one, or no pair.
    """
    for name, folder in (("LQ", lq), ("HQ", hq)):
        if not Path(folder).is_dir():
            raise UserError(
                f"{lq}:{hq}: the {name} folder {str(folder)!r} does not exist; give "
                "LQ_DIR:HQ_DIR, two folders with images of equal names"
            )
    if Path(lq).samefile(hq):
        raise UserError(
            f"{lq}:{hq}: both are one folder, whose images would be restored from themselves; put "
            "LQ and HQ images into two folders"
        )
    low, high = load_images(lq, copies=True), load_images(hq, min_side)
    partner = _partners(low.names, high.names)
    skipped = {f"{Path(lq).name}/{name}": why for name, why in low.skipped} | dict(high.skipped)
    found: dict[int, int] = {}
    for i, name in enumerate(low.names):
        j = partner[i]
        if j is None:
            skipped[f"{Path(lq).name}/{name}"] = f"no image of this name in {hq}"
        elif j in found:
            first = low.names[found[j]]
            skipped[f"{Path(lq).name}/{name}"] = f"{high.names[j]} has the LQ image {first}"
        else:
            found[j] = i
    for j, name in enumerate(high.names):
        if j not in found:
            skipped[name] = f"no image of this name in {lq}"
    if not found:
        raise UserError(
            f"{lq}:{hq}: no image of {lq} ({low.names[0]}, …) has the name of one of {hq} "
            f"({high.names[0]}, …); give folders with images of equal names"
        )
    kept = sorted(found)
    chosen = replace(high, skipped=tuple(sorted(skipped.items()))).select(kept)
    return replace(chosen, lq=replace(low, skipped=()).select(found[j] for j in kept))


def _partners(low: tuple[str, ...], high: tuple[str, ...]) -> list[int | None]:
    """For each LQ name the position of its HQ name: by equal names, else by the least stripped."""
    places: dict[str, int] = {}
    for forms in zip(*(_forms(name, _HQ) for name in high), strict=True):
        for j, form in enumerate(forms):
            places.setdefault(form, j)
    return [
        next((places[form] for form in _forms(name, _LQ, _HQ) if form in places), None)
        for name in low
    ]


_LQ, _HQ = "lq|lr", "gt|hr|hq"  # endings of names


def _forms(name: str, ending: str, other: str = "") -> Iterator[str]:
    """``name`` without its suffix, then by and by without what sets LQ and HQ apart.

    The first form keeps capitals and a ``/``, which no later form does. A name with an ``other``
    ending has the first form alone.
    """
    path = PurePosixPath(name)
    folder = path.parent.as_posix()
    yield f"{folder}/{path.stem}"
    if other and re.search(rf"[_-]({other})$", path.stem.lower()):
        return
    plain = re.sub(rf"[_-]({ending})$", "", path.stem.lower())
    yield f"{folder} {stem_of(plain)}"
    yield f"{folder} {stem_of(re.sub(r'[_-]?x[2-8]$', '', plain))}"
