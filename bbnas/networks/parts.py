"""The parts that backbones share, each 1-bit or not, and the network that they make up.

x → head H → body B → upsampling U (SRResNet only) → tail T, which adds the network's skip (paper
§3.2, Fig. 3). A design of method ``ma`` binarizes weights alone: it has the parts of the
full-precision backbone, with other convolutions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from bbnas.binary import (
    Accumulation,
    BinaryConv2d,
    BinaryWeightConv2d,
    FullConv2d,
    Stage,
    Unit,
    residual_span,
    unit,
)
from bbnas.binary.estimators import Progress
from bbnas.binary.functions import pixel_shuffle, repeat_channels
from bbnas.binary.kernels import Step, native, run_chain
from bbnas.design import Design
from bbnas.tasks import Part

# Mean and standard deviation of the RGB of natural images in 0..1 (of DIV2K), and of their Y of
# BT.601. BTM standardises by them. The thresholds of a binary head start at the mean, because
# α = 0 would binarize every pixel of an image to +1.
RGB_MEAN, RGB_STD = (0.4488, 0.4371, 0.4040), (0.2845, 0.2701, 0.2920)
Y_MEAN, Y_STD = (0.4379,), (0.2340,)

# The authors' code starts the full-precision convolutions of SRResNet and every tail at this
# factor times Kaiming's initialisation: the network starts close to its skip.
SMALL = 0.1

Layer = FullConv2d | BinaryWeightConv2d  # a convolution of full-precision activations


def image_mean(channels: int) -> Tensor:
    """The mean of natural images, (channels): RGB for 3 channels, Y for 1."""
    return torch.tensor(RGB_MEAN if channels == 3 else Y_MEAN)


def one_bit(design: Design, part: Part) -> bool:
    """Whether the part is made of units, with 1-bit activations and weights."""
    return design.binary(part) and design.method != "ma"


def conv(
    c_in: int,
    c_out: int,
    design: Design,
    part: Part,
    *,
    bias: bool = True,
    gain: float = 1.0,
    activation: nn.Module | None = None,
    shuffle: int = 1,
    kernel: int = 3,
) -> Layer:
    """A convolution of full-precision activations, activation and PixelShuffle.

    The weights of a 3×3 convolution are 1-bit if the design binarizes the part. ``gain``
    multiplies the initial weights.
    """
    layer: Layer
    if design.binary(part) and kernel == 3:
        layer = BinaryWeightConv2d(c_in, c_out, bias=bias, activation=activation, shuffle=shuffle)
    else:
        layer = FullConv2d(
            c_in, c_out, bias=bias, activation=activation, shuffle=shuffle, kernel=kernel
        )
    nn.init.kaiming_normal_(layer.weight, a=0.1)
    with torch.no_grad():
        layer.weight.mul_(gain)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


class Head(nn.Module):
    """conv image channels → h, then ``activation``; with h < n repeated to the body's n channels.

    Binary: BBCU-H, whose residual is the image repeated to h channels.
    """

    def __init__(
        self,
        channels: int,
        design: Design,
        *,
        bias: bool,
        activation: nn.Module,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.width, self.own = design.width, design.head_channels
        self.layer: Unit | Layer
        if one_bit(design, Part.HEAD):
            self.layer = unit(channels, self.own, design)
            if self.layer.conv.alpha is not None:
                mean = image_mean(channels // design.unshuffle**2)
                with torch.no_grad():
                    self.layer.conv.alpha.copy_(
                        mean.repeat_interleave(design.unshuffle**2) * design.k
                    )
        else:
            self.layer = conv(
                channels,
                self.own,
                design,
                Part.HEAD,
                bias=bias,
                gain=gain,
                activation=activation,
                kernel=design.head_kernel,
            )

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.layer, Unit) and self.layer.place != "none":
            y = self.layer(x, repeat_channels(x, self.own))
        else:
            y = self.layer(x)
        return cast("Tensor", y if self.own == self.width else repeat_channels(y, self.width))


class BinaryBlock(nn.Module):
    """``units`` units under one residual, or under none if ``residual`` is False.

    (N, c_in, H, W) → (N, n, H, W). If c_in is not n, the residual is ``repeat_channels(x, n)``.
    """

    def __init__(self, c_in: int, units: int, residual: bool, design: Design) -> None:
        super().__init__()
        self.channels, self.same = design.width, c_in == design.width
        inputs = [c_in, *[design.width] * (units - 1)]
        self.units = nn.ModuleList(unit(c, design.width, design) for c in inputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.units[:-1]:
            y = layer(y)
        if not self.residual:
            return cast("Tensor", self.units[-1](y))
        onto = x if self.same else repeat_channels(x, self.channels)
        return cast("Tensor", self.units[-1](y, onto))


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
    """Blocks of units, one after the other; one chain if the library can compute all units."""

    def forward(self, x: Tensor) -> Tensor:
        own = [cast("BinaryBlock", block) for block in self]
        units_of = [cast("list[Unit]", list(block.units)) for block in own]
        if not native(x) or not all(unit.fused for units in units_of for unit in units):
            return cast("Tensor", super().forward(x))  # type: ignore[no-untyped-call]
        if not own[0].same:  # its residual is no map of the chain
            x, own, units_of = own[0](x), own[1:], units_of[1:]
        if not own:
            return x
        steps: list[Step] = []
        for block, units in zip(own, units_of, strict=True):
            start = len(steps)  # the map that the block reads
            steps += [unit.step(adds=False) for unit in units[:-1]]
            if block.residual:
                alone = len(units) == 1  # the residual is the unit's own input
                steps.append(units[-1].step(adds=True, times=int(alone), residual=start))
            else:
                steps.append(units[-1].step(adds=False))
        return run_chain(steps, x, progress=units_of[0][0].conv.progress)


def grouped_body(design: Design, group: Callable[[Design, int], nn.Module]) -> nn.Module:
    """The body of ``design`` by its groups; ``group`` builds one from the number of channels that
    it reads.
    """
    if not design.groups:
        return group(design, design.width)
    bodies, channels = nn.Sequential(), design.width
    for own in design.body_groups:
        bodies.append(group(own, channels))
        channels = own.width
    return bodies


def body_channels(design: Design) -> int:
    """Output channels of the body."""
    return design.body_groups[-1].width


def binary_body(design: Design, c_in: int) -> nn.Module:
    """``depth`` units c_in → n and n → n in blocks with one residual each; the last block may be
    shorter.

    The block that holds convolution ``break_at`` has no residual (paper Table 5).
    """
    if design.method == "bam":
        return AccumulatingBody(design)
    span = residual_span(design)
    step = span or design.depth
    blocks = []
    for start in range(0, design.depth, step):
        size = min(step, design.depth - start)
        broken = design.break_at is not None and start < design.break_at <= start + size
        channels = design.width if start else c_in
        blocks.append(BinaryBlock(channels, size, span > 0 and not broken, design))
    return BinaryBody(*blocks)


class Tail(nn.Module):
    """conv n → image channels, + the skip: the (upsampled) image.

    With ``shuffle`` s the convolution has s² times as many outputs, and a PixelShuffle follows it.

    Binary: BBCU-T, whose residual is that image. The network's global skip adds the same image.
    The two are one connection here: added twice, the output would start at twice the image
    [ours]. Before a PixelShuffle the unit has no residual. With a kernel of 1 the binary tail is a
    ``unit`` n → n and a full-precision 1×1 convolution [ours].
    """

    def __init__(
        self, width: int, channels: int, design: Design, *, bias: bool, shuffle: int = 1
    ) -> None:
        super().__init__()
        self.shuffle = shuffle
        outputs, binary = channels * shuffle**2, one_bit(design, Part.TAIL)
        self.unit = unit(width, width, design) if binary and design.tail_kernel == 1 else None
        self.layer: Unit | Layer
        if binary and design.tail_kernel == 3:
            self.layer = unit(width, outputs, design)
        else:
            self.layer = conv(
                width,
                outputs,
                design,
                Part.TAIL,
                bias=bias,
                gain=SMALL,
                shuffle=shuffle,
                kernel=design.tail_kernel,
            )

    @property
    def units(self) -> list[Unit]:
        """Those of a binary tail: one, or none."""
        return [layer for layer in (self.unit, self.layer) if isinstance(layer, Unit)]

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if self.unit is not None:
            x = self.unit(x, x)
        if not isinstance(self.layer, Unit):
            y = self.layer(x)
        elif self.shuffle == 1 and self.layer.place != "none":
            return cast("Tensor", self.layer(x, skip))
        else:
            y = pixel_shuffle(self.layer(x), self.shuffle)
        # A PixelUnshuffle may have had to extend the image.
        return cast("Tensor", y[..., : skip.shape[-2], : skip.shape[-1]] + skip)


class RestorationNetwork(nn.Module, ABC):
    """LQ (N, C, H, W) in 0..1 → HQ (N, C, s·H, s·W), not clamped.

    Residual alignment (Eq. 8): the parts read k·x, and the output is divided by k. BTM's parts
    read the standardised image, and the output is put back in the same way. A backbone sets the
    parts, and overrides ``features`` and ``residual`` where it has an upsampling. ``step`` is the
    factor of a PixelUnshuffle before the head, 1 for none.
    """

    head: Head
    body: nn.Module
    tail: Tail
    mean: Tensor
    std: Tensor

    def __init__(self, design: Design, scale: int, channels: int, step: int = 1) -> None:
        super().__init__()
        self.design, self.scale, self.channels, self.step = design, scale, channels, step
        mean, std = image_mean(channels), torch.tensor(RGB_STD if channels == 3 else Y_STD)
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", std.view(1, -1, 1, 1), persistent=False)

    @property
    @abstractmethod
    def reach(self) -> int:
        """The distance, in LQ pixels, at which an input pixel can still change the output.

        Each 3×3 convolution adds one pixel.
        """

    def features(self, x: Tensor) -> Tensor:
        """The input of the tail, (N, n, s·H, s·W), or smaller by the tail's PixelShuffle: head,
        body and, in SRResNet, upsampling.
        """
        return cast("Tensor", self.body(self.head(x)))

    def residual(self, x: Tensor) -> Tensor:
        """The skip that the tail adds: the image at the size of the output."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.computed(x)[1]

    def computed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the tail reads (see ``features``), and the output."""
        standardised = self.design.method == "btm"
        x = (x - self.mean) / self.std if standardised else x * self.design.k
        # Torch's convolutions are faster on channels-last tensors, on a CPU too; the library's
        # kernels read planes.
        x = x.contiguous(
            memory_format=torch.contiguous_format if native(x) else torch.channels_last
        )
        features = self.features(x)
        y: Tensor = self.tail(features, self.residual(x))
        return features, y * self.std + self.mean if standardised else y / self.design.k

    @cached_property
    def binary(self) -> list[BinaryConv2d | BinaryWeightConv2d]:
        """The convolutions with 1-bit weights."""
        kinds = (BinaryConv2d, BinaryWeightConv2d)
        return [module for module in self.modules() if isinstance(module, kinds)]

    def set_progress(self, progress: Progress, stage: Stage = "both") -> None:
        """Set e/E in 0..1, the share of training that is done, and what is 1-bit in training.

        EDE reads the share in each backward pass. A tensor () is kept: its later values count.
        """
        for module in self.binary:
            module.progress, module.stage = progress, stage

    def after_step(self) -> None:
        """Clamp BNN's weights to ±1; call it after each step of the optimizer."""
        for module in self.binary:
            if isinstance(module, BinaryConv2d):
                module.after_step()
