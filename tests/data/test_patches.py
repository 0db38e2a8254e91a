from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bbnas.data import (
    ImageSet,
    Patches,
    degrade,
    hq_images,
    load_dataset,
    load_images,
    lq_images,
    target,
    validation_pairs,
)
from bbnas.data.degradation import jpeg
from bbnas.errors import UserError
from bbnas.tasks import get_task

torch.set_num_threads(1)


@pytest.fixture
def images(photograph: Callable[..., np.ndarray]) -> ImageSet:
    sizes = [(50, 61), (49, 48), (64, 52)]
    return ImageSet.from_arrays(
        ["a", "b", "c"], [photograph(h, w, seed) for seed, (h, w) in enumerate(sizes)]
    )


def placed(scale: int) -> ImageSet:
    """Flat squares the size of one LQ pixel, whose colour tells their place: row, column."""
    rows, columns = np.mgrid[0:20, 0:30]
    small = np.stack([rows * 5, columns * 5, np.zeros_like(rows)], -1).astype(np.uint8)
    return ImageSet.from_arrays(["places"], [small.repeat(scale, 0).repeat(scale, 1)])


def as_pixels(batch: torch.Tensor) -> np.ndarray:
    return (batch * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("name", ["sr2", "sr3", "sr4", "denoise25", "jpeg10", "jpeg40"])
def test_every_patch_is_a_symmetry_of_crops_at_one_place(name: str, images: ImageSet) -> None:
    task = get_task(name)
    highs = [target(task, image, grey=False) for image in images.images]
    lows = highs if task.degradation == "noise" else [degrade(task, high) for high in highs]
    patches = Patches(images, task, 36, 4, seed=3)
    side = 36 // task.scale
    found = set()
    batch_lq, batch_hq = patches.batch_at(5)
    if task.degradation == "noise":  # what is under it is found by the HQ patch
        batch_lq = batch_hq
    for lq, hq in zip(as_pixels(batch_lq), as_pixels(batch_hq), strict=True):
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
        assert np.array_equal(symmetry(highs[n][y : y + 36, x : x + 36], t), hq)
        found.add(match[0])
    assert len(found) == 4


def test_without_augmentation_patches_lie_as_in_the_image() -> None:
    places = placed(2)
    patches = Patches(places, get_task("sr2"), 8, 40, 3, augment=False)
    turned = Patches(places, get_task("sr2"), 8, 40, 3)
    (lq, hq), (_, other) = (p.batch_at(1) for p in (patches, turned))
    for low, high in zip(as_pixels(lq), as_pixels(hq), strict=True):
        y, x = high[0, 0, :2].astype(int) // 5
        assert np.array_equal(high, places.images[0][2 * y : 2 * y + 8, 2 * x : 2 * x + 8])
        assert low.shape == (4, 4, 3)
    # The places are the same with and without.
    assert torch.equal(hq.flatten(2).amin(2), other.flatten(2).amin(2))
    assert not torch.equal(hq, other)
    sent = pickle.loads(pickle.dumps(patches))  # noqa: S301
    assert torch.equal(sent.batch_at(1)[1], hq)


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_noise_is_drawn_anew_for_each_batch(sigma: int, images: ImageSet) -> None:
    task = get_task(f"denoise{sigma}")
    patches, again = (Patches(images, task, 48, 16, seed=3) for _ in range(2))
    drawn = []
    for iteration in (0, 1, 300_000):
        lq, hq = patches.batch_at(iteration)
        assert torch.equal(lq, again.batch_at(iteration)[0])
        assert lq.dtype == torch.float32
        drawn.append(((lq - hq) * 255 / sigma).double())
    noise = torch.cat(drawn).flatten()
    # 331,776 values of N(0, 1): mean and variance within four standard errors.
    assert abs(float(noise.mean())) < 4 / len(noise) ** 0.5
    assert abs(float(noise.var()) - 1) < 4 * (2 / len(noise)) ** 0.5
    inside = float((noise.abs() < 1).double().mean())
    assert inside == pytest.approx(0.6827, abs=0.005)
    for one, other in ((drawn[0], drawn[1]), (drawn[0], drawn[2])):
        assert abs(float((one * other).mean())) < 0.02
    # Not of one patch the copy of another, and not the same for each channel.
    assert abs(float((drawn[0][0] * drawn[0][1]).mean())) < 0.06
    assert abs(float((drawn[0][:, 0] * drawn[0][:, 1]).mean())) < 0.03


def test_places_do_not_depend_on_the_degradation(images: ImageSet) -> None:
    """Every task of scale 1 sees the same places in the same order, noise or not."""
    first, second = (
        Patches(images, get_task(name), 24, 6, seed=9).batch_at(4)[1]
        for name in ("denoise15", "denoise50")
    )
    assert torch.equal(first, second)
    y = Patches(images, get_task("jpeg20"), 24, 6, seed=9).batch_at(4)[1]
    expected = [target(get_task("jpeg20"), image) for image in as_pixels(first)]
    assert np.array_equal(as_pixels(y), np.stack(expected))


def test_super_resolution_sees_the_batches_that_it_always_saw() -> None:
    """A change of them would make stored evaluations incomparable with new ones."""
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (60, 70, 3), np.uint8) for _ in range(3)]
    patches = Patches(ImageSet.from_arrays(["a", "b", "c"], photos), get_task("sr4"), 32, 4, 7)
    seen = hashlib.sha256()
    for iteration in range(20):
        for tensor in patches.batch_at(iteration):
            seen.update(tensor.numpy().tobytes())
    assert seen.hexdigest()[:16] == "4e4344060ac5b06f"


