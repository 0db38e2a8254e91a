"""Networks in which every parameter changes the output, and comparisons of outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bbnas.cli import main
from bbnas.design import Design
from bbnas.inference.checkpoint import CheckpointInfo
from bbnas.metrics import psnr
from bbnas.networks import RestorationNetwork, build
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.training import Training
from bbnas.training.state import save_checkpoint


def network(design: Design, task: str, seed: int = 0) -> RestorationNetwork:
    """A network as after training: thresholds, biases and statistics differ from their start."""
    torch.manual_seed(seed)
    net = build(design, get_task(task)).eval()
    generator = torch.Generator().manual_seed(seed)

    def noise(like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.rsplit(".", 1)[-1] in {
                "alpha",
                "gamma",
                "beta",
                "zeta",
                "bias",
                "scales",
                "thresholds",
            }:
                parameter.add_(noise(parameter), alpha=0.2)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.weight.mul_(1 + 0.5 * noise(module.weight))  # some of them negative
                module.running_mean += noise(module.running_mean)
                module.running_var.mul_(1 + 20 * noise(module.running_var).abs())
    return net


def _no_batch(iteration: int) -> tuple[torch.Tensor, torch.Tensor]:
    raise AssertionError("nothing is trained")


def saved(design: Design, task: str, folder: Path) -> Path:
    """The checkpoint of such a network."""
    recipe = Recipe(task=task, design=design)
    info = CheckpointInfo(recipe=recipe, iteration=1, data="abc", environment={})
    training = Training(network(design, task), _no_batch, recipe.protocol, "cpu")
    save_checkpoint(folder / "best.safetensors", training, info, moments=False)
    return folder / "best.safetensors"


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run a command in this process; returns exit code, standard output and standard error."""
    code = main([str(word) for word in words])
    return code, *capsys.readouterr()


def picture(net: RestorationNetwork, height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, net.channels), np.uint8)


@torch.inference_mode()
def in_pytorch(net: RestorationNetwork, image: np.ndarray) -> np.ndarray:
    """The network's output for uint8 (H, W, C), as float32 and not clamped."""
    lq = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    return np.ascontiguousarray(net(lq)[0].permute(1, 2, 0).numpy())


def levels(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def assert_same_pixels(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Assert a difference of at most one level of 255, and more than 60 dB."""
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert psnr(ours, theirs) > 60
