"""Networks in which every parameter changes the output, and comparisons of outputs."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from bbnas.binary import Accumulation, BinaryConv2d
from bbnas.cli import main
from bbnas.design import Design
from bbnas.environment import environment_variables
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
            if isinstance(module, BinaryConv2d) and module.gain is not None:
                module.gain.copy_(noise(module.gain))
                module.gain[0] = 0
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.weight.copy_(1 + 0.5 * noise(module.weight))  # some of them negative
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


def in_pytorch(
    net: RestorationNetwork, image: np.ndarray, dtype: torch.dtype = torch.float64
) -> np.ndarray:
    """The network's output for uint8 (H, W, C) by PyTorch alone, not clamped.

    In double precision it is the same on all machines, and what the engine's promise refers to
    (docs/guide/device.md). The library's kernels, which take part in float32, are kept out.
    """
    lq = torch.from_numpy(image).permute(2, 0, 1)[None].to(dtype) / 255
    with environment_variables({"BBNAS_ISA": "torch"}), torch.inference_mode():
        hq = copy.deepcopy(net).to(dtype)(lq)[0]
    return np.ascontiguousarray(hq.permute(1, 2, 0).numpy())


def distances(net: RestorationNetwork, image: np.ndarray) -> np.ndarray:
    """|x − threshold| of all values that ``net`` compares, in double precision.

    Each is relative to the largest value of its feature map and of its thresholds.
    """
    double, found = copy.deepcopy(net).double(), []

    def note(x: torch.Tensor, threshold: torch.Tensor) -> None:
        largest = x.abs().max() + threshold.abs().max()
        found.append(((x - threshold).abs() / largest.clamp_min(1e-30)).flatten())

    def of_conv(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        alpha = torch.zeros(1) if module.alpha is None else module.alpha
        gain = torch.ones(1) if module.gain is None else module.gain
        note(given[0] * gain.view(1, -1, 1, 1), alpha.view(1, -1, 1, 1))

    def of_sums(module: torch.nn.Module, given: tuple[list[torch.Tensor]]) -> None:
        for x, threshold in zip(given[0], module.thresholds, strict=True):
            note(x, threshold)

    for module in double.modules():
        if isinstance(module, BinaryConv2d):
            module.register_forward_pre_hook(of_conv)
        elif isinstance(module, Accumulation):
            module.register_forward_pre_hook(of_sums)
    lq = torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255
    with torch.inference_mode():
        double(lq)
    return torch.cat(found).numpy() if found else np.ones(1)


# A value at a smaller distance (but 0, which is exact) may lie on either side of its threshold.
ROUNDING = 1e-5


def in_doubt(net: RestorationNetwork, image: np.ndarray) -> bool:
    """Whether rounding may change a bit of ``net`` on this image."""
    found = distances(net, image)
    return bool(((found > 0) & (found < ROUNDING)).any())


def levels(values: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def assert_same_pixels(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Assert a difference of at most one level of 255, and more than 60 dB."""
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert psnr(ours, theirs) > 60


# Networks that use the operations of the space `device`: (task, changes of the design).
BUILT: tuple[tuple[str, dict[str, object]], ...] = (
    ("sr4", {"upsampler": "direct", "tail_kernel": 1}),
    ("sr3", {"upsampler": "one_step", "hr_width": 0.5, "head_kernel": 1}),
    ("denoise25", {"unshuffle": 2, "head_width": 0.5}),
)
