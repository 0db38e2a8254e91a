"""The exponential moving average of a network in training (Kingma & Ba 2015, §7.2)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from bbnas.networks import RestorationNetwork


class Average:
    """``network`` averages each tensor of ``latest``: m ← d·m + (1 − d)·w from 0, over 1 − dᵗ.

    d is ``decay``, t = 1, 2, … the step; 1 − dᵗ is the sum of the weights so far, so the values
    at the start of the training have no part in it. Latent weights are averaged before they are
    binarized. BatchNorm's running statistics are averaged as the weights are, since those of the
    last batches are of the last weights.
    """

    def __init__(self, latest: RestorationNetwork, decay: float) -> None:
        self.network = copy.deepcopy(latest)
        self.decay = decay
        both = (self.network.state_dict().values(), latest.state_dict().values())
        pairs = list(zip(*both, strict=True))
        real = [pair for pair in pairs if pair[0].is_floating_point()]
        self._means, self._values = ([pair[side] for pair in real] for side in (0, 1))
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the latest values in, after step ``step``, counted from 1."""
        weight = (1 - self.decay) / (1 - self.decay**step)
        torch._foreach_lerp_(self._means, self._values, weight)
        for mean, value in self._counts:  # BatchNorm's numbers of batches
            mean.copy_(value)
