from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shared import BENCHMARKS, needs_benchmarks
from skimage.color import rgb2ycbcr
from skimage.data import camera
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from bbnas.data import Dataset, ImageSet, find_benchmark, load_images
from bbnas.errors import UserError
from bbnas.inference import score, skip_psnr
from bbnas.inference.scoring import Score, difference, score_baseline
from bbnas.networks import build
from bbnas.presets import load_design
from bbnas.tasks import TASKS, get_task
from tests.data.test_degradation import resize


@needs_benchmarks
@pytest.mark.parametrize(
    ("baseline", "task", "name", "psnr", "ssim"),
    [
        ("bicubic", "sr2", "Set5", 33.66, 0.9299),
        ("bicubic", "sr3", "Set5", 30.39, 0.8682),
        ("bicubic", "sr4", "Set5", 28.42, 0.8104),
        ("bicubic", "sr2", "Set14", 30.24, None),
        ("bicubic", "sr3", "Set14", 27.55, None),
        ("bicubic", "sr4", "Set14", 26.00, None),
        ("identity", "jpeg10", "Classic5", 27.82, None),
    ],
)
def test_baselines_give_the_published_figures(
    baseline: str, task: str, name: str, psnr: float, ssim: float | None
) -> None:
    *rows, mean = score_baseline(baseline, get_task(task), find_benchmark(name, BENCHMARKS))
    assert len(rows) == {"Set5": 5, "Set14": 14, "Classic5": 5}[name]
    assert mean.name == "mean"
    assert mean.psnr == pytest.approx(psnr, abs=0.01)
    if ssim is not None:
        assert round(mean.ssim, 4) == ssim


def published(channels: int, seed: int) -> nn.Module:
    """A network as others write it: convolutions with biases, BatchNorm, a residual."""
    torch.manual_seed(seed)

    class Residual(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - super().forward(x)

    return Residual(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, channels, 3, padding=1),
    )


def rounded(output: torch.Tensor) -> np.ndarray:
    image = output.detach()[0].permute(1, 2, 0).numpy()
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]


def similarity(a: np.ndarray, b: np.ndarray, **options: object) -> float:
    return structural_similarity(
        a,
        b,
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        **options,
    )


def test_denoising_by_hand(dataset: Dataset) -> None:
    """Over RGB, by scikit-image; SSIM is the mean of the channels."""
    model = published(3, 0)
    row = score(model, get_task("denoise25"), dataset.validation)[0]
    hq = dataset.validation.images[0]
    noise = np.random.RandomState(0).normal(0, 25 / 255, hq.shape)
    output = rounded(model.eval()(tensor(np.float32(hq / 255.0) + noise)))
    assert row.psnr == pytest.approx(peak_signal_noise_ratio(hq, output, data_range=255), abs=1e-3)
    assert row.ssim == pytest.approx(similarity(hq, output, channel_axis=2), abs=1e-5)


def test_deblocking_by_hand(dataset: Dataset, tmp_path: Path) -> None:
    """On 8-bit Y, by Pillow and scikit-image."""
    model = published(1, 0)
    row = score(model, get_task("jpeg10"), dataset.validation)[0]
    y = np.round(rgb2ycbcr(dataset.validation.images[0])[..., 0]).astype(np.uint8)
    Image.fromarray(y).save(tmp_path / "y.jpg", quality=10)
    lq = np.asarray(Image.open(tmp_path / "y.jpg"))[..., None] / 255
    output = rounded(model.eval()(tensor(lq)))[..., 0]
    assert row.psnr == pytest.approx(peak_signal_noise_ratio(y, output, data_range=255), abs=1e-3)
    assert row.ssim == pytest.approx(similarity(y, output), abs=1e-5)


def test_super_resolution_by_hand(dataset: Dataset) -> None:
    """On Y, 3 pixels cut from each border, of an HQ image cropped to a multiple of 3."""
    torch.manual_seed(0)
    network = build(
        load_design("bbcu-m", get_task("sr3")).replace(width=6, depth=2), get_task("sr3")
    ).eval()
    row = score(network, get_task("sr3"), dataset.validation, side=62)[0]
    hq = dataset.validation.images[0]
    top, left = ((length - 62) // 2 for length in hq.shape[:2])
    hq = hq[top : top + 60, left : left + 60]
    lq = np.dstack([resize(hq[..., c], 20, 20) for c in range(3)])
    output = rounded(network(tensor(lq / 255)))
    a, b = (rgb2ycbcr(image)[3:-3, 3:-3, 0] for image in (hq, output))
    assert row.psnr == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=0.01)
    assert row.ssim == pytest.approx(similarity(a, b), abs=1e-4)


