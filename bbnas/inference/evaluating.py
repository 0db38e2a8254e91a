"""Scores on benchmarks: of trained networks by file or name, of baselines, of any callable."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bbnas.data import ImageSet, find_benchmark
from bbnas.data.pairs import split_pair
from bbnas.data.sets import data_roots, find_set, high_resolution, known_set
from bbnas.engine import Model, load
from bbnas.errors import UserError, unknown, why
from bbnas.files import disk_message, write_atomically
from bbnas.formats import SAFETENSORS, other_format
from bbnas.inference.checkpoint import CheckpointInfo, load_checkpoint
from bbnas.inference.device import resolve_device
from bbnas.inference.restoring import png_names
from bbnas.inference.scoring import BASELINES, Score, score, score_baseline
from bbnas.inference.tensors import read_tensors, weights_of
from bbnas.models import card, model_file, names
from bbnas.networks import RestorationNetwork, build
from bbnas.presets import PRESETS, load_design, preset_name
from bbnas.protocol import Protocol
from bbnas.tasks import TASKS, Task, get_task
from bbnas.text import from_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

_log = logging.getLogger(__name__)
FORMAT = 1  # version of the file of scores

Images = ImageSet | str | Path | Sequence["NDArray[np.uint8]"]


def evaluate(
    model: RestorationNetwork | Model | Callable[[Tensor], Tensor] | str | Path,
    task: Task | None,
    images: Images,
    device: str = "auto",
    tile: int | None = None,
    reach: int | None = None,
) -> list[Score]:
    """PSNR (dB) and SSIM by the field's protocol: a row per image, and their means last.

    ``model`` is any callable from an LQ to an HQ tensor, a network of bbnas, the path of a
    checkpoint or of a packed model, the name of a model of bbnas, ``bicubic`` or ``identity``.
    ``task`` may be None for a checkpoint or a packed model, whose header names it. ``images`` is
    the name of a benchmark such as ``Set5`` (below $BBNAS_DATA), a folder, an ImageSet, or a list
    of HQ images: uint8, H×W×3 RGB or H×W grey. The protocol,
    ``tile`` and ``reach`` are those of :func:`bbnas.inference.score`; without ``reach``, images
    are restored whole, however large.

    A published DnCNN-3, loaded by its own code, (1, 1, H, W) in 0..1 → the same::

        bbnas.evaluate(dncnn3, bbnas.get_task("jpeg10"), "Classic5")

    Raises:
        UserError: no such benchmark, task or checkpoint; images of another kind; a model that
            does not fit the task, or whose output is not finite.
    """
    if isinstance(model, str | Path):
        subject = load_subject(model, task)
    elif task is None:
        raise UserError('task None: only a checkpoint names its task; give get_task("sr4"), say')
    else:
        subject = Subject(type(model).__name__, model, task)
    return subject.score(_image_set(images), device, tile, reach)


def _image_set(images: Images) -> ImageSet:
    if isinstance(images, ImageSet):
        return images
    if isinstance(images, str | Path):
        return find_benchmark(images)
    colours, greys = [], []
    for number, image in enumerate(images, 1):
        pixels = np.asarray(image)
        grey = pixels.ndim == 2 or pixels.shape[2:] == (1,)
        if pixels.dtype != np.uint8 or not (grey or pixels.shape[2:] == (3,)):
            raise UserError(
                f"image {number} is {pixels.dtype} of shape {pixels.shape}: give uint8 arrays of "
                "shape (H, W, 3), or (H, W) for grey"
            )
        planes = pixels.reshape(*pixels.shape[:2], -1)
        colours.append(planes.repeat(3, axis=2) if grey else planes)
        greys.append(grey)
    if not colours:
        raise UserError("no images to evaluate on: give at least one")
    return ImageSet.from_arrays([str(n) for n in range(1, len(colours) + 1)], colours, greys)


@dataclass(frozen=True)
class Subject:
    """A model, or the name of a baseline, with its task; ``info`` is a checkpoint's header."""

    name: str
    model: RestorationNetwork | Model | Callable[[Tensor], Tensor] | str
    task: Task
    info: CheckpointInfo | None = None

    def score(
        self,
        images: ImageSet,
        device: str | torch.device = "auto",
        tile: int | None = None,
        reach: int | None = None,
        keep: Callable[[str, NDArray[np.uint8]], None] | None = None,
    ) -> list[Score]:
        """The rows of :func:`bbnas.inference.score`.

        Raises:
            UserError: as there, or the output is not finite.
        """
        if isinstance(self.model, str):
            return score_baseline(self.model, self.task, images, keep)
        try:
            return score(self.model, self.task, images, device, tile=tile, reach=reach, keep=keep)
        except FloatingPointError as error:
            remedy = "choose an earlier checkpoint" if self.info else "check the model's weights"
            raise UserError(f"{self.name}: {error}; {remedy}") from error


