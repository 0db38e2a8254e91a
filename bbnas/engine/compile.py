"""The compiler: a network of ``bbnas.networks`` as a program of the engine's operations."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bbnas.binary import (
    Accumulation,
    BinaryConv2d,
    BinaryUpsample,
    BinaryWeightConv2d,
    RPReLU,
    Unit,
)
from bbnas.binary.methods import XNORNet
from bbnas.binary.weights import WEIGHTS, mean_magnitude
from bbnas.engine.program import Array, Op, Program, Tensor, check
from bbnas.errors import UserError, class_of
from bbnas.networks import DnCNN, RestorationNetwork, SRResNet, foreign
from bbnas.networks.dncnn import ConvBlock
from bbnas.networks.parts import AccumulatingBody, BinaryBlock, Layer
from bbnas.networks.srresnet import SLOPE, ResidualBlock
from bbnas.tasks import Task


def compile_network(network: RestorationNetwork, task: Task | None = None) -> Program:
    """The program that computes what ``network`` computes in evaluation mode.

    ``task`` is a label for people.

    Raises:
        UserError: it is no network of bbnas, or holds a module that the engine does not know.
    """
    if not isinstance(network, SRResNet | DnCNN):
        raise foreign(network)
    with torch.no_grad():
        return _Compiler(network, task).program()


class _Compiler:
    """Walks a network in the order of its forward and appends operations.

    The index of its tensor names a feature map. A unit reads a map as bits. The operation that
    makes the map makes the bits too: ``bits_of`` adds them to that operation.
    """

    def __init__(self, network: RestorationNetwork, task: Task | None) -> None:
        self.network, self.task = network, task
        self.tensors: list[Tensor] = []
        self.ops: list[dict[str, Any]] = []
        self.part = ""
        self.maker: dict[int, dict[str, Any]] = {}

    def program(self) -> Program:
        network = self.network
        form: dict[str, Any] = {"factor": float(np.float32(network.design.k))}
        if network.design.method == "btm":
            form = {"arrays": {"mean": _flat(network.mean), "std": _flat(network.std)}}
        step, channels = network.step, network.channels
        image = self.add("input", (), Tensor("planes", channels, step), **form)
        self.part = "head"
        x = image
        if step > 1:
            x = self.add("unshuffle", (image,), Tensor("planes", channels * step**2))
        x = self.head(x)
        self.part = "body"
        x = self.body(x)
        if isinstance(network, SRResNet):
            self.part = "upsampling"
            x = self.upsampling(x)
        self.part = "tail"
        skip = image
        if network.scale > 1:
            size = Tensor("planes", channels, network.scale)
            skip = self.add("bilinear", (image,), size)
        x = self.tail(x, skip)
        self.add("output", (x,), None, **form)
        self.drop_unread()
        program = Program(
            scale=network.scale,
            channels=channels,
            reach=network.reach,
            step=step,
            tensors=tuple(self.tensors),
            ops=tuple(Op(**op) for op in self.ops),
            design=network.design.to_dict(),
            task="" if self.task is None else self.task.name,
        )
        check(program)
        return program

    def drop_unread(self) -> None:
        """Remove the maps that only their bits are read of, and renumber the others."""
        read = {t for op in self.ops for t in (*op["inputs"], op.get("residual", -1))}
        kept = [t for t in range(len(self.tensors)) if t in read]
        number = {t: i for i, t in enumerate(kept)}
        for op in self.ops:
            op["inputs"] = tuple(number[t] for t in op["inputs"])
            for name in ("output", "bits", "residual"):
                if name in op:
                    op[name] = number.get(op[name], -1)
        self.tensors = [self.tensors[t] for t in kept]

    # ---- operations ---------------------------------------------------------------------------

    def add(self, kind: str, inputs: tuple[int, ...], made: Tensor | None, **rest: Any) -> int:
        op = {"kind": kind, "inputs": inputs, "part": self.part, "arrays": {}, **rest}
        self.ops.append(op)
        if made is None:
            return -1
        op["output"] = self.tensor(made)
        self.maker[op["output"]] = op
        return cast("int", op["output"])

    def tensor(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def bits_of(self, x: int, threshold: Array, pack_b: Array | None = None) -> int:
        """The bits of map ``x``: x > threshold, or x·threshold + pack_b > 0."""
        arrays = {"threshold": threshold} | ({} if pack_b is None else {"pack_b": pack_b})
        maker, size = self.maker[x], self.tensors[x]
        bits = Tensor("bits", size.channels, size.scale)
        if maker["kind"] not in ("conv", "binary") or "bits" in maker:
            op: dict[str, Any] = {
                "kind": "pack",
                "inputs": (x,),
                "part": self.part,
                "arrays": arrays,
            }
            op["bits"] = self.tensor(bits)
            self.ops.append(op)
            return cast("int", op["bits"])
        maker["arrays"] |= arrays
        maker["bits"] = self.tensor(bits)
        return cast("int", maker["bits"])

    def conv(
        self,
        x: int,
        layer: Layer,
        block: ConvBlock | None = None,
        *,
        shuffle: int = 1,
        **rest: Any,
    ) -> int:
        """A full-precision convolution and PixelShuffle; a ``block`` has its normalisation and
        activation.
        """
        if not isinstance(layer, Layer):
            raise _unknown(layer)
        arrays = _weights(layer) | (_norm(block.norm) if block else {})
        wide = len(arrays["weight"])
        rest |= _activation((block or layer).activation, wide, arrays)
        size = Tensor("floats", wide // shuffle**2, self.tensors[x].scale * shuffle)
        return self.add("conv", (x,), size, shuffle=shuffle, arrays=arrays, **rest)

    def unit(self, x: int, unit: Unit, residual: int = -1, *, shuffle: int = 1) -> int:
        """A binary unit and PixelShuffle; ``residual`` is a map of the size of ``x`` with at least
        the channels of the output, or −1.
        """
        if isinstance(unit, XNORNet) and unit.activation_scale:
            raise UserError("the engine has no XNOR-Net with activation scales: leave them out")
        if unit.norm_first:
            first = _norm(unit.norm)
            bits = self.bits_of(x, first["norm_a"], first["norm_b"])
            flipped = np.zeros(self.tensors[x].channels, bool)
        else:
            threshold, flipped = _threshold(unit.conv)
            bits = self.bits_of(x, threshold)
        latent, scale = unit.conv.latent, WEIGHTS[unit.conv.weights].scale
        scales = torch.ones(len(latent)) if scale is None else scale(latent)
        weight = (latent > 0).numpy() ^ flipped[:, None, None]
        arrays = {"weight": weight.astype(np.uint8), "scale": _flat(scales)}
        if not unit.norm_first:
            arrays |= _norm(unit.norm)
        rest: dict[str, Any] = {"place": "none", "shuffle": shuffle}
        if residual >= 0 and unit.place != "none":
            rest |= {"place": unit.place, "residual": residual}
        rest |= _activation(unit.activation, len(latent), arrays)
        # The PixelShuffle is between RPReLU's ζ and the nearest-upsampled residual.
        rest["zeta_first"] = "zeta" in arrays and (shuffle > 1 or rest["place"] != "after")
        size = Tensor("floats", len(latent) // shuffle**2, self.tensors[bits].scale * shuffle)
        return self.add("binary", (bits,), size, arrays=arrays, **rest)

    def layer(self, x: int, layer: Unit | Layer, residual: int) -> int:
        """A unit with ``residual``, or the full-precision layer that takes its place."""
        return self.unit(x, layer, residual) if isinstance(layer, Unit) else self.conv(x, layer)

    # ---- parts --------------------------------------------------------------------------------

    def head(self, image: int) -> int:
        head, residual = self.network.head, -1
        if isinstance(head.layer, Unit) and head.layer.place != "none":
            residual = self.repeated(image, head.own)
        return self.repeated(self.layer(image, head.layer, residual), head.width)

    def repeated(self, x: int, channels: int) -> int:
        """Map ``x`` as floats with ``channels`` or more of them, repeated where it has fewer."""
        size = self.tensors[x]
        if size.kind == "floats" and size.channels >= channels:
            return x
        return self.add("repeat", (x,), Tensor("floats", channels, size.scale))

    def body(self, x: int) -> int:
        return self.blocks(x, self.network.body)

    def blocks(self, x: int, body: nn.Module) -> int:
        if isinstance(body, AccumulatingBody):
            return self.accumulating(x, body)
        for block in cast("nn.Sequential", body):
            match block:
                case nn.Sequential():  # a group
                    x = self.blocks(x, block)
                case BinaryBlock():
                    residual = self.repeated(x, block.channels) if block.residual else -1
                    *first, last = cast("list[Unit]", list(block.units))
                    for unit in first:
                        x = self.unit(x, unit)
                    x = self.unit(x, last, residual)
                case ResidualBlock():
                    residual = self.repeated(x, block.channels)
                    *convs, last_conv = cast("list[Layer]", list(block.convs))
                    for layer in convs:
                        x = self.conv(x, layer)
                    x = self.conv(x, last_conv, residual=residual, place="after")
                case ConvBlock():
                    x = self.conv(x, block.conv, block)
                case _:
                    raise _unknown(block)
        return x

    def accumulating(self, x: int, body: AccumulatingBody) -> int:
        inputs: list[int] = []
        for unit, module in zip(body.units, body.accumulations, strict=True):
            inputs.append(x)
            sums, size = cast("Accumulation", module), self.tensors[x]
            maps = [
                self.bits_of(seen, np.full(size.channels, threshold, np.float32))
                for seen, threshold in zip(inputs, _flat(sums.thresholds), strict=True)
            ]
            factors = {"factors": _flat(sums.scales)}
            residual = self.add("accumulate", tuple(maps), size, arrays=factors)
            x = self.unit(x, cast("Unit", unit), residual)
        return x

    def upsampling(self, x: int) -> int:
        upsampling = cast("SRResNet", self.network).upsampling
        for up in upsampling.up:
            if isinstance(up, BinaryUpsample):
                onto = self.repeated(x, up.channels)
                x = self.unit(x, up.unit, onto, shuffle=up.scale)
            else:
                layer = cast("Layer", up)
                x = self.conv(x, layer, shuffle=layer.shuffle)
        if upsampling.hr is None:
            return x
        if not isinstance(upsampling.hr, Unit):
            return self.conv(x, upsampling.hr)
        x = self.unit(x, upsampling.hr, x)
        self.maker[x]["slope"] = SLOPE
        return x

    def tail(self, x: int, skip: int) -> int:
        tail, channels = self.network.tail, self.network.channels
        if tail.unit is not None:
            x = self.unit(x, tail.unit, x)
        layer = tail.layer
        size = Tensor("planes", channels, self.network.scale * self.network.step)
        if tail.shuffle > 1:
            x = self.layer(x, layer, -1)
            return self.add("shuffle", (x,), size, shuffle=tail.shuffle, residual=skip)
        if not isinstance(layer, Unit):
            return self.add("narrow", (x,), size, residual=skip, arrays=_weights(layer))
        residual = self.add("repeat", (skip,), Tensor("floats", channels, size.scale))
        if layer.place != "none":
            return self.unit(x, layer, residual)
        x = self.unit(x, layer)
        # The unit has no residual, so an identity convolution adds the skip.
        eye = np.zeros((channels, channels, 3, 3), np.float32)
        eye[range(channels), range(channels), 1, 1] = 1
        size = self.tensors[x]
        return self.add(
            "conv", (x,), size, residual=residual, place="after", arrays={"weight": eye}
        )


def _weights(layer: Layer) -> dict[str, Array]:
    """The arrays of a convolution of full-precision activations."""
    if isinstance(layer, BinaryWeightConv2d):
        arrays = {
            "weight": (layer.weight > 0).to(torch.uint8).numpy(),
            "magnitude": _flat(mean_magnitude(layer.weight)),
        }
    else:
        arrays = {"weight": layer.weight.detach().float().numpy().copy()}
    if layer.bias is not None:
        arrays["bias"] = _flat(layer.bias)
    return arrays


def _threshold(conv: BinaryConv2d) -> tuple[Array, NDArray[np.bool_]]:
    """Thresholds t (C_in), and the channels whose signs are flipped.

    sgn(k·x − α) is sgn(x − t), or −sgn(x − t) in a flipped channel, and the weights of that input
    change their signs with it. t is the last float32 whose rounded product with k lies on the
    same side of α as that of the lowest float32. The product is monotonic in x, so signs are
    equal for every finite x.
    """
    channels = conv.weight.shape[1]
    zero = np.zeros(channels, np.float32)
    alpha = zero if conv.alpha is None else _flat(conv.alpha)
    if conv.gain is None:
        return alpha, np.zeros(channels, bool)
    gain = _flat(conv.gain)

    def above(rank: NDArray[np.int64]) -> NDArray[np.bool_]:
        with np.errstate(over="ignore"):
            return gain * _by_rank(rank) > alpha

    last = np.full(channels, _LARGEST, np.int64)
    flipped = above(-last)
    low, high = -last, last + 1  # the rank sought is in low … high − 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        same = above(middle) == flipped
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return _by_rank(low), flipped


# The finite float32 in order: rank 0 is 0, and the sign is that of the number.
_LARGEST = int(np.finfo(np.float32).max.view(np.int32))


def _by_rank(rank: NDArray[np.int64]) -> Array:
    return np.copysign(np.abs(rank).astype(np.int32).view(np.float32), rank).astype(np.float32)


def _norm(norm: nn.Module | None) -> dict[str, Array]:
    """BatchNorm by running statistics as a factor and a term, rounded as PyTorch rounds them."""
    if norm is None or isinstance(norm, nn.Identity):
        return {}
    if not isinstance(norm, nn.BatchNorm2d):
        raise _unknown(norm)
    mean, var = cast("torch.Tensor", norm.running_mean), cast("torch.Tensor", norm.running_var)
    factor = (1 / torch.sqrt(var + norm.eps)) * norm.weight
    return {"norm_a": _flat(factor), "norm_b": _flat(norm.bias - mean * factor)}


def _activation(module: nn.Module, channels: int, arrays: dict[str, Array]) -> dict[str, Any]:
    """The operation's field for the activation, whose arrays are added to ``arrays``."""
    match module:
        case RPReLU():
            arrays["beta"] = _flat(module.beta)
            if module.gamma is not None and module.zeta is not None:
                arrays["gamma"], arrays["zeta"] = _flat(module.gamma), _flat(module.zeta)
        case nn.ReLU():
            arrays["beta"] = np.zeros(channels, np.float32)
        case nn.LeakyReLU():
            arrays["beta"] = np.full(channels, module.negative_slope, np.float32)
        case nn.Hardtanh():
            return {"activation": "hardtanh"}
        case nn.Identity():
            return {}
        case _:
            raise _unknown(module)
    return {"activation": "prelu"}


def _unknown(module: nn.Module) -> UserError:
    return UserError(
        f"the engine does not know {class_of(module)}: it runs what bbnas.networks builds"
    )


def _flat(tensor: torch.Tensor) -> Array:
    return tensor.detach().float().flatten().numpy().copy()
