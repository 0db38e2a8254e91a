"""Datasets: photographs split into training and validation sides, and benchmark sets."""

from __future__ import annotations

import contextlib
import csv
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
from bbnas.data.pairs import load_pairs, split_pair
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


# bbnas's own photographs: ``train/``, ``valid/``, and ``licences.csv``, which lists both.
PHOTOGRAPHS = Path(__file__).parent / "photographs"


@dataclass(frozen=True)
class Embedded:
    """Photographs that come with bbnas or its dependencies, with a fixed split.

    ``train`` and ``validation`` are (package, file in it); with ``own``, bbnas's photographs come
    after them. ``title`` says in the description what comes from ``packages``.
    """

    name: str
    title: str
    packages: tuple[str, ...]
    train: tuple[tuple[str, str], ...]
    validation: tuple[tuple[str, str], ...]
    own: bool = False

    def load(self) -> Dataset:
        """Raises UserError if a file is missing or cannot be decoded."""
        train, validation = map(_places, (self.train, self.validation))
        if self.own:
            train, validation = train + _own("train"), validation + _own("valid")
        files = [(place.name, place) for place in (*train, *validation)]
        images = decode(files)
        missing = sorted({name for name, _ in files} - set(images.names))
        if missing:
            raise UserError(
                f"embedded photographs missing: {', '.join(missing)}; reinstall bbnas and "
                f"{' and '.join(self.packages)} from PyPI, or give a folder of images"
            )
        count = len(train)
        versions = " and ".join(f"{package} {version(package)}" for package in self.packages)
        return Dataset(
            images.select(range(count)),
            images.select(range(count, len(files))),
            f"{len(files)} photographs ({self.name}: {self.title} {versions}): {count} to train "
            f"on, {len(validation)} held out",
        )


def _places(files: Iterable[tuple[str, str]]) -> list[Path]:
    places = []
    for package, file in files:
        spec = find_spec(package)
        inside = (spec.submodule_search_locations if spec else None) or [package]
        places.append(Path(next(iter(inside)), file))
    return places


def _own(side: str) -> list[Path]:
    try:
        with (PHOTOGRAPHS / "licences.csv").open(encoding="utf-8", newline="") as file:
            names = [row["file"] for row in csv.DictReader(file)]
    except OSError as error:
        raise UserError(
            f"embedded photographs missing ({error.filename}): reinstall bbnas, or give a folder "
            "of images"
        ) from error
    return [PHOTOGRAPHS / name for name in names if name.startswith(f"{side}/")]


def _skimage(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(("skimage", f"data/{name}") for name in names)


# Both views of the motorcycle are on one side of the split. The training side includes grey scans
# for their edges and textures.
_SCANS = _skimage(
    "brick.png", "camera.png", "coffee.png", "grass.png", "gravel.png",
    "motorcycle_left.png", "motorcycle_right.png",
)  # fmt: skip

EMBEDDED = {
    one.name: one
    for one in (
        # None of these shows the blocks of 8×8 pixels that JPEG leaves (docs/guide/data.md).
        Embedded(
            name="cc0",
            title="46 under CC0, and 9 from",
            packages=("scikit-image",),
            train=_SCANS,
            validation=_skimage("astronaut.png", "chelsea.png"),
            own=True,
        ),
        # The default of earlier versions, which studies and reports of theirs were made with.
        Embedded(
            name="skimage",
            title="from",
            packages=("scikit-image", "scikit-learn"),
            train=(*_SCANS, *_skimage("rocket.jpg")),
            validation=(
                *_skimage("astronaut.png", "chelsea.png"),
                ("sklearn", "datasets/images/china.jpg"),
                ("sklearn", "datasets/images/flower.jpg"),
            ),
        ),
    )
}
DEFAULT = "cc0"


def embedded_name(fingerprint: str) -> str | None:
    """The name of the embedded photographs with this ``Dataset.fingerprint``; None for others."""
    for name, embedded in EMBEDDED.items():
        with contextlib.suppress(UserError):  # a set that is not whole is not the one looked for
            if embedded.load().fingerprint == fingerprint:
                return name
    return None


def load_dataset(path: str | Path | None = None, seed: int = 0) -> Dataset:
    """Photographs split by image: those of a folder, pairs, or embedded ones.

    ``path`` is a folder of HQ images, ``LQ_DIR:HQ_DIR`` (:func:`bbnas.data.load_pairs`), or the
    name of embedded photographs (``EMBEDDED``); None stands for ``cc0``. A folder of such a name
    is given as ``./cc0``.

    A folder with training and validation folders of its own (DIV2K as downloaded) keeps its
    split. Otherwise a tenth of the images, at least 1 and at most 16, drawn by ``seed``, are held
    out for validation. Files that cannot be used, images with a side below 96 pixels and repeated
    images are skipped and listed in ``Dataset.skipped``.

    Raises:
        UserError: no such folder or name, or fewer than two usable images in it.
    """
    text = DEFAULT if path is None else str(path)
    if text in EMBEDDED:
        return EMBEDDED[text].load()
    pair = split_pair(text)
    if pair is not None:
        return _split(text, load_pairs(*pair, MIN_SIDE), seed, "pairs of images", pair[1])
    root = Path(text)
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise UserError(
            f"{root}: {what}; give a folder with at least two photographs, LQ_DIR:HQ_DIR, or "
            f"{' or '.join(EMBEDDED)}"
        )
    return _split(text, load_images(root, MIN_SIDE), seed, "photographs", text)


def _split(where: str, images: ImageSet, seed: int, kind: str, folder: str) -> Dataset:
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
            f"{where}: {len(kept)} usable image{left}; give at least two different photographs, "
            "one to train on and one to score on"
        )
    left = f"; {len(skipped)} files or folders skipped" if skipped else ""
    description = (
        f"{len(kept)} {kind} from {Path(folder).resolve().name}: {len(train)} to train on, "
        f"{len(held_out)} held out ({how}){left}"
    )
    return Dataset(images.select(train), images.select(held_out), description)


_MIN_BENCHMARK_SIDE = 32  # pixels; SSIM needs 11 inside the border that is cut off


def find_benchmark(name_or_dir: str | Path, data_root: str | Path | None = None) -> ImageSet:
    """A benchmark set by name, the images of any folder, or the pairs of ``LQ_DIR:HQ_DIR``.

    A name, in any case and under any of its aliases (``data/sets.py``), is searched below
    ``data_root`` and $BBNAS_DATA as ``Set5/`` or ``benchmark/Set5/``, with or without ``HR/``
    inside. Low-resolution copies are ignored. If images of a known set are missing, a warning is
    logged.

    Raises:
        UserError: no such set; the message names the folders that were searched.
    """
    pair = split_pair(str(name_or_dir))
    if pair is not None:
        return load_pairs(*pair, _MIN_BENCHMARK_SIDE)
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
