"""A program in PyTorch. It defines each operation, and runs where there is no compiled library."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bbnas.engine.program import Op, Program, full_precision


@torch.inference_mode()
def run(program: Program, image: Tensor) -> Tensor:
    """LQ tensor (1, C, H, W) in 0..1 → HQ tensor (1, C, s·H, s·W), not clamped."""
    height, width = (side * program.scale for side in image.shape[2:])
    missing = [-side % program.step for side in image.shape[2:]]
    image = F.pad(image, (0, missing[1], 0, missing[0]), mode="replicate")
    found: dict[int, Tensor] = {}
    for op in program.ops:
        arrays = {name: _tensor(array) for name, array in op.arrays.items()}
        if op.kind == "output":
            x = found[op.inputs[0]][..., :height, :width]
            if "mean" in arrays:
                return x * _channels(arrays["std"]) + _channels(arrays["mean"])
            return x / op.factor
        y = _work(program, op, arrays, image, found)
        if op.output >= 0:
            found[op.output] = y
        if op.bits >= 0:
            t = _channels(arrays["threshold"])
            above = y * t + _channels(arrays["pack_b"]) > 0 if "pack_b" in arrays else y > t
            found[op.bits] = above.float() * 2 - 1
    raise AssertionError("a program ends with its output")


def _work(
    program: Program, op: Op, arrays: dict[str, Tensor], image: Tensor, found: dict[int, Tensor]
) -> Tensor:
    inputs = [found[t] for t in op.inputs]
    match op.kind:
        case "input":
            if "mean" in arrays:
                return (image - _channels(arrays["mean"])) / _channels(arrays["std"])
            return image * op.factor
        case "pack":
            return inputs[0]
        case "repeat":
            channels = program.tensors[op.output].channels
            times, rest = divmod(channels, inputs[0].shape[1])
            return torch.cat([inputs[0].repeat_interleave(times, 1), inputs[0][:, :rest]], 1)
        case "bilinear":
            return F.interpolate(
                inputs[0], scale_factor=program.scale, mode="bilinear", align_corners=False
            )
        case "unshuffle":
            scales = [program.tensors[t].scale for t in (*op.inputs, op.output)]
            return F.pixel_unshuffle(inputs[0], scales[0] // scales[1])
        case "shuffle":
            y = F.pixel_shuffle(inputs[0], op.shuffle)
            return y if op.residual < 0 else y + found[op.residual]
        case "accumulate":
            total = inputs[0] * arrays["factors"][0]
            for bits, factor in zip(inputs[1:], arrays["factors"][1:], strict=True):
                total = total + bits * factor
            return total
    return _layer(op, arrays, inputs[0], found.get(op.residual))


def _layer(op: Op, arrays: dict[str, Tensor], x: Tensor, residual: Tensor | None) -> Tensor:
    binary = op.kind == "binary"
    weight = arrays["weight"].float() * 2 - 1 if binary else _tensor(full_precision(op))
    y = F.conv2d(x, weight, arrays.get("bias"), padding=weight.shape[-1] // 2)
    if op.kind == "narrow":
        return y if residual is None else y + residual
    if residual is not None:
        residual = residual[:, : len(weight) // op.shuffle**2]
        residual = residual.repeat_interleave(op.shuffle**2, 1)
    if "scale" in arrays:
        y = y * _channels(arrays["scale"])
    if "norm_a" in arrays:
        y = y * _channels(arrays["norm_a"]) + _channels(arrays["norm_b"])
    if op.place == "before" and residual is not None:
        y = y + residual
    if op.activation == "prelu":
        z = y - _channels(arrays["gamma"]) if "gamma" in arrays else y
        y = torch.where(z > 0, z, z * _channels(arrays["beta"]))
    elif op.activation == "hardtanh":
        y = F.hardtanh(y)
    if "zeta" in arrays and op.zeta_first:
        y = y + _channels(arrays["zeta"])
    if op.place == "after" and residual is not None:
        y = y + residual
    if "zeta" in arrays and not op.zeta_first:
        y = y + _channels(arrays["zeta"])
    if op.slope != 1:
        y = F.leaky_relu(y, op.slope)
    return F.pixel_shuffle(y, op.shuffle) if op.shuffle > 1 else y


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array))


def _channels(array: Tensor) -> Tensor:
    return array.view(1, -1, 1, 1)
