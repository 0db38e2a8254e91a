from __future__ import annotations

import csv
import hashlib
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared import BENCHMARKS
from skimage import data as skimage_data
from sklearn.datasets import load_sample_image

from bbnas.data import embedded_name, find_benchmark, load_dataset
from bbnas.data.datasets import PHOTOGRAPHS
from bbnas.errors import UserError

Write = Callable[..., Path]
TRAINING = BENCHMARKS.parent / "train"
NAMES = [f"{i:04}.png" for i in range(1, 31)]


def test_the_default_is_cc0() -> None:
    dataset, named = load_dataset(), load_dataset("cc0")
    assert dataset.fingerprint == named.fingerprint != load_dataset("skimage").fingerprint
    assert embedded_name(dataset.fingerprint) == "cc0"
    assert embedded_name("0123456789abcdef") is None
    assert (len(dataset.train), len(dataset.validation)) == (45, 10)
    assert "cc0" in dataset.description
    assert "45 to train on, 10 held out" in dataset.description
    scans = {"brick", "camera", "grass", "gravel"}
    own = [name for name in dataset.train.names if Path(name).stem not in scans]
    assert dict(zip(dataset.train.names, dataset.train.grey, strict=True))["camera.png"]
    assert len(own) == 41
    # No file that JPEG has compressed at this size: a network would learn its blocks.
    names = [*dataset.train.names, *dataset.validation.names]
    assert len(set(names)) == 55
    assert {Path(name).suffix for name in names} == {".png", ".webp"}


