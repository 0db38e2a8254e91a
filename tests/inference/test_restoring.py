from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2ycbcr

from bbnas.data import Dataset, bicubic_upscale, load_images
from bbnas.engine import compile_network, write_program
from bbnas.errors import UserError
from bbnas.inference import RestoreProgress, load_checkpoint, restore
from bbnas.inference.adapter import on_arrays
from bbnas.inference.checkpoint import CheckpointInfo
from bbnas.networks import RestorationNetwork
from bbnas.presets import load_design
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.text import share
from bbnas.tiling import overlap, restore_tiled, smallest_tile
from bbnas.training import Training
from bbnas.training.state import save_checkpoint
from tests.helpers.imagefiles import cases, icc
from tests.inference.test_checkpoint import trained


@pytest.fixture(scope="module")
def checkpoint(recipe: Recipe, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    info = CheckpointInfo(recipe=recipe, iteration=4, data="abc", environment={})
    save_checkpoint(path, trained(recipe, dataset), info, moments=False)
    return path


def restored_by(network: RestorationNetwork, image: np.ndarray) -> np.ndarray:
    return restore_tiled(on_arrays(network, network.scale, network.reach), image)


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
        assert np.array_equal(np.asarray(image), restored_by(network, noise(9, 7, 3)))
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
        out[..., :3], restored_by(network, np.ascontiguousarray(layers[..., :3]))
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
        ([tmp_path / "empty"], out, "no usable image"),
        ([], out, "no input"),
        ([tmp_path], tmp_path / "out.png", "one file for 2 images"),
    ):
        with pytest.raises(UserError, match=message):
            restore(checkpoint, inputs, output)
    with pytest.raises(UserError, match="no such checkpoint"):
        restore(tmp_path / "c.safetensors", [tmp_path / "a.png"], out)
    assert not out.exists()


