"""Restoration networks, built from designs."""

from __future__ import annotations

import torch
from torch import Tensor

from bbnas.binary import Unit
from bbnas.design import Design
from bbnas.networks.dncnn import DnCNN
from bbnas.networks.parts import RestorationNetwork
from bbnas.networks.srresnet import SRResNet
from bbnas.tasks import Task

__all__ = ["DnCNN", "RestorationNetwork", "SRResNet", "build", "calibrate"]


def build(design: Design, task: Task) -> RestorationNetwork:
    """The network of ``design`` for ``task``, its weights drawn from torch's generator.

    Binarized parts that the task's backbone does not have are ignored.
    """
    design = design.fitted(task)
    if task.degradation == "bicubic":
        return SRResNet(design, task.scale, task.channels)
    return DnCNN(design, task.channels)


@torch.no_grad()
def calibrate(network: RestorationNetwork, lq: Tensor) -> None:
    """Start the thresholds of a binary tail at the mean of its input, if the input is positive.

    With a threshold of 0 an input that is positive everywhere, such as a ReLU's output, would
    binarize to a constant. ``lq`` is a batch of LQ images, (N, C, H, W).
    """
    layer = network.tail.layer
    if not isinstance(layer, Unit) or layer.conv.alpha is None:
        return
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    training = network.training
    network.eval()(lq)
    network.train(training)
    hook.remove()
    if bool((seen[0] >= 0).all()):
        layer.conv.alpha.copy_(seen[0].mean((0, 2, 3)))
