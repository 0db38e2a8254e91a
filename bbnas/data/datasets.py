"""Datasets: photographs split into training and validation, and benchmark sets."""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bbnas.data.folders import split_of
from bbnas.data.images import ImageSet, decode, load_images
from bbnas.errors import UserError

MIN_SIDE = 96  # pixels; what is smaller holds too few patches to learn from or to score
_MOST_HELD_OUT = 16

_SKIMAGE, _SKLEARN = ("skimage", "data"), ("sklearn", "datasets/images")
# Both views of the motorcycle are on one side of the split. Validation holds colour photographs
# of unlike content: a building with foliage, a portrait with fabric and lettering, fur, petals.
# The grey scans of the training side are there for their edges and textures.
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
    """Photographs to train on and others to score on, with one sentence that says which."""

    train: ImageSet
    validation: ImageSet
    description: str

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over both sides."""
        both = f"{self.train.fingerprint} {self.validation.fingerprint}"
        return hashlib.sha256(both.encode()).hexdigest()[:16]

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(file, reason) of all that was left out."""
        return self.train.skipped


def load_dataset(path: str | Path | None = None, seed: int = 0) -> Dataset:
    """The photographs of a folder, split by image; None takes the embedded ones.

    A folder that holds training and validation folders of its own (DIV2K as downloaded) keeps
    its split. Otherwise a tenth of the images, at least 1 and at most 16, drawn by ``seed``, is
    held out. Files that cannot be used, images with a side below 96 pixels and repeated images
    are skipped and named.

    Raises:
        UserError: no such folder, or fewer than two usable images in it.
    """
    return _embedded() if path is None else _from_folder(Path(path), seed)


def _embedded() -> Dataset:
    files = []
    for package, folder, name in (*_TRAINING, *_VALIDATION):
        spec = find_spec(package)
        places = (spec.submodule_search_locations if spec else None) or []
        found = [Path(place, folder, name) for place in places]
        files += [(name, file) for file in found[:1]]
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
    # Of repeated images the one held out stays, so that none is both trained on and scored on.
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


_MIN_BENCHMARK_SIDE = 32  # pixels; SSIM needs 11 within the cropped border


def find_benchmark(name_or_dir: str | Path, data_root: str | Path | None = None) -> ImageSet:
    """A benchmark set by name, or the images of any folder.

    A name is looked for below ``data_root`` and $BBNAS_DATA as ``Set5/`` or
    ``benchmark/Set5/``, with or without ``HR/`` inside; low-resolution copies are not taken.

    Raises:
        UserError: no such set, saying where it was looked for.
    """
    direct = Path(name_or_dir)
    if direct.is_dir():
        return load_images(_high_resolution(direct), _MIN_BENCHMARK_SIDE)
    if direct.is_file() or direct.is_absolute() or len(direct.parts) != 1:
        raise UserError(f"{direct}: no such folder; give a folder of images or a benchmark's name")
    given = [data_root, os.environ.get("BBNAS_DATA")]
    roots = [Path(root) for root in given if root]
    sets = {}
    for root in roots:
        for parent in (root / "benchmark", root):
            if parent.is_dir():
                sets.update({d.name.lower(): d for d in parent.iterdir() if d.is_dir()})
    wanted = str(name_or_dir).lower()
    if wanted in sets:
        return load_images(_high_resolution(sets[wanted]), _MIN_BENCHMARK_SIDE)
    near = difflib.get_close_matches(wanted, sets, n=1)
    hint = f" (did you mean {sets[near[0]].name!r}?)" if near else ""
    looked = f"not in {' or '.join(map(str, roots))}{hint}" if roots else "BBNAS_DATA is not set"
    raise UserError(
        f"benchmark {str(name_or_dir)!r} not found: {looked}; set BBNAS_DATA to the folder that "
        f"holds {name_or_dir}/ or give a folder of images"
    )


def _high_resolution(folder: Path) -> Path:
    for name in ("HR", "GT", "original"):
        if (folder / name).is_dir():
            return folder / name
    return folder