def symmetry(image: np.ndarray, t: int) -> np.ndarray:
    turned = np.rot90(image, t % 4)
    return turned[:, ::-1] if t >= 4 else turned


def test_all_images_places_and_symmetries_are_drawn_evenly() -> None:
    task = get_task("sr2")
    places = placed(2)
    patches = Patches(places, task, 4, 500, seed=0)
    _, hq = patches.batch_at(0)
    values = as_pixels(hq).astype(int)
    corners = values.reshape(500, -1, 3).min(1)[:, :2] // 5  # the least row and column
    assert set(corners[:, 0]) == set(range(19))
    assert set(corners[:, 1]) == set(range(29))
    rows, columns = values[..., 0], values[..., 1]
    looks = np.stack([
        rows[:, 0, 0] < rows[:, -1, 0], rows[:, 0, 0] > rows[:, -1, 0],
        columns[:, 0, 0] < columns[:, -1, 0], columns[:, 0, 0] > columns[:, -1, 0],
        rows[:, 0, 0] < rows[:, 0, -1], columns[:, 0, 0] < columns[:, 0, -1],
    ], 1)  # fmt: skip
    _, counts = np.unique(looks, axis=0, return_counts=True)
    assert len(counts) == 8
    assert ((counts - 62.5) ** 2 / 62.5).sum() < 24.3  # chi-squared, 7 degrees: p = 0.001


def test_images_are_drawn_evenly_whatever_their_size(
    photograph: Callable[..., np.ndarray],
) -> None:
    flat = [np.full((s, s, 3), v, np.uint8) for s, v in ((48, 0), (300, 120), (96, 240))]
    patches = Patches(ImageSet.from_arrays(["a", "b", "c"], flat), get_task("sr4"), 48, 600, 0)
    counts = np.bincount(as_pixels(patches.batch_at(0)[0])[:, 0, 0, 0])[[0, 120, 240]]
    assert counts.sum() == 600
    assert ((counts - 200) ** 2 / 200).sum() < 13.8  # chi-squared, 2 degrees: p = 0.001


