"""The BBCU unit written down from the paper: the peer of ``bbnas bench train``.

It uses plain PyTorch operations, and masks for sgn's gradient as public binary-network code does.
The tests compare the fast unit with it; the benchmark measures how much faster the fast unit is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TranscribedUnit(nn.Module):
    """BBCU-V4 (n → n): RPReLU(sgn(x − α) ⊛ mean|W|·sgn(W)) + x, (N, n, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        shape = (1, channels, 1, 1)
        self.alpha = nn.Parameter(torch.zeros(shape))
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3).uniform_(-0.1, 0.1))
        self.gamma = nn.Parameter(torch.zeros(shape))
        self.beta = nn.Parameter(torch.full((channels,), 0.25))
        self.zeta = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(self._sgn(x - self.alpha), self._binary_weight(), padding=1)
        return F.prelu(y - self.gamma, self.beta) + self.zeta + x

    @staticmethod
    def _sgn(t: Tensor) -> Tensor:
        """Forward sgn; backward Eq. 6, the derivative of a piecewise quadratic."""
        binary = torch.where(t > 0, 1.0, -1.0)
        below, negative, inside = (t < -1).float(), (t < 0).float(), (t < 1).float()
        out = -1 * below + (t * t + 2 * t) * (1 - below)
        out = out * negative + (-t * t + 2 * t) * (1 - negative)
        out = out * inside + 1 * (1 - inside)
        return binary.detach() - out.detach() + out

    def _binary_weight(self) -> Tensor:
        """Forward mean|W_o|·sgn(W); backward clip, with the scale detached (Eq. 3)."""
        weight = self.weight
        scale = weight.abs().mean((1, 2, 3), keepdim=True).detach()
        binary = scale * torch.where(weight > 0, 1.0, -1.0)
        clipped = weight.clamp(-1.0, 1.0)
        return binary.detach() - clipped.detach() + clipped