def test_grey_files_are_scored_on_their_values(tmp_path: Path) -> None:
    pixels = camera()[:160, :160]
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    images = load_images(tmp_path)
    black = score(lambda lq: torch.zeros(1, 3, 160, 160), get_task("sr2"), images)[0]
    inside = pixels[2:-2, 2:-2].astype(float)
    assert black.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(inside**2)), abs=1e-6)
    black = score(torch.zeros_like, get_task("jpeg40"), images)[0]
    values = pixels.astype(float)
    assert black.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(values**2)), abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_scores_its_networks_and_its_skip(task: str, dataset: Dataset) -> None:
    design = load_design("bbcu", get_task(task)).replace(width=6, depth=2)
    torch.manual_seed(0)
    *rows, mean = score(build(design, get_task(task)), get_task(task), dataset.validation, side=64)
    assert [row.name for row in rows] == list(dataset.validation.names)
    assert mean.psnr == pytest.approx(np.mean([row.psnr for row in rows]))
    assert mean.ssim == pytest.approx(np.mean([row.ssim for row in rows]))
    assert 10 < skip_psnr(get_task(task), dataset.validation, 64) < 60


def test_the_skip_is_the_lq_image_or_bilinear(dataset: Dataset) -> None:
    for task in ("denoise50", "jpeg20"):
        identity = score_baseline("identity", get_task(task), dataset.validation)[-1].psnr
        assert skip_psnr(get_task(task), dataset.validation) == identity
    flat = ImageSet.from_arrays(["flat"], [np.full((40, 40, 3), 90, np.uint8)])
    assert skip_psnr(get_task("sr4"), flat) == np.inf
    ramp = np.arange(40, dtype=np.uint8).repeat(40).reshape(40, 40).repeat(3).reshape(40, 40, 3)
    assert skip_psnr(get_task("sr2"), ImageSet.from_arrays(["ramp"], [ramp * 6])) > 40


def test_large_images_are_seen_in_tiles_and_scored_as_whole() -> None:
    net = build(
        load_design("dncnn", get_task("denoise15")).replace(width=4, depth=1),
        get_task("denoise15"),
    )
    image = np.random.default_rng(0).integers(0, 256, (1200, 300, 3), np.uint8)
    images = ImageSet.from_arrays(["large"], [image])
    sides = []
    hook = net.register_forward_pre_hook(lambda _, args: sides.append(max(args[0].shape[2:])))
    tiled = score(net, get_task("denoise15"), images)[0]
    assert max(sides) <= 1024
    hook.remove()
    whole = score(net, get_task("denoise15"), images, tile=2000)[0]
    assert tiled.psnr == pytest.approx(whole.psnr, abs=1e-4)
    assert tiled.ssim == pytest.approx(whole.ssim, abs=1e-6)
    plain = score(net.forward, get_task("denoise15"), images, tile=200, reach=net.reach)[0]
    assert plain.psnr == pytest.approx(whole.psnr, abs=1e-4)


def test_models_that_do_not_fit(dataset: Dataset) -> None:
    net = build(load_design("bbcu-m", get_task("sr2")).replace(width=6, depth=2), get_task("sr2"))
    with pytest.raises(UserError, match="cannot be scored on sr4"):
        score(net, get_task("sr4"), dataset.validation)
    with pytest.raises(UserError, match="must return a tensor of"):
        score(lambda lq: lq, get_task("sr2"), dataset.validation)
    with pytest.raises(FloatingPointError, match="not finite"):
        score(lambda lq: lq / 0, get_task("jpeg10"), dataset.validation)
    with pytest.raises(UserError, match="bicubic is no baseline of jpeg10: use identity"):
        score_baseline("bicubic", get_task("jpeg10"), dataset.validation)


def test_the_difference_of_two_models_is_paired_by_image() -> None:
    """Against Student's t as a table prints it: 4.303 for two degrees of freedom."""
    first = [Score(name, psnr, 0.9) for name, psnr in (("a", 30.0), ("b", 25.5), ("c", 28.0))]
    second = [Score(name, psnr, 0.9) for name, psnr in (("a", 29.9), ("b", 25.2), ("c", 27.8))]
    found = difference([*first, Score("mean", 99.0, 1.0)], second)
    assert found.images == 3
    assert found.psnr == pytest.approx(0.2)
    assert found.high - found.psnr == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)
    assert found.psnr - found.low == pytest.approx(found.high - found.psnr)
    assert math.isnan(difference(first[:1], second[:1]).low)
    with pytest.raises(ValueError, match="other images"):
        difference(first, second[::-1])
