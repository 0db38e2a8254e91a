"""Datasets: photographs split into training and validation sides, and benchmark sets."""

from __future__ import annotations

import difflib
import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bbnas.data.folders import split_of
from bbnas.data.images import ImageSet, decode, load_images
from bbnas.data.sets import (
    SETS,
    KnownSet,
    data_roots,
    find_set,
    folders_below,
    high_resolution,
    known_set,
)
from bbnas.errors import UserError

_log = logging.getLogger(__name__)

MIN_SIDE = 96  # pixels; a smaller image holds too few patches to train on or to score
_MOST_HELD_OUT = 16  # images of the validation side, so that scoring takes seconds

_SKIMAGE, _SKLEARN = ("skimage", "data"), ("sklearn", "datasets/images")
# Both views of the motorcycle are on one side of the split. The validation side holds colour
# photographs of different content: a building with foliage, a portrait with fabric and lettering,
# fur, petals. The training side includes grey scans for their edges and textures.
_TRAINING = (
    (*_SKIMAGE, "brick.png"),
    (*_SKIMAGE, "camera.png"),
    (*_SKIMAGE, "coffee.png"),
    (*_SKIMAGE, "grass.png"),
    (*_SKIMAGE, "gravel.png"),
    (*_SKIMAGE, "motorcycle_left.png"),
    (*_SKIMAGE, "motorcycle_right.png"),
    (*_SKIMAGE, "rocket.jpg"),
)
_VALIDATION = (
    (*_SKIMAGE, "astronaut.png"),
    (*_SKIMAGE, "chelsea.png"),
    (*_SKLEARN, "china.jpg"),
    (*_SKLEARN, "flower.jpg"),
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Photographs to train on, others to score on, and a description of both in a sentence."""

    train: ImageSet
    validation: ImageSet
    description: str

    @property
    def fingerprint(self) -> str:
        """The identity of both sides: 16 hexadecimal digits."""
        both = f"{self.train.fingerprint} {self.validation.fingerprint}"
        return hashlib.sha256(both.encode()).hexdigest()[:16]

    @property
    def largest_patch(self) -> int:
        """The side in pixels of the largest patch that every training image holds."""
        return int(min(min(image.shape[:2]) for image in self.train.images))

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(file, reason) of every file that was left out."""
        return self.train.skipped


def load_dataset(path: str | Path | None = None, seed: int = 0) -> Dataset:
    """The photographs of a folder, split by image; None stands for the embedded photographs.

    A folder with training and validation folders of its own (DIV2K as downloaded) keeps its
    split. Otherwise a tenth of the images, at least 1 and at most 16, drawn by ``seed``, are held
    out for validation. Files that cannot be used, images with a side below 96 pixels and repeated
    images are skipped and listed in ``Dataset.skipped``.

    Raises:
        UserError: no such folder, or fewer than two usable images in it.
    """
    return _embedded() if path is None else _from_folder(Path(path), seed)


def _embedded() -> Dataset:
    files = []
    for package, folder, name in (*_TRAINING, *_VALIDATION):
        spec = find_spec(package)
        places = (spec.submodule_search_locations if spec else None) or []
        files += [(name, Path(place, folder, name)) for place in places[:1]]
    images = decode(files, MIN_SIDE)
    wanted = [name for *_, name in (*_TRAINING, *_VALIDATION)]
    missing = sorted(set(wanted) - set(images.names))
    if missing:
        raise UserError(
            f"embedded photographs missing: {', '.join(missing)}; reinstall scikit-image and "
            "scikit-learn from PyPI, or give a folder of images"
        )
    train, held_out = range(len(_TRAINING)), range(len(_TRAINING), len(wanted))
    validation = images.select(held_out)
    stems = ", ".join(Path(name).stem for name in validation.names)
    return Dataset(
        images.select(train),
        validation,
        f"{len(images)} photographs from scikit-image {version('scikit-image')} and scikit-learn "
        f"{version('scikit-learn')}: {len(train)} to train on, {len(held_out)} held out ({stems})",
    )


def _from_folder(root: Path, seed: int) -> Dataset:
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise UserError(f"{root}: {what}; give a folder with at least two photographs")
    images = load_images(root, MIN_SIDE)
    sides = [split_of(name) for name in images.names]
    own_split = {"train", "valid"} <= set(sides)
    # Validation images come first: of repeated images the first is kept, so that none is both
    # trained on and scored on.
    order = sorted(range(len(images)), key=lambda i: sides[i] != "valid" if own_split else 0)
    skipped, first = list(images.skipped), dict[str, str]()
    kept = []
    for i in order:
        name, digest = images.names[i], images.digests[i]
        if own_split and not sides[i]:
            skipped.append((name, "in neither the training nor the validation folder"))
        elif digest in first:
            skipped.append((name, f"the same image as {first[digest]}"))
        else:
            first[digest] = name
            kept.append(i)
    kept.sort()
    images = replace(images, skipped=tuple(sorted(skipped)))
    if own_split:
        train = [i for i in kept if sides[i] == "train"]
        held_out = [i for i in kept if sides[i] == "valid"]
        how = "its own split"
    else:
        count = min(_MOST_HELD_OUT, max(1, round(len(kept) / 10)))
        drawn = np.random.default_rng(seed).permutation(len(kept))[:count].tolist()
        held_out = sorted(kept[i] for i in drawn)
        train = sorted(set(kept) - set(held_out))
        how = f"drawn by seed {seed}"
    if not train or not held_out:
        left = f", {len(skipped)} skipped" if skipped else ""
        raise UserError(
            f"{root}: {len(kept)} usable image{left}; give at least two different photographs, "
            "one to train on and one to score on"
        )
    left = f"; {len(skipped)} files or folders skipped" if skipped else ""
    description = (
        f"{len(kept)} photographs from {root.resolve().name}: {len(train)} to train on, "
        f"{len(held_out)} held out ({how}){left}"
    )
    return Dataset(images.select(train), images.select(held_out), description)


_MIN_BENCHMARK_SIDE = 32  # pixels; SSIM needs 11 inside the border that is cut off


def find_benchmark(name_or_dir: str | Path, data_root: str | Path | None = None) -> ImageSet:
    """A benchmark set by name, or the images of any folder.

    A name, in any case and under any of its aliases (``data/sets.py``), is searched below
    ``data_root`` and $BBNAS_DATA as ``Set5/`` or ``benchmark/Set5/``, with or without ``HR/``
    inside. Low-resolution copies are ignored. If images of a known set are missing, a warning is
    logged.

    Raises:
        UserError: no such set; the message names the folders that were searched.
    """
    direct = Path(name_or_dir)
    if direct.is_dir():
        return load_images(high_resolution(direct), _MIN_BENCHMARK_SIDE)
    if direct.is_file() or direct.is_absolute() or len(direct.parts) != 1:
        raise UserError(f"{direct}: no such folder; give a folder of images or a benchmark's name")
    name, roots = str(name_or_dir), data_roots(data_root)
    known = known_set(name)
    folder = find_set(name, roots)
    if folder is None:
        raise _not_found(name, known, roots)
    images = load_images(folder, _MIN_BENCHMARK_SIDE)
    if known is not None and len(images) != len(known.images):
        _log.warning(
            "%s: %d images where %s has %d; see: bbnas data check %s",
            folder,
            len(images),
            known.name,
            len(known.images),
            known.name,
        )
    return images


def _not_found(name: str, known: KnownSet | None, roots: Sequence[Path]) -> UserError:
    looked = "BBNAS_DATA is not set"
    if roots:
        looked = f"not in {' or '.join(map(str, roots))}"
        present = [place.name for place in folders_below(roots).values()]
        near = [_nearest(name, choices) for choices in (present, SETS)]  # sets on the disk first
        if any(near) and known is None:
            looked += f" (did you mean {near[0] or near[1]!r}?)"
    fetch = ""
    if known is not None:
        fetch = f", get it by: bbnas data fetch {known.name}"
        if known.source is None:
            fetch = f", ask for it at {known.page}"
    return UserError(
        f"benchmark {name!r} not found: {looked}; set BBNAS_DATA to the folder that holds {name}/"
        f"{fetch} or give a folder of images"
    )


def _nearest(name: str, choices: Iterable[str]) -> str:
    by_key = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(name.lower(), by_key, n=1)
    return by_key[near[0]] if near else ""
