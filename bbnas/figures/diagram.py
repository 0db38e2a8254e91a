"""The block diagram of a design: its parts, the blocks they are made of, and an SVG of them.

The values are read from the built network, so that the diagram shows what is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, cast

import torch
from torch import nn

from bbnas.binary import (
    BinaryUpsample,
    BinaryWeightConv2d,
    RPReLU,
    Unit,
)
from bbnas.cost import Uninitialised
from bbnas.design import Design
from bbnas.networks import RestorationNetwork, SRResNet, build
from bbnas.networks.dncnn import ConvBlock
from bbnas.networks.parts import AccumulatingBody, BinaryBlock, Layer
from bbnas.networks.srresnet import ResidualBlock
from bbnas.tasks import Task

Kind = Literal["sign", "conv", "scale", "norm", "activation", "shuffle", "sum"]
Precision = Literal["1-bit", "1-bit weights", "full precision"]


@dataclass(frozen=True)
class Operation:
    """One operation. A convolution has a ``precision``; ``detail`` holds its channels."""

    kind: Kind
    text: str
    detail: str = ""
    precision: Precision | None = None


SUM = Operation("sum", "+")
# (times, operations) in the order of computation.
Segments = tuple[tuple[int, tuple[Operation, ...]], ...]


@dataclass(frozen=True)
class Block:
    """``repeated`` times a chain of operations, with at most one residual connection.

    The residual is added at the operation SUM. ``path`` is what lies on the connection, empty for
    the identity; it starts at the block's input or, if ``outside``, is the global skip.
    """

    segments: Segments
    repeated: int = 1
    path: str = ""
    outside: bool = False

    @property
    def ops(self) -> list[Operation]:
        """Every operation of one repetition."""
        return [op for times, ops in self.segments for _ in range(times) for op in ops]

    @property
    def residual(self) -> bool:
        return SUM in self.ops


@dataclass(frozen=True)
class PartDiagram:
    """A part of the network and its blocks, one after the other."""

    name: str
    blocks: tuple[Block, ...]

    @property
    def convs(self) -> list[Operation]:
        """Every convolution of the part."""
        return [
            op
            for block in self.blocks
            for _ in range(block.repeated)
            for op in block.ops
            if op.kind == "conv"
        ]

    @property
    def residuals(self) -> int:
        """The number of residual connections; the tail's is the global skip."""
        return sum(block.repeated for block in self.blocks if block.residual)

    @property
    def precisions(self) -> list[str]:
        """Those of its convolutions, in order, each once."""
        return list(dict.fromkeys(str(conv.precision) for conv in self.convs))


@dataclass(frozen=True)
class Diagram:
    """A restoration network: ``entry`` → parts → ``exit``, and the global skip around them.

    ``skip`` is what lies on the skip, empty for the identity. ``entry`` and ``exit`` scale or
    standardise the image, and are empty without that. ``notes`` tell what the drawing cannot.
    """

    title: str
    parts: tuple[PartDiagram, ...]
    skip: str
    entry: str
    exit: str
    notes: tuple[str, ...] = field(default=())


def diagram(design: Design, task: Task) -> Diagram:
    """The diagram of ``design`` as the network of ``task``.

    Raises:
        UserError: the task's backbone cannot be built so.
    """
    with Uninitialised():  # shapes and declarations; the first tensor on "meta" takes a second
        network = build(design, task)
    design = network.design
    parts = [PartDiagram("head", _head(network)), PartDiagram("body", _body(network.body))]
    if isinstance(network, SRResNet) and (blocks := _upsampling(network)):
        parts.append(PartDiagram("upsampling", blocks))
    parts.append(PartDiagram("tail", _tail(network)))
    entry = exit_ = ""
    if design.method == "btm":
        entry, exit_ = "(x − μ) / σ", "σ·y + μ"
    elif design.k_ratio is not None:
        entry, exit_ = f"× k = {design.k:.4g}", "÷ k"
    skip = f"bilinear ×{task.scale}" if isinstance(network, SRResNet) else ""
    return Diagram(design.label(), tuple(parts), skip, entry, exit_, _notes(design, network))