def test_tensors_are_float_planes_in_0_to_1(images: ImageSet) -> None:
    lq, hq = Patches(images, get_task("sr3"), 48, 5, 0).batch_at(0)
    assert (lq.shape, hq.shape) == ((5, 3, 16, 16), (5, 3, 48, 48))
    assert lq.dtype == hq.dtype == torch.float32
    assert lq.is_contiguous()
    assert hq.is_contiguous()
    assert 0 <= float(hq.min()) < float(hq.max()) <= 1


def test_batches_depend_on_seed_and_iteration_alone(images: ImageSet) -> None:
    task = get_task("sr4")
    one, other = Patches(images, task, 48, 3, 7), Patches(images, task, 48, 3, 7)
    expected = {i: one.batch_at(i) for i in (0, 1, 2, 300_000)}
    for i in (300_000, 2, 0, 1):
        torch.rand(3)
        np.random.default_rng().random()
        assert all(map(torch.equal, other.batch_at(i), expected[i]))
    assert not torch.equal(expected[0][1], expected[1][1])
    assert not torch.equal(Patches(images, task, 48, 3, 8).batch_at(0)[1], expected[0][1])
    sent = pickle.loads(pickle.dumps(one))  # noqa: S301
    assert all(map(torch.equal, sent.batch_at(2), expected[2]))


def test_a_patch_is_reduced_to_a_multiple_of_the_scale(images: ImageSet) -> None:
    patches = Patches(images, get_task("sr3"), 47, 1, 0)
    assert patches.patch == 45
    assert patches.batch_at(0)[1].shape == (1, 3, 45, 45)


def test_a_patch_as_large_as_an_image_fits_and_a_larger_one_names_it(images: ImageSet) -> None:
    Patches(images, get_task("sr4"), 48, 2, 0).batch_at(0)
    with pytest.raises(UserError, match="b has 48×49"):
        Patches(images, get_task("sr2"), 50, 2, 0)
    with pytest.raises(UserError, match="below the scale"):
        Patches(images, get_task("sr4"), 3, 2, 0)


def test_lq_images_lie_in_the_cache_once(folder_of: Callable[..., Path], cache: Path) -> None:
    images = load_images(folder_of("a.png", "b.png"))
    task = get_task("sr3")
    first = tuple(low.copy() for low in lq_images(images, task))
    (pack,) = cache.glob(f"{images.fingerprint}-sr3*.rgb")
    written = pack.stat().st_mtime_ns
    assert all(map(np.array_equal, lq_images(images, task), first))
    assert pack.stat().st_mtime_ns == written
    pack.write_bytes(b"damaged")
    assert all(map(np.array_equal, lq_images(images, task), first))
    for low, image in zip(first, images.images, strict=True):
        assert np.array_equal(low, degrade(task, image[:120, :138]))


def test_y_and_its_jpeg_lie_in_the_cache_once(folder_of: Callable[..., Path], cache: Path) -> None:
    images = load_images(folder_of("a.png", "b.png"))
    task = get_task("jpeg20")
    highs, lows = hq_images(images, task), lq_images(images, task)
    assert hq_images(images, get_task("denoise25")) is images.images
    for high, low, image in zip(highs, lows, images.images, strict=True):
        assert np.array_equal(high, target(task, image))
        assert np.array_equal(low, degrade(task, high))
    assert len(list(cache.glob(f"{images.fingerprint}-*.rgb"))) == 2
    hq_images(images, get_task("jpeg40"))
    assert len(list(cache.glob(f"{images.fingerprint}-*.rgb"))) == 2  # one Y for all qualities
    # The same names and pixels, but of grey files: their values are another Y.
    greys = replace(images, grey=(True, True))
    assert greys.fingerprint == images.fingerprint
    assert not np.array_equal(hq_images(greys, task)[0], highs[0])
    sent = pickle.dumps(Patches(images, task, 48, 2, 0))
    assert len(sent) < 10_000  # no pixels are copied to a worker


