"""Designs to networks."""

from __future__ import annotations

import torch
from torch import Tensor

from bbnas.binary import BinaryUnit
from bbnas.design import Design, Part
from bbnas.networks.srresnet import SRResNet
from bbnas.tasks import Task, get_task

__all__ = ["SRResNet", "build", "calibrate"]


def build(design: Design, task: str | Task) -> SRResNet:
    """The network of ``design`` for ``task``, freshly initialised from torch's generator.

    Raises:
        UserError: an unknown task.
    """
    task = get_task(task) if isinstance(task, str) else task
    return SRResNet(design.canonical(), task.scale, task.channels)


@torch.no_grad()
def calibrate(network: SRResNet, lq: Tensor) -> None:
    """Start the thresholds of a binary tail at the mean of what it sees, if that is positive.

    A threshold of 0 would turn a positive input, as a ReLU leaves it, into a constant. ``lq`` is
    a batch (N, C, H, W).
    """
    if not network.design.binary(Part.TAIL):
        return
    unit = network.tail.layer
    assert isinstance(unit, BinaryUnit)
    seen: list[Tensor] = []
    hook = unit.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    training = network.training
    network.eval()(lq)
    network.train(training)
    hook.remove()
    if bool((seen[0] >= 0).all()):
        unit.conv.alpha.copy_(seen[0].mean((0, 2, 3)))