@pytest.fixture(scope="module")
def unchanged(
    recipe: Recipe, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Models whose tail is zero: what they restore is what they were given."""
    folder = tmp_path_factory.mktemp("unchanged")
    models = {}
    for name, task in (("colour", "denoise25"), ("y", "jpeg10")):
        path = checkpoint_of(task, recipe, dataset, folder, zero=True)
        models[name] = path
        models[f"{name}.bbn"] = path.with_suffix(".bbn")
        network = load_checkpoint(path)[0]
        write_program(compile_network(network, get_task(task)), path.with_suffix(".bbn"))
    return models


@pytest.mark.parametrize("model", ["colour", "colour.bbn", "y", "y.bbn"])
def test_every_kind_of_pixels_is_restored(
    model: str, unchanged: dict[str, Path], tmp_path: Path
) -> None:
    by_name = {case.name: case for case in cases()}
    (tmp_path / "in").mkdir()
    for case in by_name.values():
        case.write(tmp_path / "in" / case.name)
    for done in restore(unchanged[model], tmp_path / "in", tmp_path / "out"):
        case = by_name[done.source.name]
        if case.colour is None:
            assert f"mode {case.mode}" in done.error
            continue
        planes = [case.colour[..., :1] if case.grey else case.colour]
        planes += [] if case.alpha is None else [case.alpha]
        expected = np.dstack(planes).squeeze()
        with Image.open(done.output or "") as image:
            assert image.mode == ("L" if case.grey else "RGB") + "A" * (len(planes) - 1)
            assert np.abs(np.asarray(image).astype(float) - expected).max() <= 2, case.name
            assert "icc_profile" not in image.info


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_a_profile_is_kept_where_it_fits_the_output(
    suffix: str, unchanged: dict[str, Path], tmp_path: Path
) -> None:
    for mode in ("RGB", "L", "LA", "RGBA", "P", "CMYK"):
        for space in (b"RGB ", b"GRAY", b"CMYK"):
            source = tmp_path / f"a{'.tif' if mode == 'CMYK' else '.png'}"
            Image.fromarray(noise(8, 6, 3)).convert(mode).save(source, icc_profile=icc(space))
            (done,) = restore(unchanged["colour"], source, tmp_path / f"out{suffix}")
            with Image.open(done.output or "") as image:
                kept = image.info.get("icc_profile")
                own = b"GRAY" if image.mode in ("L", "LA") else b"RGB "
            fits = space == own and (space == b"GRAY") == (mode in ("L", "LA")) and mode != "CMYK"
            assert kept == (icc(space) if fits and suffix != ".bmp" else None), (mode, space)


def test_a_folder_holds_what_data_loading_finds_in_it(
    unchanged: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBNAS_CACHE", str(tmp_path / "cache"))
    root, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    for folder in (root / "deep", root / "__MACOSX", elsewhere):
        folder.mkdir(parents=True)
    pages = [Image.fromarray(noise(8, 6, 3)), Image.fromarray(noise(6, 8, 3))]
    for file in (root / "a.PNG", root / "deep" / "b.png", elsewhere / "c.png"):
        pages[0].save(file)
    (root / "linked").symlink_to(elsewhere)
    (root / "circle").symlink_to(root)
    for file in (root / "._a.PNG", root / "__MACOSX" / "._a.PNG", root / "old.gif"):
        file.write_bytes(b"no image")
    pages[0].save(root / "pages.tif", save_all=True, append_images=pages[1:])
    found = load_images(root)
    done = restore(unchanged["colour"], root, tmp_path / "out")
    restored = [d for d in done if d.output]
    assert [d.error for d in done] == [""] * len(done)
    assert {d.source.relative_to(root).as_posix() for d in restored} == set(found.names)
    assert found.names == ("a.PNG", "deep/b.png", "linked/c.png", "pages.tif")
    assert [d.note for d in restored] == ["", "", "", "the first of 2 frames"]
    left_out = {(d.source.relative_to(root).as_posix(), d.note) for d in done if not d.output}
    by_loading = {(name.rstrip("/"), why) for name, why in found.skipped if "frames" not in name}
    assert left_out == by_loading
    assert {name for name, _ in left_out} == {"._a.PNG", "__MACOSX", "old.gif"}


def test_low_resolution_images_are_restored(unchanged: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "in" / "LR").mkdir(parents=True)
    for name in ("LR/a.png", "b_LR.png", "b_HR.png"):
        Image.fromarray(noise(8, 6, 3)).save(tmp_path / "in" / name)
    done = restore(unchanged["colour"], tmp_path / "in", tmp_path / "out")
    assert [d.output is not None for d in done] == [True] * 3


def test_progress_counts_images_and_their_tiles(checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(80, 40, 3)).save(tmp_path / "a.png")
    Image.fromarray(noise(8, 6, 3)).save(tmp_path / "b.png")
    seen: list[RestoreProgress] = []
    restore(checkpoint, tmp_path, tmp_path / "out", tile=40, on_progress=seen.append)
    assert {step.total for step in seen} == {2}
    first = [step.done for step in seen if step.source.name == "a.png"]
    assert first == sorted(first)
    assert len(first) > 3
    assert (first[0], first[-1]) == (0, 1)
    assert [step.done for step in seen if step.source.name == "b.png"] == [1, 2]


def test_a_tile_of_mostly_overlap_is_told_once(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "b.png"):
        Image.fromarray(noise(40, 40, 3)).save(tmp_path / name)
    restore(checkpoint, tmp_path, tmp_path / "out")
    assert caplog.messages == []
    restore(checkpoint, tmp_path, tmp_path / "out2", tile=16)
    (said,) = caplog.messages
    reach = load_checkpoint(checkpoint)[0].reach
    assert share(overlap(reach, 40, 40, 16)) in said
    better = smallest_tile(reach, 40, 40)
    assert f"tile {better} " in said
    caplog.clear()
    restore(checkpoint, tmp_path / "a.png", tmp_path / "out3", tile=better)
    assert caplog.messages == []


def test_a_large_image_is_restored_by_tiles(checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(noise(70, 90, 3)).save(tmp_path / "a.png")
    (whole,) = restore(checkpoint, [tmp_path / "a.png"], tmp_path / "whole")
    (tiles,) = restore(checkpoint, [tmp_path / "a.png"], tmp_path / "tiles", tile=40)
    images = []
    for done in (whole, tiles):
        with Image.open(done.output or "") as image:
            images.append(torch.from_numpy(np.asarray(image).astype(int)))
    assert (images[0] - images[1]).abs().max() <= 1


def checkpoint_of(
    task: str, recipe: Recipe, dataset: Dataset, folder: Path, zero: bool = False
) -> Path:
    """An untrained network of the task; with ``zero``, its tail adds nothing to the image."""
    design = load_design("bbcu-v4", get_task(task)).replace(width=6, depth=2)
    other = recipe.model_copy(update={"design": design, "task": task})
    training = Training.of(design, get_task(task), other.protocol, dataset, "cpu")
    if zero:
        for weights in training.network.tail.parameters():
            weights.data.zero_()
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
        out[..., :3], restored_by(network, np.ascontiguousarray(layers[..., :3]))
    )


def test_deblocking_restores_y_and_keeps_cb_and_cr(
    recipe: Recipe, dataset: Dataset, tmp_path: Path
) -> None:
    path = checkpoint_of("jpeg10", recipe, dataset, tmp_path)
    network, _ = load_checkpoint(path)
    pixels = np.clip(noise(40, 33, 3), 100, 150)  # nothing is clipped at black or white
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    values = noise(40, 33)
    Image.fromarray(values).save(tmp_path / "grey.png")
    restore(path, [tmp_path / "colour.png", tmp_path / "grey.png"], tmp_path / "out")
    with Image.open(tmp_path / "out" / "grey.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), restored_by(network, values[..., None])[..., 0])
    with Image.open(tmp_path / "out" / "colour.png") as image:
        assert image.mode == "RGB"
        out = np.asarray(image)
    before, after = rgb2ycbcr(pixels), rgb2ycbcr(out)
    y = np.floor(before[..., :1] + 0.5).astype(np.uint8)
    restored = restored_by(network, y)
    assert not np.array_equal(restored, y)
    # Y changes by what the network changed, Cb and Cr not at all, but for 8 bits of RGB.
    change = restored[..., 0].astype(float) - y[..., 0]
    assert np.abs(after[..., 0] - before[..., 0] - change).max() <= 0.5
    assert np.abs(after[..., 1:] - before[..., 1:]).max() < 1e-9
