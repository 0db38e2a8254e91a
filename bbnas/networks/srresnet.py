"""SRResNet without BatchNorm: super-resolution (paper §4.1; [code])."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from bbnas.binary import BinaryUpsample, unit
from bbnas.design import OWN_BLOCK, Design
from bbnas.networks.parts import Head, RestorationNetwork, Tail, binary_body, conv, one_bit
from bbnas.tasks import Part


class ResidualBlock(nn.Module):
    """conv–ReLU–conv + x, or as many convolutions as ``convs``.

    A body of blocks of one convolution each would be linear, so there ReLU follows it, within the
    residual as in BBCU [ours: the paper's Fig. 5 does not say]. The odd one of a body of pairs has
    none.
    """

    def __init__(self, convs: int, design: Design) -> None:
        super().__init__()
        width = design.width
        self.activated = design.convs_per_block == 1
        self.convs = nn.ModuleList(
            conv(width, width, design, Part.BODY, gain=0.1) for _ in range(convs)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convs[0](x)
        for layer in self.convs[1:]:
            y = layer(F.relu(y))
        return x + (F.relu(y) if self.activated else y)


def body(design: Design) -> nn.Module:
    """``depth`` convolutions n → n; in full precision residual blocks of two, unless the design
    says of how many.
    """
    if one_bit(design, Part.BODY):
        return binary_body(design)
    step = design.convs_per_block or OWN_BLOCK
    sizes = [min(step, design.depth - start) for start in range(0, design.depth, step)]
    return nn.Sequential(*(ResidualBlock(size, design) for size in sizes))


class Upsampling(nn.Module):
    """n → n at ``scale`` times the size: conv n → n·s² and PixelShuffle s (twice 2 for ×4), then
    conv_hr n → n, LeakyReLU 0.1 after each. Binary: BBCU-U, and conv_hr as a BBCU-B unit.
    """

    def __init__(self, scale: int, design: Design) -> None:
        super().__init__()
        width = design.width
        self.steps = (2, 2) if scale == 4 else (scale,)
        self.binary = one_bit(design, Part.UPSAMPLING)
        if self.binary:
            self.up = nn.ModuleList(BinaryUpsample(width, step, design) for step in self.steps)
            self.hr: nn.Module = unit(width, width, design)
        else:
            part = Part.UPSAMPLING
            self.up = nn.ModuleList(
                conv(width, width * step**2, design, part) for step in self.steps
            )
            self.hr = conv(width, width, design, part)

    def forward(self, x: Tensor) -> Tensor:
        for step, layer in zip(self.steps, self.up, strict=True):
            x = layer(x) if self.binary else layer(x, 0.1, step)
        return cast("Tensor", self.hr(x, x) if self.binary else self.hr(x, 0.1))


class SRResNet(RestorationNetwork):
    """×2, ×3 and ×4: the output is added to the bilinearly upsampled LQ image."""

    def __init__(self, design: Design, scale: int, channels: int = 3) -> None:
        super().__init__(design, scale, channels)
        self.head = Head(channels, design, bias=True, slope=0.1)
        self.body = body(design)
        self.upsampling = Upsampling(scale, design)
        self.tail = Tail(channels, design, bias=True)

    @property
    def reach(self) -> int:
        """Head, body, upsampling (at most two convolutions), conv_hr, tail and the skip."""
        return self.design.depth + 6

    def features(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.upsampling(self.body(self.head(x))))

    def residual(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
