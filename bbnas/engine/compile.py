"""Networks to programs: every module of ``bbnas.networks`` in the engine's operations."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import nn

from bbnas.binary import Accumulation, BinaryUnit, BinaryUpsample, BinaryWeightConv2d, RPReLU, Unit
from bbnas.binary.methods import XNORNet
from bbnas.binary.weights import WEIGHTS, mean_magnitude
from bbnas.engine.program import Array, Op, Program, Tensor, check
from bbnas.errors import UserError
from bbnas.networks import DnCNN, RestorationNetwork, SRResNet
from bbnas.networks.dncnn import ConvBlock
from bbnas.networks.parts import AccumulatingBody, BinaryBlock
from bbnas.networks.srresnet import ResidualBlock
from bbnas.tasks import Task

Binary = BinaryUnit | Unit


def compile_network(network: RestorationNetwork, task: Task | None = None) -> Program:
    """The program of ``network`` as it evaluates, and computes what it does in evaluation mode.

    Raises:
        UserError: the network holds a module that the engine does not know.
    """
    with torch.no_grad():
        return _Compiler(network, task).program()


class _Compiler:
    """Walks a network in the order of its forward, appending operations.

    A feature map is named by the index of its tensor. The bits that a unit sees of a map are made
    by the operation that makes the map: ``bits_of`` adds them to it when a unit asks.
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
        image = self.add("input", (), Tensor("planes", network.channels), **form)
        self.part = "head"
        x = self.head(image)
        self.part = "body"
        x = self.body(x)
        if isinstance(network, SRResNet):
            self.part = "upsampling"
            x = self.upsampling(x)
        elif not isinstance(network, DnCNN):
            raise UserError(f"the engine does not know {type(network).__name__}")
        self.part = "tail"
        skip = image
        if network.scale > 1:
            size = Tensor("planes", network.channels, network.scale)
            skip = self.add("bilinear", (image,), size)
        x = self.tail(x, skip)
        self.add("output", (x,), None, **form)
        self.drop_unread()
        program = Program(
            scale=network.scale,
            channels=network.channels,
            reach=network.reach,
            tensors=tuple(self.tensors),
            ops=tuple(Op(**op) for op in self.ops),
            design=network.design.to_dict(),
            task="" if self.task is None else self.task.name,
        )
        check(program)
        return program

    def drop_unread(self) -> None:
        """Forget maps of which only the bits are wanted, and number the others anew."""
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
        """What a unit sees of map ``x``: bits x > threshold, or x·threshold + pack_b > 0."""
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
        layer: nn.Module,
        *,
        shuffle: int = 1,
        slope: float | None = None,
        **rest: Any,
    ) -> int:
        """A full-precision 3×3 convolution, PixelShuffle, LeakyReLU."""
        arrays = _weights(layer) | rest.pop("more", {})
        wide = len(arrays["weight"])
        channels = wide // shuffle**2
        if slope is not None:
            rest["activation"] = "prelu"
            arrays["beta"] = np.full(wide, slope, np.float32)
        size = Tensor("floats", channels, self.tensors[x].scale * shuffle)
        return self.add("conv", (x,), size, shuffle=shuffle, arrays=arrays, **rest)

    def unit(self, x: int, unit: Binary, residual: int = -1, *, shuffle: int = 1) -> int:
        """A binary unit, its residual a map of the size of ``x``; PixelShuffle after it."""
        conv = unit.conv
        if isinstance(unit, XNORNet):
            if unit.activation_scale:
                raise UserError(
                    "the engine has no XNOR-Net with activation scales: leave them out"
                )
            a, b = _norm(unit.norm)
            bits = self.bits_of(x, a, b)
        else:
            zero = np.zeros(self.tensors[x].channels, np.float32)
            bits = self.bits_of(x, zero if conv.alpha is None else _flat(conv.alpha))
        return self.binary(bits, unit, residual if unit.adds else -1, shuffle)

    def binary(self, bits: int, unit: Binary, residual: int, shuffle: int = 1) -> int:
        conv = unit.conv
        binarizer = WEIGHTS[conv.weights]
        latent = conv.weight if binarizer.latent is None else binarizer.latent(conv.weight)
        scale = torch.ones(len(latent)) if binarizer.scale is None else binarizer.scale(latent)
        arrays = {"weight": (latent > 0).to(torch.uint8).numpy(), "scale": _flat(scale)}
        norm = getattr(unit, "norm", None)
        if isinstance(norm, nn.BatchNorm2d) and not isinstance(unit, XNORNet):
            arrays["norm_a"], arrays["norm_b"] = _norm(norm)
        inside = unit.inside if isinstance(unit, BinaryUnit) else True
        rest: dict[str, Any] = {"residual": residual, "shuffle": shuffle}
        rest["place"] = "none" if residual < 0 else "after" if inside else "before"
        if not isinstance(unit, BinaryUnit):
            # BNN's Hardtanh, BTM's PReLU and XNOR-Net's ReLU; others have none.
            name = type(unit).__name__
            acts = {"BNN": nn.Hardtanh(), "XNORNet": nn.ReLU()}
            activation = getattr(unit, "activation", acts.get(name, nn.Identity()))
        else:
            activation = unit.activation
        rest |= self.activation(activation, len(latent), arrays)
        # A PixelShuffle stands between RPReLU's ζ and the nearest residual.
        rest["zeta_first"] = "zeta" in arrays and (shuffle > 1 or rest["place"] != "after")
        size = Tensor("floats", len(latent) // shuffle**2, self.tensors[bits].scale * shuffle)
        return self.add("binary", (bits,), size, arrays=arrays, **rest)

    @staticmethod
    def activation(module: nn.Module, channels: int, arrays: dict[str, Array]) -> dict[str, Any]:
        match module:
            case RPReLU():
                arrays["beta"] = _flat(module.beta)
                if module.gamma is not None and module.zeta is not None:
                    arrays["gamma"], arrays["zeta"] = _flat(module.gamma), _flat(module.zeta)
                return {"activation": "prelu"}
            case nn.ReLU():
                arrays["beta"] = np.zeros(channels, np.float32)
                return {"activation": "prelu"}
            case nn.Hardtanh():
                return {"activation": "hardtanh"}
            case nn.Identity():
                return {}
        raise UserError(f"the engine does not know the activation {type(module).__name__}")

    # ---- parts --------------------------------------------------------------------------------

    def head(self, image: int) -> int:
        head = self.network.head
        if not isinstance(head.layer, BinaryUnit | Unit):
            return self.conv(image, head.layer, slope=head.slope)
        residual = -1
        if head.layer.adds:
            residual = self.add("repeat", (image,), Tensor("floats", head.width))
        return self.unit(image, head.layer, residual)

    def body(self, x: int) -> int:
        body = self.network.body
        if isinstance(body, AccumulatingBody):
            return self.accumulating(x, body)
        for block in cast("nn.Sequential", body):
            match block:
                case BinaryBlock():
                    residual = x if block.residual else -1
                    *first, last = cast("list[Binary]", list(block.units))
                    for unit in first:
                        x = self.unit(x, unit)
                    x = self.unit(x, last, residual)
                case ResidualBlock():
                    residual = x
                    *convs, last_conv = block.convs
                    for layer in convs:
                        x = self.conv(x, layer, slope=0.0)
                    slope = 0.0 if block.activated else None
                    x = self.conv(x, last_conv, slope=slope, residual=residual, place="after")
                case ConvBlock():
                    a, b = _norm(block.norm)
                    x = self.conv(x, block.conv, slope=0.0, more={"norm_a": a, "norm_b": b})
                case _:
                    raise UserError(f"the engine does not know {type(block).__name__}")
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
        up = cast("SRResNet", self.network).upsampling
        for step, layer in zip(up.steps, up.up, strict=True):
            if isinstance(layer, BinaryUpsample):
                x = self.unit(x, layer.unit, x, shuffle=step)
            else:
                x = self.conv(x, layer, shuffle=step, slope=0.1)
        if isinstance(up.hr, BinaryUnit | Unit):
            return self.unit(x, up.hr, x)
        return self.conv(x, up.hr, slope=0.1)

    def tail(self, x: int, skip: int) -> int:
        layer = self.network.tail.layer
        channels = self.network.channels
        size = Tensor("planes", channels, self.network.scale)
        if not isinstance(layer, BinaryUnit | Unit):
            return self.add("narrow", (x,), size, residual=skip, arrays=_weights(layer))
        residual = self.add("repeat", (skip,), Tensor("floats", channels, size.scale))
        if layer.adds:
            return self.unit(x, layer, residual)
        x = self.unit(x, layer)
        # The unit ends in its activation; what it leaves out is added by one that does nothing.
        eye = np.zeros((channels, channels, 3, 3), np.float32)
        eye[range(channels), range(channels), 1, 1] = 1
        size = self.tensors[x]
        return self.add(
            "conv", (x,), size, residual=residual, place="after", arrays={"weight": eye}
        )


def _weights(layer: nn.Module) -> dict[str, Array]:
    """The arrays of a convolution whose activations are full-precision."""
    found: dict[str, Array] = {}
    if isinstance(layer, BinaryWeightConv2d):
        found["weight"] = (layer.weight > 0).to(torch.uint8).numpy()
        found["magnitude"] = _flat(mean_magnitude(layer.weight))
    elif isinstance(layer, nn.Conv2d):
        found["weight"] = layer.weight.detach().float().numpy().copy()
    else:
        raise UserError(f"the engine does not know {type(layer).__name__}")
    if layer.bias is not None:
        found["bias"] = _flat(layer.bias)
    return found


def _norm(norm: nn.BatchNorm2d) -> tuple[Array, Array]:
    """What BatchNorm multiplies by and adds, in float32 as PyTorch computes them."""
    mean, var = cast("torch.Tensor", norm.running_mean), cast("torch.Tensor", norm.running_var)
    a = (1 / torch.sqrt(var + norm.eps)) * norm.weight
    return _flat(a), _flat(norm.bias - mean * a)


def _flat(tensor: torch.Tensor) -> Array:
    return tensor.detach().float().flatten().numpy().copy()
