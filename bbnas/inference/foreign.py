"""Others' code: the names that its state dicts have, beside the names of bbnas.

Each name is a pattern of the convolution's index in the body, ``i`` from 0 (:func:`fields`). One
table maps both ways. ``docs/guide/device.md`` tells where definitions differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bbnas.design import Design
from bbnas.networks import RestorationNetwork
from bbnas.tasks import Part, Task

EPS = 1e-5  # of the BatchNorm of bbnas
KAIR_EPS = 1e-4


@dataclass(frozen=True)
class Pair:
    """One tensor: ours = sign · theirs + shift − folded.

    ``folded`` is their bias of the convolution before, which bbnas does not have. Without
    ``theirs`` the tensor is ``shift`` everywhere. ``broadcast``: theirs is (1, C, 1, 1), ours (C).
    """

    theirs: str
    ours: str
    sign: int = 1
    shift: float = 0.0
    folded: str = ""
    broadcast: bool = False

    def at(self, i: int) -> Pair:
        """The pair of convolution ``i`` of the body."""
        theirs, ours, folded = (
            name.format(**fields(i)) for name in (self.theirs, self.ours, self.folded)
        )
        return replace(self, theirs=theirs, ours=ours, folded=folded)

    def shape(self, ours: Tensor) -> tuple[int, ...]:
        """The shape of their tensor."""
        return (1, len(ours), 1, 1) if self.broadcast else tuple(ours.shape)

    def read(self, state: dict[str, Tensor], ours: Tensor) -> Tensor:
        """Our tensor, of the shape and type of ``ours``, from their state dict."""
        if not self.theirs:
            return torch.full_like(ours, self.shift)
        # In double precision, so that only the result is rounded.
        value = self.sign * state[self.theirs].double().reshape(ours.shape) + self.shift
        if self.folded:
            value = value - state[self.folded].double()
        return value.to(ours.dtype)

    def write(self, ours: Tensor) -> dict[str, Tensor]:
        """Their tensors from ours; a folded bias is 0.

        Raises:
            ValueError: their network has a constant there, and ours is another.
        """
        if not self.theirs:
            if not bool((ours == torch.full_like(ours, self.shift)).all()):
                raise ValueError(f"{self.ours} is not {self.shift:g} everywhere")
            return {}
        value = self.sign * (ours.double() - self.shift)
        found = {self.theirs: value.to(ours.dtype).reshape(self.shape(ours))}
        return found | ({self.folded: torch.zeros_like(ours)} if self.folded else {})


def fields(i: int) -> dict[str, int]:
    """What the patterns may say of convolution ``i``.

    SRResNet has blocks of two convolutions. In a sequence of modules the body begins at module 2,
    with one, two or three modules to a convolution.
    """
    return {
        "i": i,
        "i1": i + 1,
        "block": i // 2,
        "half": i % 2,
        "half1": i % 2 + 1,
        "by1": 2 + i,
        "by2": 2 + 2 * i,
        "by3": 2 + 3 * i,
        "after3": 3 + 3 * i,
    }


Pairs = tuple[Pair, ...]


def conv(theirs: str, ours: str, sign: int = 1) -> Pairs:
    """A full-precision convolution with bias."""
    return tuple(Pair(f"{theirs}.{name}", f"{ours}.{name}", sign) for name in ("weight", "bias"))


def unit(theirs: str, ours: str, *, bias: bool = False) -> Pairs:
    """The authors' BinaryConv2d: thresholds and RPReLU are added biases of (1, C, 1, 1)."""
    folded = f"{theirs}.binary_conv.bias" if bias else ""
    return (
        Pair(f"{theirs}.binary_conv.weight", f"{ours}.conv.weight"),
        Pair(f"{theirs}.move0.bias", f"{ours}.conv.alpha", sign=-1, broadcast=True),
        Pair(
            f"{theirs}.relu.pr_bias0.bias",
            f"{ours}.activation.gamma",
            sign=-1,
            folded=folded,
            broadcast=True,
        ),
        Pair(f"{theirs}.relu.pr_prelu.weight", f"{ours}.activation.beta"),
        Pair(f"{theirs}.relu.pr_bias1.bias", f"{ours}.activation.zeta", broadcast=True),
    )


def normalised(theirs: str, norm: str) -> Pairs:
    """A convolution with bias, and the BatchNorm behind it, whose ε is KAIR's."""
    ours = "body.{i}.norm"
    return (
        Pair(f"{theirs}.weight", "body.{i}.conv.weight"),
        Pair(f"{norm}.weight", f"{ours}.weight"),
        Pair(f"{norm}.bias", f"{ours}.bias"),
        Pair(f"{norm}.running_mean", f"{ours}.running_mean", folded=f"{theirs}.bias"),
        Pair(f"{norm}.running_var", f"{ours}.running_var", shift=KAIR_EPS - EPS),
    )


def merged(theirs: str) -> Pairs:
    """A convolution with bias that holds its BatchNorm: ours has statistics of no effect."""
    ours = "body.{i}.norm"
    return (
        Pair(f"{theirs}.weight", "body.{i}.conv.weight"),
        Pair(f"{theirs}.bias", f"{ours}.bias"),
        Pair("", f"{ours}.weight", shift=1),
        Pair("", f"{ours}.running_mean"),
        Pair("", f"{ours}.running_var", shift=1 - EPS),
    )