def load_subject(
    name: str | Path, task: Task | None = None, weights: str | Path | None = None
) -> Subject:
    """What ``name`` names: a file, a model of bbnas, ``bicubic``, ``identity``, or a preset.

    A file is a checkpoint or a packed model (.bbn), whose header names its task; a model of bbnas
    has one too, and the others need one. A blind model is also scored at the level of a task that
    its own covers. ``weights`` is a safetensors state dict of the preset's network.

    Raises:
        UserError: no such name or file; no task, or another than the file's; a preset without
            weights, or weights that do not fit it.
    """
    text = str(name)
    if text.lower() in BASELINES and not Path(text).exists():
        text = text.lower()  # the paper's Table 1 writes Bicubic
    preset = preset_name(text) is not None and not Path(text).exists()
    if weights is None and preset:
        raise UserError(
            f"{text} is a preset, which has no weights of its own: give --weights FILE, or name "
            "the checkpoint of its training"
        )
    if weights is not None or text in BASELINES:
        if task is None:
            raise UserError(f"{text} has no task of its own: name one, such as --task sr4")
        if weights is None:
            return Subject(text, text, task)
        return Subject(text, _with_weights(text, task, Path(weights)), task)
    if not Path(text).exists() and Path(text).name == text and not Path(text).suffix:
        shipped = names()
        if text not in shipped:
            raise unknown("checkpoint, model or baseline", text, (*BASELINES, *shipped, *PRESETS))
        task = task or get_task(text if text in TASKS else card(shipped[text]).task)
    network: RestorationNetwork | Model
    file, info = model_file(text), None
    if file.suffix == ".bbn":
        network = load(file, threads=0)
        own = get_task(network.program.task)
    else:
        network, info = load_checkpoint(text)
        own = get_task(info.recipe.task)
    if task is not None and task not in (own, *own.covered):
        raise UserError(f"{text} was trained for {own.name}, not {task.name}: leave out --task")
    return Subject(text, network, task or own, info)


def _with_weights(name: str, task: Task, path: Path) -> RestorationNetwork:
    """A preset's network, or that of a design's YAML file, with the weights of ``path``."""
    with torch.random.fork_rng(devices=[]):
        network = build(load_design(name, task), task)
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights; check the path")
    try:
        _, tensors = read_tensors(path)
    except (OSError, ValueError) as error:
        raise other_format(
            path, SAFETENSORS, "give a state dict saved by safetensors"
        ) or UserError(
            f"{path}: not a whole safetensors file ({why(error)}); give a "
            "state dict saved by safetensors"
        ) from error
    tensors = weights_of(tensors) or tensors  # a checkpoint's names, or a plain state dict
    expected = network.state_dict()
    wrong = [
        f"{key} is {tuple(tensors[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected.keys() & tensors.keys()
        if tensors[key].shape != expected[key].shape
    ]
    for what, keys in (
        ("missing", expected.keys() - tensors.keys()),
        ("too many", tensors.keys() - expected.keys()),
        ("of another size", wrong),
    ):
        if keys:
            first = sorted(keys)
            more = f" and {len(first) - 3} more" if len(first) > 3 else ""
            raise UserError(
                f"{path}: not the weights of {name} for {task.name}, {what}: "
                f"{', '.join(first[:3])}{more}; name the preset that they were trained as"
            )
    network.load_state_dict(tensors)
    return network


