"""SRResNet without BatchNorm in four parts, any of them 1-bit (paper §3.2, Fig. 3).

x → head H → body B → upsampling U → tail T, plus the bilinearly upsampled x. Residual alignment
(Eq. 8): the network works on k·x, and its output is divided by k.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbnas.binary import BinaryConv2d, BinaryUnit, BinaryUpsample
from bbnas.design import Design, Part

# Mean of natural images in RGB, 0..1 (DIV2K): where the thresholds of a binary head start, since
# with α = 0 every pixel of a positive image would binarize to +1.
RGB_MEAN = (0.4488, 0.4371, 0.4040)


def conv(c_in: int, c_out: int, gain: float = 1.0) -> nn.Conv2d:
    """A full-precision 3×3 convolution; ``gain`` multiplies its first weights (EDSR's 0.1)."""
    layer = nn.Conv2d(c_in, c_out, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=0.1)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.mul_(gain)
        layer.bias.zero_()
    return layer


def repeat_channels(x: Tensor, channels: int) -> Tensor:
    """BBCU-H's residual: each channel ⌊n/3⌋ times, the first ones again to fill n."""
    times, rest = divmod(channels, int(x.shape[1]))  # a tensor when traced
    return torch.cat([x.repeat_interleave(times, dim=1), x[:, :rest]], dim=1)


class Head(nn.Module):
    """image channels → n. Binary: BBCU-H, its residual the image repeated to n channels."""

    def __init__(self, channels: int, design: Design) -> None:
        super().__init__()
        self.width = design.width
        self.layer: nn.Module
        if design.binary(Part.HEAD):
            self.layer = BinaryUnit(channels, design.width, design)
            with torch.no_grad():
                self.layer.conv.alpha.copy_(torch.tensor(RGB_MEAN[:channels]) * design.k)
        else:
            self.layer = conv(channels, design.width)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.layer, BinaryUnit):
            return cast("Tensor", self.layer(x, repeat_channels(x, self.width)))
        return F.leaky_relu(self.layer(x), 0.1)


class ResidualBlock(nn.Module):
    """Full precision: conv–ReLU–conv + x; one convolution when ``convs`` is 1."""

    def __init__(self, width: int, convs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv(width, width, gain=0.1) for _ in range(convs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.convs[0](x)
        for layer in self.convs[1:]:
            y = layer(F.relu(y))
        return cast("Tensor", x + y)


class BinaryBlock(nn.Module):
    """BBCU-B units under one residual; ``residual=False`` for none."""

    def __init__(self, units: int, residual: bool, design: Design) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            BinaryUnit(design.width, design.width, design) for _ in range(units)
        )
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for unit in self.units[:-1]:
            y = unit(y)
        return cast("Tensor", self.units[-1](y, x if self.residual else None))


def body(design: Design) -> nn.Sequential:
    """``depth`` convolutions n → n in blocks with one residual each; the last may be short."""
    binary = design.binary(Part.BODY)
    span = (design.convs_per_residual or design.depth) if binary else 2
    sizes = [min(span, design.depth - start) for start in range(0, design.depth, span)]
    if not binary:
        return nn.Sequential(*(ResidualBlock(design.width, size) for size in sizes))
    adds = design.convs_per_residual > 0
    return nn.Sequential(*(BinaryBlock(size, adds, design) for size in sizes))


class Upsampling(nn.Module):
    """n → n at ``scale`` times the size: conv n → n·s² and PixelShuffle s (twice 2 for ×4), then
    conv_hr n → n, LeakyReLU 0.1 after each. Binary: BBCU-U, and conv_hr as a BBCU-B unit.
    """

    def __init__(self, scale: int, design: Design) -> None:
        super().__init__()
        width = design.width
        self.steps = (2, 2) if scale == 4 else (scale,)
        self.binary = design.binary(Part.UPSAMPLING)
        if self.binary:
            self.up = nn.ModuleList(BinaryUpsample(width, step, design) for step in self.steps)
            self.hr: nn.Module = BinaryUnit(width, width, design)
        else:
            self.up = nn.ModuleList(conv(width, width * step**2) for step in self.steps)
            self.hr = conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        for step, layer in zip(self.steps, self.up, strict=True):
            x = layer(x) if self.binary else F.leaky_relu(F.pixel_shuffle(layer(x), step), 0.1)
        return cast("Tensor", self.hr(x, x) if self.binary else F.leaky_relu(self.hr(x), 0.1))


class Tail(nn.Module):
    """n → image channels, added to the upsampled image.

    Binary: BBCU-T, whose residual is the upsampled LQ image. That is what the network's global
    skip adds as well; the two are one connection here, since added twice the output would start
    at twice the image [ours].
    """

    def __init__(self, channels: int, design: Design) -> None:
        super().__init__()
        self.layer: nn.Module
        if design.binary(Part.TAIL):
            self.layer = BinaryUnit(design.width, channels, design)
        else:
            self.layer = conv(design.width, channels, gain=0.1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if isinstance(self.layer, BinaryUnit):
            return cast("Tensor", self.layer(x, skip))
        return cast("Tensor", self.layer(x) + skip)


class SRResNet(nn.Module):
    """LQ (N, C, H, W) in 0..1 → HQ (N, C, s·H, s·W), not clamped."""

    def __init__(self, design: Design, scale: int, channels: int = 3) -> None:
        super().__init__()
        self.design, self.scale = design, scale
        self.head = Head(channels, design)
        self.body = body(design)
        self.upsampling = Upsampling(scale, design)
        self.tail = Tail(channels, design)

    def forward(self, x: Tensor) -> Tensor:
        # Channels last: convolution and per-channel arithmetic are both faster on a CPU.
        x = (x * self.design.k).contiguous(memory_format=torch.channels_last)
        skip = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        y = self.upsampling(self.body(self.head(x)))
        return cast("Tensor", self.tail(y, skip) / self.design.k)

    def set_progress(self, progress: float) -> None:
        """Tell the estimators how much of training is done, e/E in 0..1 (EDE)."""
        for module in self.modules():
            if isinstance(module, BinaryConv2d):
                module.progress = progress
