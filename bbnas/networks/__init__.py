"""Restoration networks, built from designs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bbnas.binary import BBCU, Unit
from bbnas.design import Design
from bbnas.errors import UserError, class_of
from bbnas.formats import IMPORT
from bbnas.networks.dncnn import DnCNN
from bbnas.networks.parts import RestorationNetwork
from bbnas.networks.srresnet import SRResNet
from bbnas.tasks import Task

__all__ = ["DnCNN", "RestorationNetwork", "SRResNet", "build", "calibrate", "foreign"]


def build(design: Design, task: Task) -> RestorationNetwork:
    """The network of ``design`` for ``task``, its weights drawn from torch's generator.

    Binarized parts that the task's backbone does not have are ignored.
    """
    design = design.fitted(task)
    network: RestorationNetwork
    if task.degradation == "bicubic":
        network = SRResNet(design, task.scale, task.channels)
    else:
        network = DnCNN(design, task.channels)
    start_close_to_the_residuals(network)
    return network


@torch.no_grad()
def start_close_to_the_residuals(network: RestorationNetwork) -> None:
    """Start each unit with a residual at a branch that is small beside its stream [ours].

    A larger branch drowns the image in the first units of the body, and a short training does
    not find it again. BatchNorm's scales start at 0 (Goyal et al. 2017). The latent weights of
    BBCU are multiplied by n/64: mean|W| times the root of the number of taps is the same for
    every width n, but the stream grows with k*, so the factor keeps their ratio at that of the
    paper's 64 channels.
    """
    for unit in network.modules():
        if not isinstance(unit, Unit) or unit.place == "none":
            continue
        if isinstance(unit.norm, nn.BatchNorm2d):
            unit.norm.weight.zero_()
        elif isinstance(unit, BBCU):
            unit.conv.weight.mul_(network.design.width / 64)


def foreign(network: object) -> UserError:
    """The error for what is given as a network and is not one of bbnas."""
    return UserError(
        f"{class_of(network)} is no network of bbnas: give one that bbnas.build or a checkpoint "
        f"makes; of a PyTorch checkpoint, {IMPORT}"
    )


@torch.no_grad()
def calibrate(network: RestorationNetwork, lq: Tensor) -> None:
    """Start the thresholds of a binary tail at the mean of its input, if the input is positive.

    With a threshold of 0 an input that is positive everywhere, such as a ReLU's output, would
    binarize to a constant. ``lq`` is a batch of LQ images, (N, C, H, W).
    """
    layer = next(iter(network.tail.units), None)
    if layer is None or layer.conv.alpha is None:
        return
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    training = network.training
    network.eval()(lq)
    network.train(training)
    hook.remove()
    if bool((seen[0] >= 0).all()):
        layer.conv.alpha.copy_(seen[0].mean((0, 2, 3)))
