"""The .bbn format, by "The .bbn format" of docs/deploy.md alone, in numpy.

Nothing of bbnas reads the file or runs the network here.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from typing import Any

import numpy as np
import pytest

from bbnas.design import Design
from bbnas.engine import compile_network
from bbnas.engine.file import to_bytes
from bbnas.native import isas
from bbnas.presets import presets
from bbnas.runtime import BbnModel
from bbnas.tasks import Part, get_task
from tests.engine.networks import BUILT, network, picture

Header = dict[str, Any]
Arrays = dict[str, np.ndarray]


def read(content: bytes) -> tuple[Header, list[Arrays]]:
    """The header, and the arrays of each operation."""
    assert content[:8] == bytes.fromhex("89 42 42 4E 0D 0A 1A 0A")
    version, stored, length, zero = struct.unpack("<IIII", content[8:24])
    (size,) = struct.unpack("<Q", content[24:32])
    assert (version in (1, 2, 3), zero, size) == (True, 0, len(content))
    assert content[32:64] == hashlib.sha256(content[64:]).digest()
    text = zlib.decompress(content[64 : 64 + stored])
    assert len(text) == length
    header = json.loads(text.decode())
    begin = math.ceil((64 + stored) / 64) * 64
    assert not any(content[64 + stored : begin])
    data, end = content[begin:], 0
    arrays: list[Arrays] = [{} for _ in header["ops"]]
    for operation, name, kind, shape, offset, number in header["arrays"]:
        assert offset == math.ceil(end / 64) * 64
        assert not any(data[end:offset])
        end = offset + number
        raw, count = data[offset:end], math.prod(shape)
        if kind == "f4":
            array = np.frombuffer(raw, "<f4").reshape(shape)
        else:
            out, inputs, rows, columns = shape
            bits = [raw[i // 8] >> i % 8 & 1 for i in range(8 * number)]
            assert not any(bits[count:])
            array = np.array(bits[:count]).reshape(out, rows, columns, inputs)
            array = array.transpose(0, 3, 1, 2) * 2.0 - 1
        arrays[operation][name] = array
    assert end == len(data)
    return header, arrays


def run(content: bytes, image: np.ndarray) -> np.ndarray:
    """The output (s·H, s·W, C), float, of a uint8 image (H, W, C)."""
    header, all_arrays = read(content)
    height, width, _ = image.shape
    step, scale = header.get("step", 1), header["scale"]
    x = np.moveaxis(image / 255, 2, 0)
    x = np.pad(x, ((0, 0), (0, -height % step), (0, -width % step)), "edge")
    tensors: dict[int, np.ndarray] = {}
    for op, arrays in zip(header["ops"], all_arrays, strict=True):
        s = op.get("shuffle", 1)
        inputs = [tensors[t] for t in op.get("inputs", [])]
        residual = tensors.get(op.get("residual", -1))
        made = op.get("output", op.get("bits", -1))
        channels = header["tensors"][made][1] if made >= 0 else header["channels"]
        a = {name: array.reshape(-1, 1, 1) for name, array in arrays.items() if name != "weight"}
        match op["kind"]:
            case "input":
                y = (x - a["mean"]) / a["std"] if "mean" in a else x * op.get("factor", 1.0)
            case "output":
                y = inputs[0]
                y = y * a["std"] + a["mean"] if "mean" in a else y / op.get("factor", 1.0)
                return np.moveaxis(y[:, : height * scale, : width * scale], 0, 2)
            case "repeat":
                c = len(inputs[0])
                y = np.repeat(inputs[0], channels // c, 0)
                y = np.concatenate([y, inputs[0][: channels - len(y)]])
            case "conv" | "binary" | "narrow":
                y = convolved(inputs[0], arrays["weight"] * magnitudes(arrays))
                y = y + a.get("bias", 0)
                if op["kind"] == "narrow":
                    y = y + (0 if residual is None else residual)
                else:
                    y = epilogue(y, op, a, residual, channels)
            case "bilinear":
                y = bilinear(inputs[0], scale)
            case "accumulate":
                y = sum(f * b for f, b in zip(arrays["factors"], inputs, strict=True))
            case "pack":
                y = inputs[0]
            case "unshuffle":
                u = header["tensors"][op["inputs"][0]][2] // header["tensors"][made][2]
                c, h, w = inputs[0].shape
                y = inputs[0].reshape(c, h // u, u, w // u, u).transpose(0, 2, 4, 1, 3)
                y = y.reshape(c * u * u, h // u, w // u)
            case "shuffle":
                y = shuffled(inputs[0], s) + (0 if residual is None else residual)
        if op.get("output", -1) >= 0:
            tensors[op["output"]] = y
        if op.get("bits", -1) >= 0:
            t = a["threshold"]
            tensors[op["bits"]] = np.where(
                y * t + a["pack_b"] > 0 if "pack_b" in a else y > t, 1.0, -1.0
            )
    raise AssertionError("no output")


def magnitudes(arrays: Arrays) -> np.ndarray:
    return arrays.get("magnitude", np.ones(1)).reshape(-1, 1, 1, 1)


def convolved(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    _, height, width = x.shape
    side = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    y = np.zeros((len(weight), height, width))
    for i in range(side):
        for j in range(side):
            part = padded[:, i : i + height, j : j + width]
            y += np.tensordot(weight[:, :, i, j], part, 1)
    return y


def epilogue(
    y: np.ndarray, op: Header, a: Arrays, residual: np.ndarray | None, channels: int
) -> np.ndarray:
    s, place = op.get("shuffle", 1), op.get("place", "none")
    if residual is not None:
        residual = np.repeat(residual[:channels], s * s, 0)
    y = y * a.get("scale", 1)
    if "norm_a" in a:
        y = y * a["norm_a"] + a["norm_b"]
    y = y + residual if place == "before" else y
    if op.get("activation") == "hardtanh":
        y = np.clip(y, -1, 1)
    elif op.get("activation") == "prelu":
        z = y - a.get("gamma", 0)
        y = np.maximum(z, 0) + a["beta"] * np.minimum(z, 0)
    first = op.get("zeta_first", False)
    y = y + a.get("zeta", 0) if first else y
    y = y + residual if place == "after" else y
    y = y if first else y + a.get("zeta", 0)
    y = np.where(y > 0, y, y * op.get("slope", 1.0))
    return shuffled(y, s)


def shuffled(y: np.ndarray, s: int) -> np.ndarray:
    wide, height, width = y.shape
    y = y.reshape(wide // s**2, s, s, height, width).transpose(0, 3, 1, 4, 2)
    return y.reshape(wide // s**2, height * s, width * s)


def bilinear(x: np.ndarray, scale: int) -> np.ndarray:
    for axis in (1, 2):
        length = x.shape[axis]
        at = np.clip((np.arange(length * scale) + 0.5) / scale - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape(-1, 1) if axis == 1 else at - low
        high = np.minimum(low + 1, length - 1)
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


@pytest.mark.skipif(not isas(), reason="no compiled library")
@pytest.mark.parametrize(
    ("task", "name"),
    [("sr2", "bbcu-m"), ("sr3", "btm"), ("sr4", "bam"), ("denoise25", "reactnet"),
     ("jpeg10", "bbcu"), ("sr2", "srresnet")],
)  # fmt: skip
def test_a_network_runs_by_the_specification_alone(task: str, name: str) -> None:
    design = presets(get_task(task))[name].replace(width=12, depth=3)
    same(compile_content(design, task), task, design)


def compile_content(design: Design, task: str) -> bytes:
    return to_bytes(compile_network(network(design, task), get_task(task)))


def same(content: bytes, task: str, design: Design) -> None:
    image = picture(network(design, task), 9, 13)
    model = BbnModel(content)
    expected = np.empty((9 * model.scale, 13 * model.scale, model.channels), np.float32)
    model.run(image, expected, 1)
    found = run(content, image)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


@pytest.mark.skipif(not isas(), reason="no compiled library")
def test_every_part_may_be_1_bit() -> None:
    design = Design(binarize=tuple(Part), width=20, depth=2, norm="batchnorm")
    same(compile_content(design, "sr2"), "sr2", design)


@pytest.mark.skipif(not isas(), reason="no compiled library")
@pytest.mark.parametrize(("task", "changes"), BUILT)
def test_parts_may_be_built_otherwise(task: str, changes: dict[str, object]) -> None:
    for binarize in ((), tuple(Part)):
        design = Design(binarize=binarize, width=16, depth=2).replace(**changes)
        same(compile_content(design, task), task, design)
