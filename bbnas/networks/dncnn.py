"""DnCNN (Zhang et al. 2017): denoising in colour, and deblocking on Y (DnCNN-3)."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.networks.parts import (
    Head,
    RestorationNetwork,
    Tail,
    binary_body,
    body_channels,
    conv,
    grouped_body,
    one_bit,
)  # fmt: skip
from bbnas.tasks import Part


class ConvBlock(nn.Module):
    """ReLU(BN(conv(x))), bias-free: one layer of the full-precision body."""

    def __init__(self, c_in: int, design: Design) -> None:
        super().__init__()
        self.conv = conv(c_in, design.width, design, Part.BODY, bias=False)
        self.norm = nn.BatchNorm2d(design.width)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.activation(self.norm(self.conv(x))))


def body(design: Design, c_in: int) -> nn.Module:
    """``depth`` convolutions c_in → n and n → n, in full precision each with BatchNorm and ReLU.

    Raises:
        UserError: the design sets ``convs_per_block``, and DnCNN has no residual blocks.
    """
    if one_bit(design, Part.BODY):
        return binary_body(design, c_in)
    if design.convs_per_block is not None:
        raise UserError(
            f"convs_per_block = {design.convs_per_block}: DnCNN has no residual blocks; leave it "
            "out, or use a super-resolution task"
        )
    inputs = [c_in, *[design.width] * (design.depth - 1)]
    return nn.Sequential(*(ConvBlock(c, design) for c in inputs))


class DnCNN(RestorationNetwork):
    """Without upsampling: the output is the LQ image plus the tail's output.

    As in the authors' code the 1-bit network in colour is bias-free. DnCNN-3, on one channel, and
    the full-precision network have biases in head and tail. Theirs have one before each RPReLU
    and BatchNorm of the body too, which γ and the normalisation's own term contain.

    The paper writes x − net(x). The sign of the last convolution is free, so x + net(x) is the
    same family of networks.

    With ``unshuffle`` the head reads a PixelUnshuffle of the image, whose last row and column are
    repeated where its sides are odd, and the tail ends in a PixelShuffle (FFDNet; Zhang et al.
    2018).
    """

    def __init__(self, design: Design, channels: int) -> None:
        factor = design.unshuffle
        super().__init__(design, 1, channels, factor)
        bias = channels == 1 or not design.binarize
        self.head = Head(channels * factor**2, design, bias=bias, activation=nn.ReLU())
        self.body = grouped_body(design, body)
        self.tail = Tail(body_channels(design), channels, design, bias=bias, shuffle=factor)

    def features(self, x: Tensor) -> Tensor:
        if self.step > 1:
            missing = [-int(side) % self.step for side in x.shape[2:]]
            if any(missing):
                x = F.pad(x, (0, missing[1], 0, missing[0]), mode="replicate")
            x = F.pixel_unshuffle(x, self.step)
        return super().features(x)

    @property
    def reach(self) -> int:
        """Head, body and tail, each over ``step`` pixels, and the pixels of one grid point."""
        return (self.design.depth + 2) * self.step + self.step - 1