def _notes(design: Design, network: RestorationNetwork) -> tuple[str, ...]:
    notes = []
    units = [module for module in network.modules() if isinstance(module, Unit)]
    if units:
        conv = units[0].conv
        if conv.alpha is not None:
            notes.append("α: a learned threshold of each channel")
        if conv.gain is not None:
            notes.append("kc: a learned factor of each channel")
        if conv.weights == "libra":
            notes.append("s: a power of two of each filter, W standardised")
        estimator = {"clip": "clipped identity", "ede": "EDE", "tanh": "tanh with learned slope"}
        name = estimator.get(conv.estimator, conv.estimator)
        notes.append(f"gradient of sgn: {name}")
    if design.k_ratio is not None and design.method != "btm":
        ratio = "k*" if design.k_ratio == 1 else f"{design.k_ratio:.3g} k*"
        notes.append(f"residual alignment: k = {design.k:.4g} = {ratio}")
    if isinstance(network.body, AccumulatingBody):
        notes.append("Σ: over the inputs xⱼ of this and all earlier layers of the body")
    if design.break_at is not None:
        notes.append(f"the residual around convolution {design.break_at} is removed")
    return tuple(notes)


def _head(network: RestorationNetwork) -> tuple[Block, ...]:
    head, layer = network.head, network.head.layer
    adds = isinstance(layer, Unit) and layer.place != "none"
    ops = _unit(layer, adds) if isinstance(layer, Unit) else _layer(layer)
    blocks = [Block(((1, ops),), path=f"repeat to {head.own}" if adds else "")]
    if network.step > 1:
        unshuffle = Operation("shuffle", "PixelUnshuffle", f"×{network.step}")
        blocks.insert(0, Block(((1, (unshuffle,)),)))
    if head.own < head.width:
        repeat = Operation("shuffle", "repeat", f"{head.own} → {head.width}")
        blocks.append(Block(((1, (repeat,)),)))
    return tuple(blocks)


def _tail(network: RestorationNetwork) -> tuple[Block, ...]:
    tail = network.tail
    first = [Block(((1, _unit(tail.unit, tail.unit.place != "none")),))] if tail.unit else []
    if not isinstance(tail.layer, Unit):
        ops = _layer(tail.layer)
    elif tail.shuffle == 1:
        ops = _unit(tail.layer, tail.layer.place != "none")
    else:
        ops = (*_unit(tail.layer, adds=False), _shuffle(tail.shuffle))
    return (*first, Block(((1, ops if SUM in ops else (*ops, SUM)),), outside=True))


def _body(body: nn.Module) -> tuple[Block, ...]:
    if isinstance(body, AccumulatingBody):
        units = [cast("Unit", unit) for unit in body.units]
        blocks = [
            Block(((1, _unit(unit, adds=True)),), path="Σ sⱼ·sgn(xⱼ − tⱼ)") for unit in units
        ]
    else:
        blocks = [_block(block) for block in _flat(cast("nn.Sequential", body))]
    return tuple(
        Block(block.segments, len(list(same)), block.path) for block, same in groupby(blocks)
    )


def _flat(body: nn.Sequential) -> Iterator[nn.Module]:
    """The blocks of all groups."""
    for block in body:
        yield from _flat(block) if isinstance(block, nn.Sequential) else [block]


def _block(block: nn.Module) -> Block:
    """A block of the body."""
    match block:
        case BinaryBlock():
            units = [cast("Unit", unit) for unit in block.units]
            chains = [_unit(unit, adds=False) for unit in units[:-1]]
            path = "" if block.same else f"repeat to {block.channels}"
            chains.append(_unit(units[-1], adds=block.residual))
            return Block(_segments(chains), path=path if block.residual else "")
        case ResidualBlock():
            convs = [_layer(cast("Layer", layer)) for layer in block.convs]
            path = "" if block.c_in == block.channels else f"repeat to {block.channels}"
            return Block(_segments([*convs[:-1], (*convs[-1], SUM)]), path=path)
        case ConvBlock():
            norm = Operation("norm", "BatchNorm")
            return Block(((1, (*_layer(block.conv), norm, *_activation(block.activation))),))
    raise TypeError(f"a body of {type(block).__name__} has no diagram")


