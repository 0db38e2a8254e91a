from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr

from bbnas.data import Dataset, bicubic_upscale
from bbnas.errors import UserError
from bbnas.inference import load_checkpoint, restore
from bbnas.inference.checkpoint import CheckpointInfo
from bbnas.presets import load_design
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.tiling import restore_tiled
from bbnas.training import Training
from bbnas.training.state import save_checkpoint
from tests.inference.test_checkpoint import trained


@pytest.fixture(scope="module")
def checkpoint(recipe: Recipe, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    info = CheckpointInfo(recipe=recipe, iteration=4, data="abc", environment={})
    save_checkpoint(path, trained(recipe, dataset), info, moments=False)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_folder_keeps_its_names_and_folders(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    Image.fromarray(noise(9, 7, 3)).save(tmp_path / "in" / "a.png")
    Image.fromarray(noise(1, 1, 3)).save(tmp_path / "in" / "deep" / "b.bmp")
    done = restore(checkpoint, [tmp_path / "in"], tmp_path / "out")
    assert [(d.output, d.error) for d in done] == [
        (tmp_path / "out" / "a.png", ""),
        (tmp_path / "out" / "deep" / "b.png", ""),
    ]
    network, _ = load_checkpoint(checkpoint)
    with Image.open(tmp_path / "out" / "a.png") as image:
        assert np.array_equal(np.asarray(image), restore_tiled(network, noise(9, 7, 3)))
    with Image.open(tmp_path / "out" / "deep" / "b.png") as image:
        assert image.size == (2, 2)


def test_one_file_may_name_its_output(checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "a.png")
    for name in ("b.jpg", "b.bmp", "b.webp", "b.tiff"):
        (done,) = restore(checkpoint, [tmp_path / "a.png"], tmp_path / "new" / name)
        assert done.output == tmp_path / "new" / name
        with Image.open(tmp_path / "new" / name) as image:
            assert image.size == (16, 16)


def test_grey_stays_grey_and_transparency_stays(checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(8, 6)).save(tmp_path / "grey.png")
    layers = noise(8, 6, 4)
    Image.fromarray(layers).save(tmp_path / "clear.png")
    Image.fromarray(noise(8, 6, 2), mode="LA").save(tmp_path / "greyclear.png")
    restore(checkpoint, [tmp_path], tmp_path / "out")
    with Image.open(tmp_path / "out" / "grey.png") as image:
        assert (image.mode, image.size) == ("L", (12, 16))
    with Image.open(tmp_path / "out" / "greyclear.png") as image:
        assert (image.mode, image.size) == ("LA", (12, 16))
    network, _ = load_checkpoint(checkpoint)
    with Image.open(tmp_path / "out" / "clear.png") as image:
        out = np.asarray(image)
    assert np.array_equal(out[..., 3], bicubic_upscale(layers[..., 3], 2))
    # The colour is restored as it is, not as it looks over a background.
    assert np.array_equal(
        out[..., :3], restore_tiled(network, np.ascontiguousarray(layers[..., :3]))
    )


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_outputs_without_transparency(suffix: str, checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(8, 6, 4)).save(tmp_path / "clear.png")
    Image.fromarray(noise(8, 6, 2), mode="LA").save(tmp_path / "grey.png")
    for name in ("clear", "grey"):
        target = tmp_path / f"{name}{suffix}"
        (done,) = restore(checkpoint, [tmp_path / f"{name}.png"], target)
        with Image.open(done.output or "") as image:
            assert image.size == (12, 16)


def test_a_corrupt_file_stops_no_other(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        Image.fromarray(noise(8, 6, 3)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    a, b, c = restore(checkpoint, [tmp_path], tmp_path / "out")
    assert a.output
    assert c.output
    assert b.output is None
    assert b.error.startswith(str(tmp_path / "b.png"))
    assert "\n" not in b.error
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "c.png"}


def test_inputs_are_never_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(8, 6, 3)).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    for output in (tmp_path, tmp_path / "a.png", tmp_path / "x" / ".."):
        with pytest.raises(UserError, match="is an input"):
            restore(checkpoint, [tmp_path / "a.png"], output)
    assert (tmp_path / "a.png").read_bytes() == before


def test_equal_stems_keep_their_suffixes(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("a.png", "a.webp", "b.png"):
        Image.fromarray(noise(8, 6, 3)).save(tmp_path / name)
    done = restore(checkpoint, [tmp_path], tmp_path / "out")
    assert [d.output.name for d in done if d.output] == ["a.png.png", "a.webp.png", "b.png"]


def test_mistakes_are_told_before_any_work(checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(8, 6, 3)).save(tmp_path / "a.png")
    (tmp_path / "sub").mkdir()
    Image.fromarray(noise(8, 6, 3)).save(tmp_path / "sub" / "a.png")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    for inputs, output, message in (
        ([tmp_path / "nothing.png"], out, "no such file"),
        ([tmp_path / "a.png", tmp_path / "sub"], out, "would both become"),
        ([tmp_path / "empty"], out, "no image in it"),
        ([], out, "no input"),
        ([tmp_path], tmp_path / "out.png", "one file for 2 images"),
    ):
        with pytest.raises(UserError, match=message):
            restore(checkpoint, inputs, output)
    with pytest.raises(UserError, match="no such checkpoint"):
        restore(tmp_path / "c.safetensors", [tmp_path / "a.png"], out)
    assert not out.exists()


def test_a_large_image_is_restored_by_tiles(checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(70, 90, 3)).save(tmp_path / "a.png")
    (whole,) = restore(checkpoint, [tmp_path / "a.png"], tmp_path / "whole")
    (tiles,) = restore(checkpoint, [tmp_path / "a.png"], tmp_path / "tiles", tile=40)
    images = []
    for done in (whole, tiles):
        with Image.open(done.output or "") as image:
            images.append(torch.from_numpy(np.asarray(image).astype(int)))
    assert (images[0] - images[1]).abs().max() <= 1


def checkpoint_of(task: str, recipe: Recipe, dataset: Dataset, folder: Path) -> Path:
    """An untrained network of the task."""
    design = load_design("bbcu-v4", get_task(task)).replace(width=6, depth=2)
    other = recipe.model_copy(update={"design": design, "task": task})
    training = Training.of(design, get_task(task), other.protocol, dataset, "cpu")
    info = CheckpointInfo(recipe=other, iteration=0, data="abc", environment={})
    path = folder / f"{task}.safetensors"
    save_checkpoint(path, training, info, moments=False)
    return path


def test_denoising_keeps_size_and_transparency(
    recipe: Recipe, dataset: Dataset, tmp_path: Path
) -> None:
    path = checkpoint_of("denoise25", recipe, dataset, tmp_path)
    layers = noise(30, 41, 4)
    Image.fromarray(layers).save(tmp_path / "clear.png")
    (done,) = restore(path, [tmp_path / "clear.png"], tmp_path / "out")
    network, _ = load_checkpoint(path)
    with Image.open(done.output or "") as image:
        out = np.asarray(image)
    assert np.array_equal(out[..., 3], layers[..., 3])
    assert np.array_equal(
        out[..., :3], restore_tiled(network, np.ascontiguousarray(layers[..., :3]))
    )


def test_deblocking_restores_y_and_keeps_cb_and_cr(
    recipe: Recipe, dataset: Dataset, tmp_path: Path
) -> None:
    path = checkpoint_of("jpeg10", recipe, dataset, tmp_path)
    network, _ = load_checkpoint(path)
    pixels = np.clip(noise(40, 33, 3), 60, 190)  # nothing is clipped at black or white
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    values = noise(40, 33)
    Image.fromarray(values).save(tmp_path / "grey.png")
    restore(path, [tmp_path / "colour.png", tmp_path / "grey.png"], tmp_path / "out")
    with Image.open(tmp_path / "out" / "grey.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), restore_tiled(network, values[..., None])[..., 0])
    with Image.open(tmp_path / "out" / "colour.png") as image:
        assert image.mode == "RGB"
        out = np.asarray(image)
    before, after = rgb2ycbcr(pixels), rgb2ycbcr(out)
    y = np.floor(before[..., :1] + 0.5).astype(np.uint8)
    restored = restore_tiled(network, y)
    assert not np.array_equal(restored, y)
    # Y changes by what the network changed, Cb and Cr not at all, but for 8 bits of RGB.
    change = restored[..., 0].astype(float) - y[..., 0]
    assert np.abs(after[..., 0] - before[..., 0] - change).max() <= 0.5
    assert np.abs(after[..., 1:] - before[..., 1:]).max() < 1e-9
