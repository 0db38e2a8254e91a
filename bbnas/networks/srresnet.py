"""SRResNet without BatchNorm, for super-resolution (paper §4.1; the authors' code)."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from bbnas.binary import BinaryUpsample, Unit, unit
from bbnas.binary.functions import repeat_channels
from bbnas.design import OWN_BLOCK, Design
from bbnas.networks.parts import (
    SMALL,
    Head,
    Layer,
    RestorationNetwork,
    Tail,
    binary_body,
    body_channels,
    conv,
    grouped_body,
    one_bit,
)
from bbnas.tasks import Part

SLOPE = 0.1  # of the LeakyReLU of head and upsampling, as in the authors' code


class ResidualBlock(nn.Module):
    """x + conv–ReLU–conv, or as many convolutions as ``convs`` with a ReLU between them.

    A body of blocks of one convolution each would be linear. There a ReLU follows the convolution,
    inside the residual as in BBCU [ours: the paper's Fig. 5 does not say]. A body of pairs with an
    odd number of convolutions ends in a block of one without ReLU. If the block reads another
    number of channels than it makes, its residual is ``repeat_channels(x, n)``.
    """

    def __init__(self, c_in: int, convs: int, design: Design) -> None:
        super().__init__()
        self.c_in, self.channels = c_in, design.width
        relus = convs if design.convs_per_block == 1 else convs - 1
        self.convs = nn.ModuleList(
            conv(
                design.width if index else c_in,
                design.width,
                design,
                Part.BODY,
                gain=SMALL,
                activation=nn.ReLU() if index < relus else None,
            )
            for index in range(convs)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.convs:
            y = layer(y)
        return y + (x if self.c_in == self.channels else repeat_channels(x, self.channels))


def body(design: Design, c_in: int) -> nn.Module:
    """``depth`` convolutions c_in → n and n → n.

    In full precision they form residual blocks of two convolutions, or of
    ``design.convs_per_block``.
    """
    if one_bit(design, Part.BODY):
        return binary_body(design, c_in)
    step = design.convs_per_block or OWN_BLOCK
    sizes = [min(step, design.depth - start) for start in range(0, design.depth, step)]
    inputs = [c_in, *[design.width] * (len(sizes) - 1)]
    blocks = (ResidualBlock(c, size, design) for c, size in zip(inputs, sizes, strict=True))
    return nn.Sequential(*blocks)


class Upsampling(nn.Module):
    """(N, n, H, W) → (N, m, s·H, s·W): conv n → m·s², LeakyReLU and PixelShuffle s, then conv_hr.

    ×4 is twice ×2. conv_hr is a convolution m → m with a LeakyReLU. Binary: BBCU-U for each
    PixelShuffle, and a BBCU-B unit for conv_hr, whose LeakyReLU stays, as in the authors' code.

    ``one_step`` has one PixelShuffle and no conv_hr, ``direct`` nothing, so x stays as it is.
    """

    def __init__(self, width: int, scale: int, design: Design) -> None:
        super().__init__()
        self.channels, part = width, Part.UPSAMPLING
        self.up, self.hr = nn.ModuleList(), cast("Unit | Layer | None", None)
        if design.upsampler == "direct":
            return
        steps = design.upsampler == "steps"
        binary, leaky = one_bit(design, part), nn.LeakyReLU(SLOPE)
        wide = design.hr_channels
        for s in (2, 2) if steps and scale == 4 else (scale,):
            self.up.append(
                BinaryUpsample(self.channels, wide, s, design)
                if binary
                else conv(
                    self.channels,
                    wide * s**2,
                    design,
                    part,
                    gain=SMALL,
                    activation=leaky,
                    shuffle=s,
                )
            )
            self.channels = wide
        if steps and binary:
            self.hr = unit(wide, wide, design)
        elif steps:
            self.hr = conv(wide, wide, design, part, gain=SMALL, activation=leaky)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.up:
            x = layer(x)
        if self.hr is None:
            return x
        if isinstance(self.hr, Unit):
            return F.leaky_relu(self.hr(x, x), SLOPE)
        return cast("Tensor", self.hr(x))


class SRResNet(RestorationNetwork):
    """×2, ×3 or ×4: the output is added to the bilinearly upsampled LQ image."""

    def __init__(self, design: Design, scale: int, channels: int = 3) -> None:
        super().__init__(design, scale, channels)
        self.head = Head(channels, design, bias=True, activation=nn.LeakyReLU(SLOPE), gain=SMALL)
        self.body = grouped_body(design, body)
        self.upsampling = Upsampling(body_channels(design), scale, design)
        shuffle = scale if design.upsampler == "direct" else 1
        self.tail = Tail(self.upsampling.channels, channels, design, bias=True, shuffle=shuffle)

    @property
    def reach(self) -> int:
        """Head, body, upsampling (at most two convolutions), conv_hr, tail and the skip."""
        return self.design.depth + 6

    def features(self, x: Tensor) -> Tensor:
        return cast("Tensor", self.upsampling(self.body(self.head(x))))

    def residual(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
