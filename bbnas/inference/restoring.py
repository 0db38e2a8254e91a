"""Restoring image files: names, transparency and grey are kept; a bad file stops no other."""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

from bbnas.data import bicubic_upscale
from bbnas.data.folders import find_files, no_image
from bbnas.data.reading import SUFFIXES, Layers, fits, read_layers
from bbnas.engine import Model, load
from bbnas.errors import UserError
from bbnas.files import disk_message, write_atomically
from bbnas.inference.device import check_device, resolve_device
from bbnas.runtime.colour import luma, with_luma
from bbnas.tasks import get_task
from bbnas.text import share
from bbnas.tiling import MOST_OVERLAP, TILE, Restorer, overlap, restore_tiled, smallest_tile

if TYPE_CHECKING:
    from bbnas.networks import RestorationNetwork

_log = logging.getLogger(__name__)


class Restored(NamedTuple):
    """One input file, and the file it was restored to, or the reason why it was not.

    Without ``output``, ``error`` says why the file could not be restored. Without both, ``note``
    says why the file of a folder is left out. Of a restored file ``note`` names the frames that
    are left out.
    """

    source: Path
    output: Path | None
    error: str = ""
    note: str = ""


class RestoreProgress(NamedTuple):
    """``done`` of ``total`` images, as a fraction within the image ``source``."""

    source: Path
    done: float
    total: int


def restore(
    model: RestorationNetwork | Model | str | Path,
    images: str | Path | Sequence[str | Path],
    output: str | Path,
    device: str = "auto",
    tile: int = TILE,
    on_image: Callable[[Restored], None] | None = None,
    on_progress: Callable[[RestoreProgress], None] | None = None,
) -> list[Restored]:
    """Restore image files, and all images in folders, one after another.

    ``model`` is the path of a checkpoint or of a packed model (.bbn), a network, or a loaded
    packed model. A packed model runs on the CPU, whatever ``device`` says. ``output`` is a folder,
    in which each image becomes a PNG of its input's name, in the subfolders it lay in; for one
    input file it may be an image file. ``tile`` is the largest side in LQ pixels that the model
    sees at once. ``on_image`` is called after each image, ``on_progress`` after each tile.

    A grey image stays grey. Transparency is enlarged by bicubic interpolation. An ICC profile
    that fits the output is kept. Deblocking restores Y and keeps Cb and Cr. A folder holds what
    training would read, and low-resolution copies. A file that cannot be read is reported with
    its error, and the others are restored.

    Raises:
        UserError: before any work, if an input does not exist or holds no image, an output is an
            input or that of two inputs, or the model cannot be loaded; later, if the disk is
            full.
    """
    inputs = [images] if isinstance(images, str | Path) else images
    plan, done = _plan([Path(name) for name in inputs], Path(output))
    restorer, channels = _restorer(model, device)
    if on_image is not None:
        for left_out in done:
            on_image(left_out)
    told = False
    for number, (source, file) in enumerate(plan):

        def tell(part: float, number: int = number, source: Path = source) -> None:
            if on_progress is not None:
                on_progress(RestoreProgress(source, number + part, len(plan)))

        tell(0)
        try:
            layers = read_layers(source)
            told = told or _tell_overlap(restorer, layers, tile)
            image = _restore_one(restorer, channels, layers, tile, tell)
        except (UserError, FloatingPointError) as error:
            text = str(error)
            text = text if str(source) in text else f"{source}: {text}"
            done.append(Restored(source, None, text))
        else:
            _write(image, file)
            note = f"the first of {layers.frames} frames" if layers.frames > 1 else ""
            done.append(Restored(source, file, note=note))
        if on_image is not None:
            on_image(done[-1])
    return done


def _tell_overlap(restorer: Restorer, layers: Layers, tile: int) -> bool:
    """Say that tiles are too small, if they are."""
    height, width = layers.colour.shape[:2]
    wasted = overlap(restorer.reach, height, width, tile)
    if wasted <= MOST_OVERLAP:
        return False
    better = smallest_tile(restorer.reach, height, width)
    _log.warning(
        "tile %d: the overlap of tiles is %s of the work, since the network sees %d pixels around "
        "each; tile %d makes it %s and needs more memory",
        tile,
        share(wasted),
        restorer.reach,
        better,
        share(overlap(restorer.reach, height, width, better)),
    )
    return True


