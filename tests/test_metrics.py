from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bbnas.errors import UserError
from bbnas.metrics import psnr, quantize, ssim
from bbnas.runtime.colour import bands, to_y

SEEDS = st.integers(0, 10**6)


def pair(seed: int, height: int = 40, width: int = 52) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (height, width, 3), np.uint8)
    b = np.clip(a + rng.normal(0, rng.uniform(1, 60), a.shape), 0, 255).astype(np.uint8)
    return a, b


@given(SEEDS)
def test_y_is_that_of_scikit_image(seed: int) -> None:
    a, _ = pair(seed)
    np.testing.assert_allclose(to_y(a), rgb2ycbcr(a)[..., 0], atol=1e-9)
    np.testing.assert_allclose(to_y(a / 255.0), rgb2ycbcr(a)[..., 0], atol=1e-9)


def test_y_by_hand() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_allclose(to_y(colours), [[16, 235, 81.481, 40.966]])


def test_the_values_of_a_grey_image_are_its_y() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    replicated = np.dstack([values] * 3)
    np.testing.assert_allclose(to_y(replicated, grey=True), values, atol=1e-9)
    np.testing.assert_allclose(to_y(replicated / 255.0, grey=True), values, atol=1e-9)


@given(SEEDS, st.integers(0, 8))
def test_psnr_is_that_of_scikit_image(seed: int, crop: int) -> None:
    a, b = pair(seed)
    inside = np.s_[crop : 40 - crop, crop : 52 - crop]
    expected = peak_signal_noise_ratio(a[inside], b[inside], data_range=255)
    assert psnr(a, b, crop) == pytest.approx(expected, abs=1e-9)
    y_a, y_b = rgb2ycbcr(a)[..., 0][inside], rgb2ycbcr(b)[..., 0][inside]
    expected = peak_signal_noise_ratio(y_a, y_b, data_range=255)
    assert psnr(a, b, crop, to_y) == pytest.approx(expected, abs=1e-9)


def reference_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang's SSIM of two channels, by scikit-image."""
    return structural_similarity(
        a,
        b,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


@given(SEEDS, st.integers(0, 8), st.booleans())
def test_ssim_is_that_of_scikit_image(seed: int, crop: int, grey: bool) -> None:
    a, b = pair(seed)
    inside = np.s_[crop : 40 - crop, crop : 52 - crop]
    expected = reference_ssim(to_y(a, grey)[inside], to_y(b, grey)[inside])
    found = ssim(a, b, crop, lambda image: to_y(image, grey))
    assert found == pytest.approx(expected, abs=1e-9)


@given(SEEDS)
def test_ssim_of_colours_is_the_mean_over_channels(seed: int) -> None:
    a, b = pair(seed)
    channels = [reference_ssim(a[..., c] * 1.0, b[..., c] * 1.0) for c in range(3)]
    assert ssim(a, b) == pytest.approx(np.mean(channels), abs=1e-9)
    assert ssim(a[..., :1], b[..., :1]) == pytest.approx(channels[0], abs=1e-9)
    assert ssim(a[..., 0], b[..., 0]) == pytest.approx(channels[0], abs=1e-9)


def test_an_image_of_several_bands_is_scored_as_one() -> None:
    a, b = pair(0, height=601)
    expected = reference_ssim(a[..., 0] * 1.0, b[..., 0] * 1.0)
    assert ssim(a[..., 0], b[..., 0]) == pytest.approx(expected, abs=1e-9)
    expected = peak_signal_noise_ratio(a, b, data_range=255)
    assert psnr(a, b) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 2000), st.integers(1, 300))
def test_bands_cover_all_rows_once(rows: int, most: int) -> None:
    covered = [row for band in bands(rows, most) for row in range(rows)[band]]
    assert covered == list(range(rows))
    assert all(0 < band.stop - band.start <= most for band in bands(rows, most))


def test_psnr_of_a_known_error() -> None:
    a = np.full((12, 12, 3), 100, np.uint8)
    assert psnr(a, a + np.uint8(10), 2) == pytest.approx(10 * math.log10(650.25))
    assert psnr(a, a, 2) == math.inf
    assert ssim(a, a) == pytest.approx(1.0, abs=1e-12)


def test_only_what_is_inside_the_border_counts() -> None:
    a, _ = pair(0)
    b = a.copy()
    b[:3] = b[-3:] = 0
    b[:, :3] = b[:, -3:] = 0
    assert psnr(a, b, 3) == math.inf
    assert ssim(a, b, 3) == pytest.approx(1.0)
    assert psnr(a, b, 2) < 60


def test_images_that_cannot_be_compared() -> None:
    a, b = pair(0)
    for metric in (psnr, ssim):
        with pytest.raises(UserError, match="equal sizes"):
            metric(a, b[1:], 0)
        with pytest.raises(UserError, match="too small"):
            metric(a, b, 20)
    with pytest.raises(UserError, match="too small"):
        ssim(a[:14], b[:14], 2)
    assert math.isfinite(psnr(a[:14], b[:14], 2))


def test_quantize_inverts_the_division_by_255() -> None:
    a, _ = pair(0)
    restored = quantize(a / np.float32(255))
    assert restored.dtype == np.uint8
    assert np.array_equal(restored, a)


def test_quantize_clamps_and_rounds() -> None:
    values = [-1.0, -math.inf, 0.4 / 255, 0.6 / 255, 254.6 / 255, 2.0, math.inf, math.nan]
    assert quantize(np.array([[values]])).tolist() == [[[0, 0, 0, 1, 255, 255, 255, 0]]]


def test_quantize_rounds_as_torch_does() -> None:
    """Also at and beside the values halfway between two levels."""
    halves = (np.arange(256, dtype=np.float32) + np.float32(0.5)) / np.float32(255)
    values = np.concatenate([np.nextafter(halves, np.float32(x)) for x in (0, 1)] + [halves])
    exact = values * np.float32(255) % 1 == 0.5
    assert exact.sum() > 200
    expected = (torch.from_numpy(values).clamp(0, 1) * 255).round().to(torch.uint8)
    assert np.array_equal(quantize(values), expected.numpy())