def evaluate_checkpoint(
    checkpoint: str | Path,
    benchmarks: str | Path | Sequence[str | Path],
    task: Task | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    data_root: str | Path | None = None,
    save_images: str | Path | None = None,
    on_benchmark: Callable[[str, list[Score]], None] | None = None,
) -> dict[str, list[Score]]:
    """The rows of :func:`bbnas.inference.score` for each benchmark, by its name.

    ``checkpoint``, ``task`` and ``weights`` are those of :func:`load_subject`. A benchmark is a
    name such as ``Set5``, found below ``data_root`` or $BBNAS_DATA, any folder of HQ images, or
    ``LQ_DIR:HQ_DIR``; ``all`` names those of the task's benchmarks that are found. ``save_images``
    is a folder for the restored images, PNG in a subfolder per benchmark. ``on_benchmark`` is
    called with each benchmark's name and rows as soon as they are known.

    The means of a checkpoint are also written beside it (:func:`write_scores`).

    Raises:
        UserError: no such benchmark, checkpoint, preset, baseline, task or device; images that
            would be written over a benchmark; a full disk.
    """
    place = resolve_device(device)
    subject = load_subject(checkpoint, task, weights)
    given = [benchmarks] if isinstance(benchmarks, str | Path) else benchmarks
    named = _named(given, subject.task, data_root)
    sets = {title: find_benchmark(name, data_root) for title, name in named.items()}
    folders = {}
    if save_images is not None:
        folders = {title: Path(save_images) / title for title in sets}
        _keep_off(folders.values(), named.values(), data_root)
    scores = {}
    for title, images in sets.items():
        for name, reason in images.skipped:
            _log.warning("%s: %s is left out (%s)", title, name, reason)
        keep = _saver(folders[title], images) if folders else None
        scores[title] = subject.score(images, place, keep=keep)
        if subject.info is not None:
            try:
                write_scores(
                    Path(checkpoint), subject.info, subject.task, title, images, scores[title][-1]
                )
            except OSError as error:
                file = scores_file(checkpoint, subject.info, subject.task)
                _log.warning("scores not kept: %s", disk_message(error, file))
        if on_benchmark is not None:
            on_benchmark(title, scores[title])
    return scores


def _named(
    given: Sequence[str | Path], task: Task, data_root: str | Path | None
) -> dict[str, str | Path]:
    """The benchmarks' names or folders by their titles, ``all`` replaced by those found."""
    roots = data_roots(data_root)
    named: dict[str, str | Path] = {}
    missing = []
    for name in given:
        if str(name) == "all":
            missing += [title for title in task.benchmarks if find_set(title, roots) is None]
            named |= {title: title for title in task.benchmarks if title not in missing}
            continue
        title = _title(name)
        if title in named:
            raise UserError(f"benchmark {title} is named twice: name each once")
        named[title] = name
    if not named:
        raise UserError(
            f"none of the benchmarks of {task.name} found ({', '.join(task.benchmarks)}): set "
            "BBNAS_DATA or --data-root to the folder that holds them"
        )
    if missing:
        _log.warning("not found, so not scored: %s", ", ".join(missing))
    return named


def _title(benchmark: str | Path) -> str:
    """``Set5`` of ``set5``, ``data/Set5`` and ``data/Set5/HR``; ``LR-Set5`` of ``LR:Set5``."""
    pair = split_pair(str(benchmark))
    if pair is not None:
        return "-".join(Path(folder).name for folder in pair)
    path = Path(benchmark)
    if path.is_dir():
        path = path.resolve()
        path = path.parent if high_resolution(path.parent) == path else path
    published = known_set(path.name)
    return published.name if published else path.name