@dataclass(frozen=True)
class ForeignNetwork:
    """A network of others' code: the tasks and 1-bit parts, and the pairs of each part.

    The first pair of a part is a convolution's weight. ``up`` has the pairs of each
    PixelShuffle, ``end`` those behind.
    """

    title: str
    backbones: tuple[str, ...]
    parts: tuple[Part, ...]
    head: Pairs
    body: Pairs
    end: Pairs
    up: Pairs = ()

    def takes(self, design: Design, task: Task) -> bool:
        """Whether it computes what such a design does, at any width, depth and k."""
        known = design.convs_per_block is None
        if design.binarize:
            known = design.replace(k_ratio=1.0).published == "bbcu"
        known = known and not design.built
        return known and task.backbone.name in self.backbones and design.binarize == self.parts

    def depth(self, state: dict[str, Tensor]) -> int:
        """The number of the body's convolutions, by the names in their state dict."""
        pattern = re.compile(re.sub(r"\\{\w+\\}", r"\\d+", re.escape(self.body[0].theirs)))
        found = sum(t.ndim == 4 and bool(pattern.fullmatch(name)) for name, t in state.items())
        # In a sequence head and tail have such names too.
        found -= sum(bool(pattern.fullmatch(p.at(0).theirs)) for p in (self.head[0], self.end[0]))
        block = 2 if "{block}" in self.body[0].theirs else 1
        return max(1, -(-found // block)) * block

    def pairs(self, network: RestorationNetwork) -> Pairs:
        """Those of all tensors of ``network``, in its order."""
        depth, ups = network.design.depth, (2 if network.scale == 4 else 1) if self.up else 0
        found = (
            *(pair.at(0) for pair in self.head),
            *(pair.at(i) for i in range(depth) for pair in self.body),
            *(pair.at(i) for i in range(ups) for pair in self.up),
            *(pair.at(depth) for pair in self.end),
        )
        ours = network.state_dict()
        return tuple(pair for pair in found if pair.ours in ours)


def state_of(network: RestorationNetwork, foreign: ForeignNetwork) -> dict[str, Tensor]:
    """The tensors of ``network`` under the names of ``foreign``: the inverse of an import.

    Raises:
        ValueError: their network has no place for what ours has.
    """
    ours = network.state_dict()
    return {
        name: tensor
        for pair in foreign.pairs(network)
        for name, tensor in pair.write(ours[pair.ours]).items()
    }


def names(pairs: Iterable[Pair]) -> dict[str, None]:
    """Their names, in order."""
    return dict.fromkeys(n for pair in pairs for n in (pair.theirs, pair.folded) if n)


def _bbcu_dncnn(title: str, backbone: str, *, bias: bool) -> ForeignNetwork:
    return ForeignNetwork(
        title,
        backbones=(backbone,),
        parts=(Part.BODY,),
        head=conv("model.0", "head.layer"),
        body=unit("model.{by1}", "body.{i}.units.0", bias=bias),
        end=conv("model.{by1}", "tail.layer", sign=-1),
    )


def _kair_dncnn(title: str, body: Pairs, end: str) -> ForeignNetwork:
    return ForeignNetwork(
        title,
        backbones=("dncnn", "dncnn3"),
        parts=(),
        head=conv("model.0", "head.layer"),
        body=body,
        end=conv(end, "tail.layer", sign=-1),
    )


_BASICSR = ForeignNetwork(
    "BasicSR's MSRResNet",
    backbones=("srresnet",),
    parts=(),
    head=conv("conv_first", "head.layer"),
    body=conv("body.{block}.conv{half1}", "body.{block}.convs.{half}"),
    up=conv("upconv{i1}", "upsampling.up.{i}"),
    end=conv("conv_hr", "upsampling.hr") + conv("conv_last", "tail.layer"),
)
_BBCU_L = replace(
    _BASICSR,
    title="the authors' BBCU-L",
    parts=(Part.BODY,),
    body=unit("body.{block}.body.{half}", "body.{i}.units.0"),
)

FOREIGN = (
    _BASICSR,
    replace(
        _BASICSR,
        title="KAIR's MSRResNet1",
        body=conv("recon_trunk.{block}.conv{half1}", "body.{block}.convs.{half}"),
        end=conv("HRconv", "upsampling.hr") + conv("conv_last", "tail.layer"),
    ),
    _BBCU_L,
    replace(
        _BBCU_L,
        title="the authors' BBCU-M",
        parts=(Part.BODY, Part.UPSAMPLING),
        up=unit("upconv{i1}", "upsampling.up.{i}.unit"),
        end=unit("conv_hr", "upsampling.hr") + conv("conv_last", "tail.layer"),
    ),
    _bbcu_dncnn("the authors' BBCU DnCNN", "dncnn", bias=False),
    _bbcu_dncnn("the authors' BBCU DnCNN-3", "dncnn3", bias=True),
    _kair_dncnn(
        "KAIR's DnCNN with BatchNorm", normalised("model.{by3}", "model.{after3}"), "model.{by3}"
    ),
    # merge_bn removes the BatchNorms of a trained network, and the other modules keep their
    # numbers; the published networks were built without BatchNorm.
    _kair_dncnn("KAIR's DnCNN after merge_bn", merged("model.{by3}"), "model.{by3}"),
    _kair_dncnn("KAIR's DnCNN without BatchNorm", merged("model.{by2}"), "model.{by2}"),
)