def test_a_batch_takes_less_than_a_millisecond() -> None:
    patches = Patches(load_dataset().train, get_task("sr4"), 48, 8, 0)
    patches.batch_at(0)
    times = []
    for i in range(1, 101):
        start = time.perf_counter()
        patches.batch_at(i)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3  # the least: others may use this machine


@given(st.sampled_from(["sr2", "sr3", "sr4", "denoise50", "jpeg10"]), st.integers(0, 80))
def test_validation_pairs_are_centre_crops(name: str, side: int) -> None:
    task = get_task(name)
    rng = np.random.default_rng(side)
    full = rng.integers(0, 256, (53, 67, 3), np.uint8)
    images = ImageSet.from_arrays(["a"], [full])
    if 0 < side < task.scale:
        with pytest.raises(UserError, match="below the scale"):
            validation_pairs(images, task, side)
        return
    ((lq, hq),) = validation_pairs(images, task, side)
    height, width = hq.shape[:2]
    assert (height, width) == tuple(
        min(side or 99, length) // task.scale * task.scale for length in (53, 67)
    )
    assert lq.shape == (height // task.scale, width // task.scale, task.channels)
    assert lq.dtype == (np.float32 if task.degradation == "noise" else np.uint8)
    assert np.array_equal(lq, degrade(task, hq))
    top, left = (53 - min(side or 53, 53)) // 2, (67 - min(side or 67, 67)) // 2
    assert np.array_equal(hq, target(task, full[top : top + height, left : left + width]))


def test_a_blind_task_draws_sigma_for_each_patch(images: ImageSet) -> None:
    task, low = get_task("denoise"), get_task("denoise15")
    patches = Patches(images, task, 48, 64, seed=3)
    lq, hq = patches.batch_at(2)
    assert torch.equal(lq, patches.batch_at(2)[0])
    assert torch.equal(hq, Patches(images, low, 48, 64, seed=3).batch_at(2)[1])
    sigmas = ((lq - hq) * 255).flatten(1).std(1)
    assert float(sigmas.min()) < 8
    assert float(sigmas.max()) > 47
    assert float(sigmas.max()) < 56.5
    # Evenly on 0..55: the mean within four standard errors.
    assert abs(float(sigmas.mean()) - 27.5) < 4 * 55 / 12**0.5 / 8
    # The same noise but for its size.
    unit = Patches(images, low, 48, 64, seed=3).batch_at(2)[0] - hq
    size = sigmas / (unit * 255).flatten(1).std(1)
    assert torch.allclose(lq - hq, unit * size[:, None, None, None], atol=1e-5)


def test_a_blind_task_draws_quality_for_each_patch(images: ImageSet) -> None:
    """Each patch is cut from the JPEG of the whole image at a quality of 5..50, at any place."""
    task = get_task("jpeg")
    highs = [target(task, image) for image in images.images]
    patches = Patches(images, task, 20, 24, seed=3, augment=False)
    lq, hq = (as_pixels(batch) for batch in patches.batch_at(5))
    expected = as_pixels(Patches(images, get_task("jpeg10"), 20, 24, 3, False).batch_at(5)[1])
    assert np.array_equal(hq, expected)
    compressed = {q: [jpeg(high, q) for high in highs] for q in range(1, 101)}
    found = []
    for low, high in zip(lq, hq, strict=True):
        n, y, x = next(
            (n, y, x)
            for n, image in enumerate(highs)
            for y in range(image.shape[0] - 19)
            for x in range(image.shape[1] - 19)
            if np.array_equal(image[y : y + 20, x : x + 20], high)
        )
        match = [
            q
            for q, photos in compressed.items()
            if np.array_equal(photos[n][y : y + 20, x : x + 20], low)
        ]
        assert match
        found.append((match[0], match[-1]))
    assert all(first <= 50 and last >= 5 for first, last in found)
    assert len(set(found)) > 12