def _restorer(model: RestorationNetwork | Model | str | Path, device: str) -> tuple[Restorer, int]:
    """The model and the number of its image channels. A packed model does not import torch."""
    check_device(device)
    if isinstance(model, str | Path) and Path(model).suffix == ".bbn":
        path, model = model, load(model, threads=0)
        task = get_task(model.program.task)
        if (task.scale, task.channels) != (model.scale, model.channels):
            raise UserError(f"{path}: made for another task than {task.name}; pack it again")
    if isinstance(model, Model):
        return model.restorer, model.channels
    from bbnas.inference.adapter import on_arrays
    from bbnas.inference.checkpoint import load_checkpoint
    from bbnas.networks import RestorationNetwork, foreign

    network = load_checkpoint(model)[0] if isinstance(model, str | Path) else model
    if not isinstance(network, RestorationNetwork):
        raise foreign(network)
    place = resolve_device(device)
    restorer = on_arrays(network, network.scale, network.reach, place, network.step)
    return restorer, network.channels


def _plan(inputs: list[Path], output: Path) -> tuple[list[tuple[Path, Path]], list[Restored]]:
    """(input file, output file) pairs, and what the folders hold besides."""
    left_out: list[Restored] = []
    named: list[tuple[Path, Path]] = []  # input file, its name below the output folder
    for name in inputs:
        if name.is_dir():
            files, skipped = find_files(name, copies=True)
            if not files:
                raise no_image(name, skipped)
            named += [(file, file.relative_to(name)) for _, file in files]
            left_out += [Restored(name / file, None, note=why) for file, why in skipped]
        elif name.exists():
            named.append((name, Path(name.name)))
        else:
            raise UserError(f"{name}: no such file; check the path")
    if not named:
        raise UserError("no input: name image files or folders")
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        if len(named) > 1:
            raise UserError(f"{output} is one file for {len(named)} images: name a folder")
        plan = [(named[0][0], output)]
    else:
        plan = png_names(named, output)
    sources = {source.resolve() for source, _ in plan}
    for _, file in plan:
        if file.resolve() in sources:
            raise UserError(f"{file} is an input: name another output, nothing is overwritten")
    return plan, left_out


def png_names(named: list[tuple[Path, Path]], folder: Path) -> list[tuple[Path, Path]]:
    """(source, PNG file in ``folder``) of (source, relative name) pairs.

    ``a.jpg`` becomes ``a.png``; with ``a.webp`` beside it, ``a.jpg.png`` and ``a.webp.png``.

    Raises:
        UserError: two sources would become one file.
    """
    stems = Counter(name.with_suffix("") for _, name in named)
    plan: dict[Path, Path] = {}
    for source, name in named:
        alone = stems[name.with_suffix("")] == 1
        target = folder / (name.with_suffix(".png") if alone else f"{name}.png")
        if target in plan:
            raise UserError(
                f"{plan[target]} and {source} would both become {target}: restore them apart"
            )
        plan[target] = source
    return [(source, target) for target, source in plan.items()]


def _restore_one(
    model: Restorer,
    channels: int,
    layers: Layers,
    tile: int,
    on_part: Callable[[float], None],
) -> Image.Image:
    pixels, alpha, grey = layers.colour, layers.alpha, layers.grey
    if channels == 1:
        before = luma(pixels, grey)
        y = restore_tiled(model, before, tile, on_part)
        restored = with_luma(pixels, before, y, grey)
    else:
        restored = restore_tiled(model, pixels, tile, on_part)
    image = Image.fromarray(restored)
    if grey:
        image = image.convert("L")
    if alpha is not None:
        image.putalpha(Image.fromarray(bicubic_upscale(alpha, model.scale)))
    if layers.profile:
        image.info["icc_profile"] = layers.profile
    return image


def _write(image: Image.Image, file: Path) -> None:
    content = io.BytesIO()
    kind = Image.registered_extensions()[file.suffix.lower()]
    if kind == "JPEG" or (kind == "BMP" and image.mode == "LA"):
        image = image.convert("RGB" if image.mode in ("RGB", "RGBA") else "L")
    elif kind == "WEBP":  # which has no grey
        image = image.convert("RGBA" if image.mode in ("LA", "RGBA") else "RGB")
    profile = image.info.get("icc_profile")
    profile = profile if fits(profile, image.mode in ("L", "LA")) else None
    quality = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    image.save(content, kind, icc_profile=profile, **quality)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content.getvalue())
    except OSError as error:
        raise UserError(f"{disk_message(error, file)} or name another --output") from error
