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
from bbnas.metrics import psnr_y, quantize, ssim_y, to_y

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
    np.testing.assert_array_equal(to_y(values), values)


@given(SEEDS, st.integers(0, 8))
def test_psnr_is_that_of_scikit_image(seed: int, crop: int) -> None:
    a, b = pair(seed)
    inside = np.s_[crop : 40 - crop, crop : 52 - crop]
    y_a, y_b = rgb2ycbcr(a)[..., 0][inside], rgb2ycbcr(b)[..., 0][inside]
    expected = peak_signal_noise_ratio(y_a, y_b, data_range=255)
    assert psnr_y(a, b, crop) == pytest.approx(expected, abs=1e-9)


@given(SEEDS, st.integers(0, 8), st.booleans())
def test_ssim_is_that_of_scikit_image(seed: int, crop: int, grey: bool) -> None:
    a, b = pair(seed)
    inside = np.s_[crop : 40 - crop, crop : 52 - crop]
    expected = structural_similarity(
        to_y(a, grey)[inside],
        to_y(b, grey)[inside],
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim_y(a, b, crop, grey) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_a_known_error() -> None:
    a = np.full((12, 12, 3), 100, np.uint8)
    assert psnr_y(a, a + np.uint8(10), 2, grey=True) == pytest.approx(10 * math.log10(650.25))
    assert psnr_y(a, a, 2) == math.inf
    assert ssim_y(a, a, 0) == 1.0


def test_only_what_is_inside_the_border_counts() -> None:
    a, _ = pair(0)
    b = a.copy()
    b[:3] = b[-3:] = 0
    b[:, :3] = b[:, -3:] = 0
    assert psnr_y(a, b, 3) == math.inf
    assert ssim_y(a, b, 3) == pytest.approx(1.0)
    assert psnr_y(a, b, 2) < 60


def test_images_that_cannot_be_compared() -> None:
    a, b = pair(0)
    for metric in (psnr_y, ssim_y):
        with pytest.raises(UserError, match="equal sizes"):
            metric(a, b[1:], 0)
        with pytest.raises(UserError, match="too small"):
            metric(a, b, 20)
    with pytest.raises(UserError, match="too small"):
        ssim_y(a[:14], b[:14], 2)
    assert math.isfinite(psnr_y(a[:14], b[:14], 2))


def test_quantize_inverts_the_division_by_255() -> None:
    a, _ = pair(0)
    restored = quantize(torch.from_numpy(a).permute(2, 0, 1).float() / 255)
    assert restored.dtype == np.uint8
    assert np.array_equal(restored, a)


def test_quantize_clamps_and_rounds() -> None:
    values = torch.tensor([-1.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 2.0, math.inf, math.nan])
    image = values.repeat(3, 1).reshape(3, 1, 7).requires_grad_()
    assert quantize(image)[0, :, 0].tolist() == [0, 0, 1, 255, 255, 255, 0]