def _upsampling(network: SRResNet) -> tuple[Block, ...]:
    ups, hr = network.upsampling.up, network.upsampling.hr
    blocks = [
        _upsample(up)
        if isinstance(up, BinaryUpsample)
        else Block(((1, _layer(cast("Layer", up))),))
        for up in ups
    ]
    last: tuple[Block, ...] = ()
    if isinstance(hr, Unit):
        leaky = Operation("activation", "LeakyReLU")  # SRResNet's own, which stays
        last = (Block(((1, (*_unit(hr, hr.place != "none"), leaky)),)),)
    elif hr is not None:
        last = (Block(((1, _layer(hr)),)),)
    return (*(Block(b.segments, len(list(same)), b.path) for b, same in groupby(blocks)), *last)


def _upsample(up: nn.Module) -> Block:
    """A convolution with PixelShuffle."""
    if not isinstance(up, BinaryUpsample):
        return Block(((1, _layer(cast("Layer", up))),))
    unit, shuffle = up.unit, _shuffle(up.scale)
    if unit.place == "before":
        return Block(((1, (*_unit(unit, adds=True), shuffle)),), path=f"channels ×{up.scale**2}")
    ops = (*_unit(unit, adds=False), shuffle)
    if unit.place == "none":
        return Block(((1, ops),))
    return Block(((1, (*ops, SUM)),), path=f"nearest ×{up.scale}")


def _unit(unit: Unit, adds: bool) -> tuple[Operation, ...]:
    conv = unit.conv
    norm = () if isinstance(unit.norm, nn.Identity) else (Operation("norm", "BatchNorm"),)
    inside = "x" if conv.gain is None else "kc·x"
    sign = Operation("sign", f"sgn({inside})" if conv.alpha is None else f"sgn({inside} − α)")
    scale = Operation("scale", "× 2ˢ" if conv.weights == "libra" else "× mean|W|")
    result = (sign, _conv(conv.weight, "1-bit"), *((scale,) if conv.scaled else ()))
    result = (*norm, *result) if unit.norm_first else (*result, *norm)
    act = _activation(unit.activation)
    if not adds:
        return (*result, *act)
    return (*result, SUM, *act) if unit.place == "before" else (*result, *act, SUM)


def _layer(layer: Layer) -> tuple[Operation, ...]:
    """A convolution of full-precision activations, its activation and PixelShuffle."""
    weights_only = isinstance(layer, BinaryWeightConv2d)
    conv = _conv(layer.weight, "1-bit weights" if weights_only else "full precision")
    shuffle = (_shuffle(layer.shuffle),) if layer.shuffle > 1 else ()
    return (conv, *_activation(layer.activation), *shuffle)


def _shuffle(factor: int) -> Operation:
    return Operation("shuffle", "PixelShuffle", f"×{factor}")


def _conv(weight: torch.Tensor, precision: Precision) -> Operation:
    c_out, c_in, side, _ = weight.shape
    return Operation("conv", f"{side}×{side} conv", f"{c_in} → {c_out}", precision)


def _activation(module: nn.Module) -> tuple[Operation, ...]:
    if isinstance(module, nn.Identity):
        return ()
    name = type(module).__name__
    if isinstance(module, RPReLU) and module.gamma is None:
        name = "PReLU"
    return (Operation("activation", name),)


def _segments(
    chains: list[tuple[Operation, ...]],
) -> tuple[tuple[int, tuple[Operation, ...]], ...]:
    """Equal chains that follow one another as one, the residual's sum after a chain apart."""
    end: list[tuple[Operation, ...]] = []
    if chains[-1][-1] is SUM:
        chains, end = [*chains[:-1], chains[-1][:-1]], [(SUM,)]
    grouped = [(len(list(same)), chain) for chain, same in groupby(chains)]
    if end and grouped[-1][0] == 1:
        grouped[-1] = (1, (*grouped[-1][1], SUM))
    else:
        grouped += [(1, chain) for chain in end]
    return tuple(grouped)
