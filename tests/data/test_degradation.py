from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbnas.data import (
    bicubic_downscale,
    bicubic_on_y,
    bicubic_upscale,
    crop_to_multiple,
    degrade,
    find_benchmark,
)
from bbnas.errors import UserError
from bbnas.metrics import psnr_y, ssim_y
from bbnas.tasks import TASKS, get_task

SETS = Path(__file__).parents[2].parent / "shared" / "data" / "test"
needs_sets = pytest.mark.skipif(not SETS.is_dir(), reason="needs the benchmark sets")


def cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def resize_line(line: list[int], length: int) -> list[int]:
    """MATLAB's imresize of one line, written from its documentation, value by value."""
    factor = length / len(line)
    stretch = min(factor, 1.0)  # antialiasing widens the kernel by 1/factor
    result = []
    for out in range(1, length + 1):
        centre = out / factor + 0.5 * (1 - 1 / factor)
        first = math.floor(centre - 2 / stretch)
        weights, values = [], []
        for place in range(first, first + math.ceil(4 / stretch) + 2):
            weights.append(stretch * cubic(stretch * (centre - place)))
            mirrored = (place - 1) % (2 * len(line))
            values.append(line[min(mirrored, 2 * len(line) - 1 - mirrored)])
        total = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
        # A tie is a tie although the sum is taken in floating point.
        result.append(min(255, max(0, math.floor(round(total, 9) + 0.5))))
    return result


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    columns = [resize_line(list(map(int, image[:, x])), height) for x in range(image.shape[1])]
    rows = np.array(columns).T
    return np.array([resize_line(list(map(int, row)), width) for row in rows], np.uint8)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 6)])
def test_equals_imresize_value_by_value(scale: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(scale)
    height, width = size
    for hq in (
        rng.integers(0, 256, (height * scale, width * scale), np.uint8),
        rng.choice(np.array([0, 255], np.uint8), (height * scale, width * scale)),
    ):
        lq = bicubic_downscale(hq, scale)
        assert np.array_equal(lq, resize(hq, height, width))
        assert np.array_equal(
            bicubic_upscale(lq, scale), resize(lq, height * scale, width * scale)
        )


@given(st.integers(0, 255), st.sampled_from([2, 3, 4]))
def test_flat_stays_flat(value: int, scale: int) -> None:
    flat = np.full((3 * scale, 4 * scale, 3), value, np.uint8)
    assert np.array_equal(bicubic_downscale(flat, scale), flat[:3, :4])
    assert np.array_equal(bicubic_upscale(flat[:3, :4], scale), flat)


@given(st.integers(0, 10**6), st.sampled_from([2, 3, 4]))
def test_channels_and_mirror_images_are_independent(seed: int, scale: int) -> None:
    hq = np.random.default_rng(seed).integers(0, 256, (4 * scale, 5 * scale, 3), np.uint8)
    lq = bicubic_downscale(hq, scale)
    assert np.array_equal(lq[..., 1], bicubic_downscale(hq[..., 1], scale))
    assert np.array_equal(lq[::-1, ::-1], bicubic_downscale(hq[::-1, ::-1], scale))


def test_degrade_is_the_tasks_bicubic() -> None:
    hq = np.random.default_rng(0).integers(0, 256, (24, 36, 3), np.uint8)
    for task in TASKS.values():
        assert np.array_equal(degrade(task, hq), bicubic_downscale(hq, task.scale))


def test_a_side_that_is_no_multiple_is_refused() -> None:
    hq = np.zeros((9, 8, 3), np.uint8)
    with pytest.raises(UserError, match="8×9"):
        degrade(get_task("sr4"), hq)
    assert crop_to_multiple(hq, 4).shape == (8, 8, 3)


# Published Bicubic rows (e.g. of VDSR, CVPR 2016).
PUBLISHED = {
    ("Set5", 2): (33.66, 0.9299),
    ("Set5", 3): (30.39, 0.8682),
    ("Set5", 4): (28.42, 0.8104),
    ("Set14", 4): (26.00, None),
}


@needs_sets
@pytest.mark.parametrize(("name", "scale"), PUBLISHED)
def test_published_bicubic_rows(name: str, scale: int) -> None:
    images = find_benchmark(name, SETS)
    pairs = [
        bicubic_on_y(hq, scale, grey) for hq, grey in zip(images.images, images.grey, strict=True)
    ]
    psnr, ssim = PUBLISHED[name, scale]
    assert np.mean([psnr_y(*pair, scale) for pair in pairs]) == pytest.approx(psnr, abs=0.005)
    if ssim is not None:
        assert np.mean([ssim_y(*pair, scale) for pair in pairs]) == pytest.approx(ssim, abs=5e-5)


@needs_sets
@pytest.mark.parametrize(
    ("name", "scale", "psnr", "ssim"),
    [
        ("Set5", 2, 33.66, 0.9299),
        ("Set5", 4, 28.42, 0.8104),
        ("Set14", 2, 30.24, 0.8688),
        ("Set14", 4, 26.00, 0.7027),
    ],
)
def test_bicubic_of_8_bit_colour_is_within_rounding(
    name: str, scale: int, psnr: float, ssim: float
) -> None:
    images = find_benchmark(name, SETS)
    scores = []
    for image, grey in zip(images.images, images.grey, strict=True):
        hq = crop_to_multiple(image, scale)
        restored = bicubic_upscale(bicubic_downscale(hq, scale), scale)
        scores.append((psnr_y(restored, hq, scale, grey), ssim_y(restored, hq, scale, grey)))
    means = np.mean(scores, axis=0)
    assert means[0] == pytest.approx(psnr, abs=0.015)
    assert means[1] == pytest.approx(ssim, abs=0.001)
