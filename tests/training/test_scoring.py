from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import camera

from bbnas.data import Dataset, bicubic_upscale, load_images
from bbnas.design import PRESETS
from bbnas.errors import UserError
from bbnas.metrics import psnr_y, ssim_y
from bbnas.networks import build
from bbnas.training import Recipe, evaluate_checkpoint, score
from bbnas.training.checkpoint import CheckpointInfo, save_checkpoint
from tests.training.test_checkpoint import trained

BENCHMARKS = Path(__file__).resolve().parents[3] / "shared" / "data" / "test"


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="no benchmark images here")
@pytest.mark.parametrize(
    ("name", "task", "psnr", "ssim"),
    [
        ("Set5", "sr4", 28.42, 0.8104),
        ("Set5", "sr2", 33.66, 0.9299),
        ("Set14", "sr4", 26.00, None),
    ],
)
def test_bicubic_gives_the_published_figures(
    name: str, task: str, psnr: float, ssim: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBNAS_DATA", str(BENCHMARKS))
    rows = evaluate_checkpoint("bicubic", name, task)
    assert len(rows) == {"Set5": 6, "Set14": 15}[name]
    assert rows[-1].name == "mean"
    assert round(rows[-1].psnr, 2) == psnr
    if ssim is not None:
        assert round(rows[-1].ssim, 4) == ssim


def test_the_mean_comes_last(dataset: Dataset) -> None:
    *rows, mean = score(lambda lq: bicubic_upscale(lq, 2), "sr2", dataset.train)
    assert [row.name for row in rows] == list(dataset.train.names)
    assert mean.psnr == pytest.approx(np.mean([row.psnr for row in rows]))
    assert mean.ssim == pytest.approx(np.mean([row.ssim for row in rows]))


def test_a_network_is_scored_on_its_rounded_output(dataset: Dataset) -> None:
    """Against the protocol written out by hand, on an HQ image cropped to a multiple of 3."""
    from bbnas.data import bicubic_downscale

    torch.manual_seed(0)
    network = build(PRESETS["bbcu-m"].replace(width=6, depth=2), "sr3").eval()
    row = score(network, "sr3", dataset.validation)[0]
    hq = dataset.validation.images[0]
    hq = hq[: hq.shape[0] // 3 * 3, : hq.shape[1] // 3 * 3]
    lq = torch.from_numpy(bicubic_downscale(hq, 3).astype(np.float32) / 255)
    with torch.no_grad():
        output = network(lq.permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    image = np.round(np.clip(output, 0, 1) * 255).astype(np.uint8)
    assert row.psnr == pytest.approx(psnr_y(image, hq, 3), abs=0.01)
    assert row.ssim == pytest.approx(ssim_y(image, hq, 3), abs=1e-4)


def test_grey_files_are_scored_on_their_values(tmp_path: Path) -> None:
    pixels = camera()[:160, :160]
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    row = score(lambda lq: bicubic_upscale(lq, 2), "sr2", load_images(tmp_path))[0]
    from bbnas.data import bicubic_downscale

    back = bicubic_upscale(bicubic_downscale(pixels, 2), 2)
    error = (back.astype(float) - pixels)[2:-2, 2:-2]
    assert row.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)), abs=1e-6)


def test_scores_of_a_checkpoint(recipe: Recipe, dataset: Dataset, tmp_path: Path) -> None:
    training = trained(recipe, dataset)
    info = CheckpointInfo(recipe=recipe, iteration=4, data="abc", environment={})
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, training, info, state=True)
    folder = Path(recipe.data or "")
    rows = evaluate_checkpoint(path, folder, device="cpu")
    assert rows == score(training.network, "sr2", load_images(folder))
    assert rows == evaluate_checkpoint(path, folder, task="sr2", device="cpu")
    with pytest.raises(UserError, match="was trained for sr2, not sr4"):
        evaluate_checkpoint(path, folder, task="sr4")
    with torch.no_grad():
        training.network.tail.layer.bias.fill_(float("nan"))
    save_checkpoint(path, training, info, state=True)
    with pytest.raises(UserError, match="not finite; choose an earlier checkpoint"):
        evaluate_checkpoint(path, folder)


def test_bicubic_needs_a_task(photographs: Path) -> None:
    with pytest.raises(UserError, match="--task"):
        evaluate_checkpoint("bicubic", photographs)
