"""Networks whose every parameter matters, and what to compare of two outputs."""

from __future__ import annotations

from pathlib import Path

import torch

from bbnas.design import Design
from bbnas.inference.checkpoint import CheckpointInfo
from bbnas.networks import RestorationNetwork, build
from bbnas.recipe import Recipe
from bbnas.tasks import get_task
from bbnas.training import Training
from bbnas.training.state import save_checkpoint


def network(design: Design, task: str, seed: int = 0) -> RestorationNetwork:
    """As after a training: thresholds, biases and statistics are not at their start."""
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