def _keep_off(
    folders: Iterable[Path], named: Iterable[str | Path], data_root: str | Path | None
) -> None:
    """Raises UserError where restored images would be written among the HQ images."""
    roots = data_roots(data_root)
    each = [folder for name in named for folder in split_pair(str(name)) or (name,)]
    places = [Path(n) if Path(n).is_dir() else find_set(str(n), roots) for n in each]
    for folder in folders:
        for place in places:
            if place is not None and folder.resolve().is_relative_to(place.resolve()):
                raise UserError(
                    f"{folder} holds the benchmark itself: save the images in another folder"
                )


def _saver(folder: Path, images: ImageSet) -> Callable[[str, NDArray[np.uint8]], None]:
    targets = dict(png_names([(Path(name), Path(name)) for name in images.names], folder))
    greys = dict(zip(images.names, images.grey, strict=True))

    def save(name: str, pixels: NDArray[np.uint8]) -> None:
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        target = targets[Path(name)]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            (picture.convert("L") if greys[name] else picture).save(target)
        except OSError as error:
            raise UserError(disk_message(error, target)) from error

    return save


def scores_file(checkpoint: str | Path, info: CheckpointInfo, task: Task) -> Path:
    """The file of a checkpoint's scores: ``best.scores.json`` for ``best.safetensors``.

    It is ``best.denoise25.scores.json`` where ``task`` is not that of the training.
    """
    other = "" if task.name == info.recipe.task else f".{task.name}"
    return Path(checkpoint).with_suffix(f"{other}.scores.json")


def write_scores(
    checkpoint: Path,
    info: CheckpointInfo,
    task: Task,
    title: str,
    images: ImageSet,
    mean: Score,
) -> None:
    """Put the means over one benchmark into the file of scores, in one atomic step.

    The file identifies the weights (design, task, protocol, iteration, data, environment) and
    holds for each benchmark PSNR (dB; null if infinite), SSIM, the number of images, their
    fingerprint and the date. Scores of other or older weights are dropped.

    Raises:
        OSError: the file cannot be written.
    """
    path = scores_file(checkpoint, info, task)
    content: dict[str, Any] = {
        "format": FORMAT,
        "checkpoint": checkpoint.name,
        "design": info.recipe.design.to_dict(),
        "task": task.name,
        "trained_for": info.recipe.task,
        "protocol": info.recipe.protocol.model_dump(mode="json"),
        "iteration": info.iteration,
        "data": info.data,
        "environment": info.environment,
        "origin": info.origin,
    }
    content = json.loads(json.dumps(content))  # tuples become lists, as in the file
    kept = _earlier(path, checkpoint, content)
    kept[title] = {
        "psnr": mean.psnr if math.isfinite(mean.psnr) else None,
        "ssim": mean.ssim,
        "images": len(images),
        "fingerprint": images.fingerprint,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    content["benchmarks"] = kept
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def _earlier(path: Path, checkpoint: Path, header: dict[str, Any]) -> dict[str, Any]:
    """The benchmarks in the file of scores, if it is of these very weights."""
    try:
        if path.stat().st_mtime_ns < checkpoint.stat().st_mtime_ns:
            return {}
        before = from_json(path.read_bytes())
        benchmarks = before.pop("benchmarks")
        # A file of an earlier version lacks the fields that are younger.
        before.setdefault("origin", "")
        before.setdefault("trained_for", before["task"])
        own = Protocol.model_validate(before["protocol"])
        before["protocol"] = own.model_dump(mode="json")
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}  # no such file, or a damaged one
    return dict(benchmarks) if before == header and isinstance(benchmarks, dict) else {}
