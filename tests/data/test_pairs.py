"""Pairs of given LQ and HQ images: matching, split, sizes, patches, against brute force."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shared import BENCHMARKS, needs_benchmarks

from bbnas.data import (
    Patches,
    bicubic_upscale,
    degrade,
    find_benchmark,
    load_dataset,
    load_pairs,
    target,
    validation_pairs,
)
from bbnas.data.pairs import split_pair
from bbnas.errors import UserError
from bbnas.inference import score
from bbnas.inference.scoring import score_baseline
from bbnas.metrics import psnr
from bbnas.runtime.colour import to_y
from bbnas.tasks import get_task

Pair = Callable[..., str]


@pytest.fixture
def pair(tmp_path: Path, photograph: Callable[..., np.ndarray]) -> Pair:
    """LQ_DIR:HQ_DIR with different images: LQ is no function of HQ that bbnas knows."""

    def make(*names: tuple[str, str], scale: int = 2, height: int = 106, width: int = 113) -> str:
        for seed, (low, high) in enumerate(names):
            for folder, name, shrink, draw in (("lq", low, scale, 100), ("hq", high, 1, 0)):
                path = tmp_path / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = photograph(height // shrink, width // shrink, draw + seed)
                Image.fromarray(pixels).save(path)
        return f"{tmp_path / 'lq'}:{tmp_path / 'hq'}"

    return make


def decoded(text: str, folder: int, name: str) -> np.ndarray:
    return np.asarray(Image.open(Path(text.split(":")[folder]) / name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lq:hq", ("lq", "hq")),
        ("/a/lq:../hq", ("/a/lq", "../hq")),
        ("photos", None),
        ("C:\\photos", None),
        ("c:/photos", None),
        ("C:\\lq:D:\\hq", ("C:\\lq", "D:\\hq")),
        ("C:/lq:hq", ("C:/lq", "hq")),
        ("lq:D:/hq", ("lq", "D:/hq")),
        ("a:b:c", None),
    ],
)
def test_a_drive_letter_is_no_separator(text: str, expected: tuple[str, str] | None) -> None:
    assert split_pair(text) == expected


def test_a_folder_whose_name_holds_a_colon_is_a_folder(
    tmp_path: Path, photograph: Callable[..., np.ndarray]
) -> None:
    (tmp_path / "a:b").mkdir()
    for seed in range(2):
        Image.fromarray(photograph(seed=seed)).save(tmp_path / "a:b" / f"{seed}.png")
    assert load_dataset(tmp_path / "a:b").train.lq is None


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("a.png", "a.png"),
        ("a.png", "a.bmp"),
        ("Baby_x4.png", "baby.png"),
        ("babyx2.png", "baby_GT.png"),
        ("img_001_SRF_2_LR.png", "img_001_SRF_2_HR.png"),
        ("0001_LQ.png", "0001_HQ.png"),
        ("sub/0001-lr.png", "sub/0001-hr.png"),
    ],
)
def test_names_that_belong_together(pair: Pair, low: str, high: str) -> None:
    text = pair((low, high), ("other.png", "other.png"))
    images = load_pairs(*text.split(":"))
    assert images.lq is not None
    assert len(images) == len(images.lq) == 2
    found = dict(zip(images.names, zip(images.images, images.lq.images, strict=True), strict=True))
    for (hq, lq), one in ((found[high], (high, low)), (found["other.png"], ("other.png",) * 2)):
        assert np.array_equal(hq, decoded(text, 1, one[0]))
        assert np.array_equal(lq, decoded(text, 0, one[1]))
    assert images.skipped == ()


def test_equal_names_come_before_similar_ones(pair: Pair) -> None:
    text = pair(("matrix2.png", "matrix2.png"), ("matrix3.png", "matrix3.png"), ("M.png", "m.png"))
    images = load_pairs(*text.split(":"))
    assert images.lq is not None
    assert images.names == ("m.png", "matrix2.png", "matrix3.png")
    assert images.lq.names == ("M.png", "matrix2.png", "matrix3.png")


def test_low_resolution_copies_are_what_the_lq_folder_holds(pair: Pair, tmp_path: Path) -> None:
    text = pair(("a_LR.png", "a.png"), ("b_LR.png", "b.png"))
    for path in (tmp_path / "lq").iterdir():  # beside HQ files of those names
        path.with_name(path.name.replace("LR", "HR")).write_bytes(path.read_bytes())
    images = load_pairs(*text.split(":"))
    assert images.names == ("a.png", "b.png")
    assert images.lq is not None
    assert images.lq.names == ("a_LR.png", "b_LR.png")


def test_what_has_no_other_half_is_named(pair: Pair, tmp_path: Path) -> None:
    text = pair(("a.png", "a.png"), ("b.png", "b.png"), ("lost.png", "alone.png"))
    (tmp_path / "lq" / "a_x2.png").write_bytes((tmp_path / "lq" / "b.png").read_bytes())
    (tmp_path / "lq" / "bad.png").write_text("no image")
    images = load_pairs(*text.split(":"))
    assert images.names == ("a.png", "b.png")
    assert {name for name, _ in images.skipped} == {
        "lq/lost.png", "alone.png", "lq/a_x2.png", "lq/bad.png",
    }  # fmt: skip
    assert "has the LQ image a.png" in dict(images.skipped)["lq/a_x2.png"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lq, hq: f"{lq}x:{hq}", "the LQ folder .* does not exist"),
        (lambda lq, hq: f"{lq}:{hq}x", "the HQ folder .* does not exist"),
        (lambda lq, hq: f"{lq}:{lq.parent / 'third'}", "no image of .* has the name"),
        (lambda lq, hq: f"{hq}:{hq}/", "both are one folder"),
    ],
)
def test_no_pairs_is_one_line(pair: Pair, tmp_path: Path, change, says: str) -> None:  # type: ignore[no-untyped-def]
    pair(("a.png", "a.png"))
    (tmp_path / "third").mkdir()
    Image.new("RGB", (200, 200)).save(tmp_path / "third" / "z.png")
    with pytest.raises(UserError, match=says) as caught:
        load_dataset(change(tmp_path / "lq", tmp_path / "hq"))
    assert "\n" not in str(caught.value)


def test_a_dataset_of_pairs_is_told_apart(pair: Pair, tmp_path: Path) -> None:
    text = pair(*((f"{i}.png", f"{i}.png") for i in range(5)))
    dataset = load_dataset(text)
    assert (len(dataset.train), len(dataset.validation)) == (4, 1)
    assert "5 pairs of images" in dataset.description
    plain = load_dataset(tmp_path / "hq")
    assert plain.train.names == dataset.train.names  # the same split
    assert plain.fingerprint != dataset.fingerprint
    sent = pickle.loads(pickle.dumps(dataset))  # noqa: S301
    assert sent.fingerprint == dataset.fingerprint
    assert len(pickle.dumps(dataset)) < 10_000
    Image.fromarray(255 - decoded(text, 0, "0.png")).save(tmp_path / "lq" / "0.png")
    assert load_dataset(text).fingerprint not in (dataset.fingerprint, plain.fingerprint)


@pytest.mark.parametrize("name", ["sr2", "sr4", "denoise25", "jpeg10"])
def test_patches_are_cut_from_both_at_one_place_and_turned_alike(pair: Pair, name: str) -> None:
    task = get_task(name)
    both = ("a.png", "a.png"), ("b.png", "b.png")
    text = pair(*both, scale=task.scale, height=46, width=51)
    images = load_pairs(*text.split(":"))
    highs = [target(task, decoded(text, 1, n)) for n in images.names]
    lows = [
        low if task.channels == 3 else target(task, low)
        for low in (decoded(text, 0, n) for n in images.names)
    ]
    patches = Patches(images, task, 24, 4, seed=3)
    side = 24 // task.scale
    for lq, hq in zip(*map(as_pixels, patches.batch_at(5)), strict=True):
        match = [
            (n, y, x, t)
            for n, low in enumerate(lows)
            for y in range(low.shape[0] - side + 1)
            for x in range(low.shape[1] - side + 1)
            for t in range(8)
            if np.array_equal(symmetry(low[y : y + side, x : x + side], t), lq)
        ]
        assert len(match) == 1
        n, y, x, t = match[0]
        y, x = y * task.scale, x * task.scale
        assert np.array_equal(symmetry(highs[n][y : y + 24, x : x + 24], t), hq)
    again = pickle.loads(pickle.dumps(patches))  # noqa: S301
    assert torch.equal(again.batch_at(5)[0], patches.batch_at(5)[0])


def as_pixels(batch: torch.Tensor) -> np.ndarray:
    return (batch * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def symmetry(image: np.ndarray, t: int) -> np.ndarray:
    turned = np.rot90(image, t % 4)
    return turned[:, ::-1] if t >= 4 else turned


@pytest.mark.parametrize("side", [0, 24, 31, 500])
@pytest.mark.parametrize("name", ["sr3", "denoise25", "jpeg10"])
def test_validation_pairs_are_one_place_of_both(pair: Pair, name: str, side: int) -> None:
    task = get_task(name)
    text = pair(("a.png", "a.png"), scale=task.scale)
    images = load_pairs(*text.split(":"))
    ((lq, hq),) = validation_pairs(images, task, side)
    low, high = decoded(text, 0, "a.png"), decoded(text, 1, "a.png")
    if task.channels == 1:
        low, high = target(task, low), target(task, high)
    height, width = lq.shape[:2]
    assert (height, width) == tuple(
        min(side // task.scale if side else 500, length) for length in low.shape[:2]
    )
    places = [
        (y, x)
        for y in range(low.shape[0] - height + 1)
        for x in range(low.shape[1] - width + 1)
        if np.array_equal(low[y : y + height, x : x + width], lq)
    ]
    ((y, x),) = places
    assert abs(2 * y + height - low.shape[0]) <= 1  # the centre
    assert abs(2 * x + width - low.shape[1]) <= 1
    y, x = y * task.scale, x * task.scale
    expected = high[y : y + height * task.scale, x : x + width * task.scale]
    assert np.array_equal(hq, expected)


@pytest.mark.parametrize("name", ["sr3", "sr4", "denoise25", "jpeg10"])
def test_sizes_must_fit_the_scale(pair: Pair, name: str) -> None:
    text = pair(("a.png", "a.png"), ("b.png", "b.png"), scale=2)
    dataset = load_dataset(text)
    task = get_task(name)
    for use in (
        lambda: Patches(dataset.train, task, 24, 1, 0),
        lambda: validation_pairs(dataset.validation, task, 24),
    ):
        with pytest.raises(UserError, match=rf"113×106.*56×53.*{name}.*{task.scale} times"):
            use()
    Patches(dataset.train, get_task("sr2"), 24, 1, 0)


def test_scores_of_a_benchmark_of_pairs(pair: Pair) -> None:
    text = pair(("a.png", "a.png"), height=106, width=112)
    images = find_benchmark(text)
    task = get_task("sr2")
    ours = score_baseline("bicubic", task, images)
    restored = bicubic_upscale(decoded(text, 0, "a.png"), 2)
    expected = psnr(restored, decoded(text, 1, "a.png"), 2, on=to_y)
    assert ours[0].psnr == pytest.approx(expected, abs=1e-9)
    with pytest.raises(UserError, match="sr4"):
        score(lambda lq: lq, get_task("sr4"), images, "cpu")


@needs_benchmarks
def test_published_lq_images_are_found_by_their_names(tmp_path: Path) -> None:
    for path in (BENCHMARKS / "Set5_LRBI").glob("*_x2.png"):
        (tmp_path / path.name).symlink_to(path)
    images = find_benchmark(f"{tmp_path}:{BENCHMARKS / 'Set5'}")
    assert images.names == ("baby.png", "butterfly.png", "woman.png")
    assert {name for name, _ in images.skipped} == {"bird.png", "head.png"}
    task = get_task("sr2")
    for lq, hq in validation_pairs(images, task, 0):
        assert psnr(degrade(task, hq), lq) > 50  # MATLAB's and ours
