"""Designs to networks."""

from __future__ import annotations

import torch
from torch import Tensor

from bbnas.binary import BinaryUnit
from bbnas.design import Design
from bbnas.networks.dncnn import DnCNN
from bbnas.networks.parts import RestorationNetwork
from bbnas.networks.srresnet import SRResNet
from bbnas.tasks import Task

__all__ = ["DnCNN", "RestorationNetwork", "SRResNet", "build", "calibrate"]


def build(design: Design, task: Task) -> RestorationNetwork:
    """The network of ``design`` for ``task``, freshly initialised from torch's generator.

    Binarized parts that the task's backbone lacks are passed over.
    """
    design = design.fitted(task)
    if task.degradation == "bicubic":
        return SRResNet(design, task.scale, task.channels)
    return DnCNN(design, task.channels)


@torch.no_grad()
def calibrate(network: RestorationNetwork, lq: Tensor) -> None:
    """Start the thresholds of a binary tail at the mean of what it sees, if that is positive.

    A threshold of 0 would turn a positive input, as a ReLU leaves it, into a constant. ``lq`` is
    a batch (N, C, H, W).
    """
    layer = network.tail.layer
    if not isinstance(layer, BinaryUnit) or layer.conv.alpha is None:
        return
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    training = network.training
    network.eval()(lq)
    network.train(training)
    hook.remove()
    if bool((seen[0] >= 0).all()):
        layer.conv.alpha.copy_(seen[0].mean((0, 2, 3)))