def test_the_licences_list_every_photograph() -> None:
    with (PHOTOGRAPHS / "licences.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    files = {path.relative_to(PHOTOGRAPHS).as_posix() for path in PHOTOGRAPHS.rglob("*.webp")}
    assert {row["file"] for row in rows} == files
    assert len(files) == 46
    dataset = load_dataset("cc0")
    sides = {"train": dataset.train, "valid": dataset.validation}
    for row in rows:
        side, name = row["file"].split("/")
        content = (PHOTOGRAPHS / row["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert (row["licence"], bool(row["origin"])) == ("CC0-1.0", True)
        images = dict(zip(sides[side].names, sides[side].images, strict=True))
        assert images[name].shape == (int(row["height"]), int(row["width"]), 3)
        assert content[12:16] == b"VP8L"  # lossless WebP: all decoders give the same pixels


@pytest.mark.skipif(not TRAINING.is_dir(), reason=f"no photographs in {TRAINING}")
def test_the_photographs_are_crops_of_their_sources() -> None:
    with (TRAINING / "train_pack.csv").open(encoding="utf-8", newline="") as file:
        free = {row["file"]: row for row in csv.DictReader(file) if "CC0" in row["licence"]}
    with (PHOTOGRAPHS / "licences.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["file"].split("/")[1]: row for row in csv.DictReader(file)}
    assert rows.keys() == free.keys()
    for name, row in rows.items():
        assert row["source_sha256"] == free[name]["sha256"]
        assert row["origin"] == free[name]["origin"]
        whole = np.asarray(Image.open(TRAINING / name).convert("RGB"))
        y, x, height, width = (int(row[key]) for key in ("top", "left", "height", "width"))
        here = np.asarray(Image.open(PHOTOGRAPHS / row["file"]).convert("RGB"))
        assert np.array_equal(here, whole[y : y + height, x : x + width])
        if row["file"].startswith("valid/"):
            assert here.shape == whole.shape


def test_the_earlier_default_is_that_of_the_libraries() -> None:
    dataset = load_dataset("skimage")
    held_out = dict(zip(dataset.validation.names, dataset.validation.images, strict=True))
    assert np.array_equal(held_out["astronaut.png"], skimage_data.astronaut())
    assert np.array_equal(held_out["china.jpg"], load_sample_image("china.jpg"))
    train = dict(zip(dataset.train.names, dataset.train.images, strict=True))
    assert np.array_equal(train["coffee.png"], skimage_data.coffee())
    assert np.array_equal(train["brick.png"][..., 2], skimage_data.brick())
    assert not set(train) & set(held_out)
    assert not any(dataset.validation.grey)
    assert {"motorcycle_left.png", "motorcycle_right.png"} <= set(train)  # one scene, one side
    assert dataset.skipped == ()
    for count in (len(train), len(held_out), len(train) + len(held_out)):
        assert str(count) in dataset.description


def test_the_fingerprint_is_stable_and_survives_pickling() -> None:
    first, again = load_dataset(), load_dataset(seed=1)
    assert first.fingerprint == again.fingerprint  # its split is fixed
    sent = pickle.dumps(first)
    assert len(sent) < 20_000
    assert pickle.loads(sent).fingerprint == first.fingerprint  # noqa: S301
    # Lossless files: the key of its results on every machine and with every decoder. (Studies
    # made with scikit-image 0.26 have it.)
    assert first.fingerprint == "2abcba3d99fe77dc"


def test_a_folder_is_split_by_image(folder_of: Write) -> None:
    root = folder_of(*NAMES)
    dataset = load_dataset(root)
    assert len(dataset.validation) == 3
    assert sorted(dataset.train.names + dataset.validation.names) == NAMES
    assert load_dataset(root).fingerprint == dataset.fingerprint
    others = {load_dataset(root, seed=seed).validation.names for seed in range(4)}
    assert len(others) > 1
    assert "27 to train on, 3 held out" in dataset.description


def test_at_least_one_and_at_most_16_are_held_out(folder_of: Write) -> None:
    few = load_dataset(folder_of("a.png", "b.png", root="few"))
    assert (len(few.train), len(few.validation)) == (1, 1)
    many = folder_of(*(f"{i}.png" for i in range(200)), root="many", height=96, width=96)
    dataset = load_dataset(many)
    assert (len(dataset.train), len(dataset.validation)) == (184, 16)


def test_div2k_as_downloaded(folder_of: Write) -> None:
    root = folder_of(
        *(f"DIV2K_train_HR/000{i}.png" for i in range(1, 6)),
        *(f"DIV2K_train_LR_bicubic/X4/000{i}x4.png" for i in range(1, 6)),
        *(f"DIV2K_valid_HR/080{i}.png" for i in range(1, 4)),
        *(f"DIV2K_valid_LR_bicubic/X4/080{i}x4.png" for i in range(1, 4)),
        "test/a.png",
    )
    dataset = load_dataset(root)
    assert dataset.train.names == tuple(f"DIV2K_train_HR/000{i}.png" for i in range(1, 6))
    assert dataset.validation.names == tuple(f"DIV2K_valid_HR/080{i}.png" for i in range(1, 4))
    skipped = dict(dataset.skipped)
    assert skipped.keys() == {"DIV2K_train_LR_bicubic/", "DIV2K_valid_LR_bicubic/", "test/a.png"}
    assert "its own split" in dataset.description
    assert "3 files or folders skipped" in dataset.description


def test_a_training_folder_alone_is_split(folder_of: Write) -> None:
    root = folder_of(*(f"DIV2K_train_HR/{name}" for name in NAMES))
    assert len(load_dataset(root).validation) == 3
    assert len(load_dataset(root / "DIV2K_train_HR").validation) == 3


def test_no_image_is_both_trained_on_and_scored_on(folder_of: Write) -> None:
    root = folder_of("train/a.png", "train/b.png", "valid/c.png", "valid/d.png")
    shutil.copy(root / "valid" / "c.png", root / "train" / "copy.png")
    dataset = load_dataset(root)
    assert dataset.train.names == ("train/a.png", "train/b.png")
    assert dataset.validation.names == ("valid/c.png", "valid/d.png")
    assert dict(dataset.skipped) == {"train/copy.png": "the same image as valid/c.png"}


def test_a_corrupt_and_a_tiny_file_are_skipped(folder_of: Write) -> None:
    root = folder_of("a.png", "b.png", "c.png")
    (root / "b.png").write_text("no image")
    Image.new("RGB", (64, 64)).save(root / "tiny.png")
    dataset = load_dataset(root)
    assert sorted(dataset.train.names + dataset.validation.names) == ["a.png", "c.png"]
    assert {name for name, _ in dataset.skipped} == {"b.png", "tiny.png"}


@pytest.mark.parametrize("case", ["missing", "file", "one", "one twice", "none"])
def test_too_little_is_an_error(folder_of: Write, tmp_path: Path, case: str) -> None:
    root = folder_of("a.png")
    path = {"missing": tmp_path / "nowhere", "file": root / "a.png"}.get(case, root)
    if case == "one twice":
        shutil.copy(root / "a.png", root / "b.png")
    if case == "none":
        (root / "a.png").write_text("no image")
    words = {
        "missing": "does not exist",
        "file": "is a file",
        "one": "at least two",
        "one twice": "at least two",
        "none": "a.png: not a readable",
    }
    with pytest.raises(UserError, match=words[case]) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("layout", ["Set5", "Set5/HR", "benchmark/Set5/HR", "benchmark/Set5"])
def test_benchmark_layouts(folder_of: Write, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    low = layout.removesuffix("/HR") + "/LR_bicubic/X4"
    root = folder_of(f"{layout}/bird.png", f"{layout}/baby.png", f"{low}/babyx4.png", root="data")
    assert find_benchmark("Set5", root).names == ("baby.png", "bird.png")
    assert find_benchmark(root / layout.removesuffix("/HR")).names == ("baby.png", "bird.png")
    monkeypatch.setenv("BBNAS_DATA", str(root))
    assert find_benchmark("set5").names == ("baby.png", "bird.png")


def test_a_benchmark_remembers_which_images_are_grey(
    folder_of: Write, photograph: Callable[..., np.ndarray]
) -> None:
    root = folder_of("Set14/a.png", "Set14/c.png")
    Image.fromarray(photograph()[..., 0]).save(root / "Set14" / "bridge.bmp")
    assert find_benchmark("Set14", root).grey == (False, True, False)


def test_an_unknown_benchmark_says_where_it_looked(
    folder_of: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BBNAS_DATA", raising=False)
    with pytest.raises(UserError, match="BBNAS_DATA is not set"):
        find_benchmark("Set5")
    root = folder_of("Set14/a.png")
    with pytest.raises(UserError, match="did you mean 'Set14'") as caught:
        find_benchmark("Set15", root)
    assert str(root) in str(caught.value)
    with pytest.raises(UserError, match="no such folder"):
        find_benchmark(root / "Set15")
