"""Restoring image files: names, transparency and grey are kept, a bad file stops no other."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps

from bbnas.data import bicubic_upscale, target
from bbnas.data.reading import SUFFIXES, read_image
from bbnas.errors import UserError
from bbnas.files import write_atomically
from bbnas.inference.checkpoint import disk_message, load_checkpoint
from bbnas.inference.device import resolve_device
from bbnas.tasks import Task, get_task
from bbnas.tiling import TILE, Model, restore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bbnas.networks import RestorationNetwork


class Restored(NamedTuple):
    """One input, and the file it was restored to; None, and why, if it was not."""

    source: Path
    output: Path | None
    error: str = ""


def restore_files(
    checkpoint: str | Path,
    inputs: Sequence[str | Path],
    output: str | Path,
    device: str = "auto",
    tile: int = TILE,
) -> Iterator[Restored]:
    """Restore image files, and all images in folders, one at a time.

    ``checkpoint`` may be a model that ``bbnas pack`` wrote (.bbn), which runs on the CPU.
    ``output`` is a folder, in which each image is a PNG of its input's name (in the folders it
    lay in), or for one input file an image file. A grey image stays grey; transparency is
    upscaled bicubically, where there is something to upscale. Deblocking restores Y and keeps
    Cb and Cr. A file that cannot be read yields its error; the others are done.

    Raises:
        UserError: before any work: no such input, no image in it, an output that is an input or
            is that of two inputs, not a checkpoint or model. Later: the disk is full.
    """
    plan = _plan([Path(name) for name in inputs], Path(output))
    place = resolve_device(device)
    network: RestorationNetwork | Model
    if Path(checkpoint).suffix == ".bbn":
        network, task = _packed(Path(checkpoint))
        place = torch.device("cpu")
    else:
        network, info = load_checkpoint(checkpoint)
        task = get_task(info.recipe.task)
    for source, file in plan:
        try:
            image = _restore_one(network, task, source, place, tile)
        except (UserError, FloatingPointError) as error:
            text = str(error)
            yield Restored(source, None, text if str(source) in text else f"{source}: {text}")
            continue
        try:
            _write(image, file)
        except OSError as error:
            raise UserError(f"{disk_message(error, file)} or name another --output") from error
        yield Restored(source, file)


def _packed(path: Path) -> tuple[Model, Task]:
    """A model that bbnas pack wrote, on all cores."""
    from bbnas.engine import load

    model = load(path, threads=0)
    task = get_task(model.program.task)
    if (task.scale, task.channels) != (model.scale, model.channels):
        raise UserError(f"{path}: made for another task than {task.name}; pack it again")
    return Model(model.restore_tensor, model.scale, model.reach), task


def _plan(inputs: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """(input file, output file) pairs."""
    found: list[tuple[Path, Path]] = []  # file, name below the output folder
    for name in inputs:
        if name.is_dir():
            files = [p for p in sorted(name.rglob("*")) if p.suffix.lower() in SUFFIXES]
            if not files:
                raise UserError(f"{name}: no image in it; give {', '.join(SUFFIXES)} files")
            found += [(file, file.relative_to(name)) for file in files]
        elif name.exists():
            found.append((name, Path(name.name)))
        else:
            raise UserError(f"{name}: no such file; check the path")
    if not found:
        raise UserError("no input: name image files or folders")
    if output.suffix.lower() in SUFFIXES and not output.is_dir():
        if len(found) > 1:
            raise UserError(f"{output} is one file for {len(found)} images: name a folder")
        plan = [(found[0][0], output)]
    else:
        plan = png_names(found, output)
    sources = {source.resolve() for source, _ in plan}
    for _, file in plan:
        if file.resolve() in sources:
            raise UserError(f"{file} is an input: name another output, nothing is overwritten")
    return plan


def png_names(found: list[tuple[Path, Path]], folder: Path) -> list[tuple[Path, Path]]:
    """(source, file in ``folder``) of (source, relative name) pairs.

    ``a.jpg`` becomes ``a.png``; beside an ``a.webp``, both keep their suffix as well.

    Raises:
        UserError: two would become one file.
    """
    stems = Counter(name.with_suffix("") for _, name in found)
    plan: dict[Path, Path] = {}
    for source, name in found:
        alone = stems[name.with_suffix("")] == 1
        target = folder / (name.with_suffix(".png") if alone else f"{name}.png")
        if target in plan:
            raise UserError(
                f"{plan[target]} and {source} would both become {target}: restore them apart"
            )
        plan[target] = source
    return [(source, target) for target, source in plan.items()]


def _restore_one(
    network: RestorationNetwork | Model, task: Task, source: Path, device: torch.device, tile: int
) -> Image.Image:
    pixels, grey = read_image(source)
    with Image.open(source) as opened:
        profile = opened.info.get("icc_profile")
        alpha = None
        if opened.has_transparency_data:
            # read_image lays transparent images over white; here colour and alpha stay apart.
            layers = np.asarray(ImageOps.exif_transpose(opened).convert("RGBA"))
            pixels, alpha = layers[..., :3], layers[..., 3]
    if task.channels == 1:
        restored = _with_restored_y(network, task, pixels, grey, device, tile)
    else:
        restored = restore(network, pixels, device, tile)
    image = Image.fromarray(restored)
    if grey:
        image = image.convert("L")
    if alpha is not None:
        image.putalpha(Image.fromarray(bicubic_upscale(alpha, network.scale)))
    if profile:
        image.info["icc_profile"] = profile
    return image


def _with_restored_y(
    network: RestorationNetwork | Model,
    task: Task,
    pixels: np.ndarray,
    grey: bool,
    device: torch.device,
    tile: int,
) -> np.ndarray:
    """RGB (H, W, 3) uint8 whose Y is restored and whose Cb and Cr are those of ``pixels``.

    Of BT.601's inverse only Y matters then: R, G and B each change by 255/219 of its change.
    """
    before = target(task, pixels, grey)
    change = restore(network, before, device, tile).astype(np.int16) - before
    if not grey:
        change = np.rint(change * np.float32(255 / 219)).astype(np.int16)
    return np.asarray(np.clip(pixels + change, 0, 255), np.uint8)


def _write(image: Image.Image, file: Path) -> None:
    content = io.BytesIO()
    kind = Image.registered_extensions()[file.suffix.lower()]
    if kind == "JPEG" or (kind == "BMP" and image.mode == "LA"):
        image = image.convert("RGB" if image.mode in ("RGB", "RGBA") else "L")
    quality = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    image.save(content, kind, icc_profile=image.info.get("icc_profile"), **quality)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, content.getvalue())
