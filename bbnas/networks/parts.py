"""The parts that backbones share, each 1-bit or not, and the network that they make up.

x → head H → body B → upsampling U (if there is any) → tail T, which adds its residual (paper
§3.2, Fig. 3). A design of method ``ma`` binarizes weights alone: its parts are the backbone's own
with other convolutions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from bbnas.binary import (
    Accumulation,
    BinaryConv2d,
    BinaryUnit,
    BinaryWeightConv2d,
    Conv3x3,
    Unit,
    residual_span,
    unit,
)
from bbnas.binary.kernels import Step, native, run_chain
from bbnas.design import Design
from bbnas.tasks import Part

# Mean and standard deviation of natural images, 0..1 (DIV2K), and of their Y of BT.601. Where
# the thresholds of a binary head start, since with α = 0 every pixel of a positive image would
# binarize to +1, and what BTM standardises by.
RGB_MEAN, RGB_STD = (0.4488, 0.4371, 0.4040), (0.2845, 0.2701, 0.2920)
Y_MEAN, Y_STD = (0.4379,), (0.2340,)


def image_mean(channels: int) -> Tensor:
    """Of natural images: of RGB for 3 channels, of Y for 1."""
    return torch.tensor(RGB_MEAN if channels == 3 else Y_MEAN)


def one_bit(design: Design, part: Part) -> bool:
    """Whether the part is made of units, activations 1-bit; not so where only weights are."""
    return design.binary(part) and design.method != "ma"


def conv(
    c_in: int, c_out: int, design: Design, part: Part, *, bias: bool = True, gain: float = 1.0
) -> Conv3x3 | BinaryWeightConv2d:
    """A 3×3 convolution of full-precision activations, its weights 1-bit if the part is binarized.

    ``gain`` multiplies its first weights (EDSR's 0.1).
    """
    layer: Conv3x3 | BinaryWeightConv2d
    if design.binary(part):
        layer = BinaryWeightConv2d(c_in, c_out, bias=bias)
    else:
        layer = Conv3x3(c_in, c_out, bias=bias)
    nn.init.kaiming_normal_(layer.weight, a=0.1)
    with torch.no_grad():
        layer.weight.mul_(gain)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def repeat_channels(x: Tensor, channels: int) -> Tensor:
    """BBCU-H's residual: each channel ⌊n/c⌋ times, the first ones again to fill n."""
    times, rest = divmod(channels, int(x.shape[1]))  # a tensor when traced
    return torch.cat([x.repeat_interleave(times, dim=1), x[:, :rest]], dim=1)


class Head(nn.Module):
    """image channels → n, then LeakyReLU (``slope`` 0 is ReLU). Binary: BBCU-H, its residual the
    image repeated to n channels.
    """

    def __init__(self, channels: int, design: Design, *, bias: bool, slope: float) -> None:
        super().__init__()
        self.width, self.slope = design.width, slope
        self.layer: nn.Module
        if one_bit(design, Part.HEAD):
            self.layer = unit(channels, design.width, design)
            if self.layer.conv.alpha is not None:
                with torch.no_grad():
                    self.layer.conv.alpha.copy_(image_mean(channels) * design.k)
        else:
            self.layer = conv(channels, design.width, design, Part.HEAD, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.layer, BinaryUnit | Unit):
            return cast("Tensor", self.layer(x, repeat_channels(x, self.width)))
        return cast("Tensor", self.layer(x, self.slope))


class BinaryBlock(nn.Module):
    """Units under one residual; ``residual=False`` for none."""

    def __init__(self, units: int, residual: bool, design: Design) -> None:
        super().__init__()
        self.units = nn.ModuleList(unit(design.width, design.width, design) for _ in range(units))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.units[:-1]:
            y = layer(y)
        return cast("Tensor", self.units[-1](y, x if self.residual else None))


class AccumulatingBody(nn.Module):
    """BAM's body: layer l adds the scaled 1-bit features of layers 1..l instead of its input."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        width, depth = design.width, design.depth
        self.units = nn.ModuleList(unit(width, width, design) for _ in range(depth))
        self.accumulations = nn.ModuleList(Accumulation(layer + 1) for layer in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        inputs: list[Tensor] = []
        for layer, accumulate in zip(self.units, self.accumulations, strict=True):
            inputs.append(x)
            x = layer(x, accumulate(inputs))
        return x


class BinaryBody(nn.Sequential):
    """Blocks of units, one after the other; those that can are one call of the library."""

    def forward(self, x: Tensor) -> Tensor:
        blocks = [cast("BinaryBlock", block) for block in self]
        units = [layer for block in blocks for layer in block.units]
        chain = [layer for layer in units if isinstance(layer, BinaryUnit) and layer.chains]
        if not native(x) or len(chain) < len(units):
            for block in blocks:
                x = block(x)
            return x
        steps: list[Step] = []
        for block in blocks:
            start, end = len(steps), len(steps) + len(block.units)
            for layer in chain[start:end]:
                adds = block.residual and len(steps) == end - 1
                times = int(adds and len(block.units) == 1)  # the block's input is the unit's
                steps.append(layer.step(adds, times=times, residual=start if adds else None))
        return run_chain(steps, x, progress=chain[0].conv.progress)


def binary_body(design: Design) -> nn.Module:
    """``depth`` units n → n in blocks with one residual each; the last may be short.

    The block of convolution ``break_at`` has none (paper Table 5).
    """
    if design.method == "bam":
        return AccumulatingBody(design)
    span = residual_span(design)
    step = span or design.depth
    blocks = []
    for start in range(0, design.depth, step):
        size = min(step, design.depth - start)
        broken = design.break_at is not None and start < design.break_at <= start + size
        blocks.append(BinaryBlock(size, span > 0 and not broken, design))
    return BinaryBody(*blocks)


class Tail(nn.Module):
    """n → image channels, added to the residual: the (upsampled) image.

    Binary: BBCU-T, whose residual is that image. It is what the network's global skip adds as
    well; the two are one connection here, since added twice the output would start at twice the
    image [ours].
    """

    def __init__(self, channels: int, design: Design, *, bias: bool) -> None:
        super().__init__()
        self.layer: nn.Module
        if one_bit(design, Part.TAIL):
            self.layer = unit(design.width, channels, design)
        else:
            self.layer = conv(design.width, channels, design, Part.TAIL, bias=bias, gain=0.1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if isinstance(self.layer, BinaryUnit | Unit) and self.layer.adds:
            return cast("Tensor", self.layer(x, skip))
        return cast("Tensor", self.layer(x) + skip)


class RestorationNetwork(nn.Module, ABC):
    """LQ (N, C, H, W) in 0..1 → HQ (N, C, s·H, s·W), not clamped.

    Residual alignment (Eq. 8): the network works on k·x, and its output is divided by k. BTM
    works on the standardised image in the same way. A backbone sets the parts and ``residual``.
    """

    head: Head
    body: nn.Module
    tail: Tail
    mean: Tensor
    std: Tensor

    def __init__(self, design: Design, scale: int, channels: int) -> None:
        super().__init__()
        self.design, self.scale, self.channels = design, scale, channels
        mean, std = image_mean(channels), torch.tensor(RGB_STD if channels == 3 else Y_STD)
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", std.view(1, -1, 1, 1), persistent=False)

    @property
    @abstractmethod
    def reach(self) -> int:
        """How far, in LQ pixels, an input pixel can change the output: one a 3×3 convolution."""

    def features(self, x: Tensor) -> Tensor:
        """What the tail sees: head, body and, where there is one, upsampling."""
        return cast("Tensor", self.body(self.head(x)))

    def residual(self, x: Tensor) -> Tensor:
        """What the tail adds to: the image at the size of the output."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        standardised = self.design.method == "btm"
        x = (x - self.mean) / self.std if standardised else x * self.design.k
        # Channels last is faster by torch's convolutions, on a CPU too; ours read planes.
        x = x.contiguous(
            memory_format=torch.contiguous_format if native(x) else torch.channels_last
        )
        y: Tensor = self.tail(self.features(x), self.residual(x))
        return y * self.std + self.mean if standardised else y / self.design.k

    @cached_property
    def _binary(self) -> list[BinaryConv2d]:
        return [module for module in self.modules() if isinstance(module, BinaryConv2d)]

    def set_progress(self, progress: float) -> None:
        """Tell the estimators how much of training is done, e/E in 0..1 (EDE)."""
        for module in self._binary:
            module.progress = progress

    def after_step(self) -> None:
        """To be called after each step of the optimizer: BNN's weights stay within ±1."""
        for module in self._binary:
            module.after_step()
