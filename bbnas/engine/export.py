"""Export of a program to other runtimes, as an OpenVINO or an ONNX model.

The input ``lq`` is an LQ image, float32 (N, C, H, W) in 0..1. The output ``hq`` is float32
(N, C, s·H, s·W), neither clamped nor rounded. N, H and W are free, but for a program of ``step``
2, whose H and W are even. ONNX computes everything in
floating point. OpenVINO counts bits: the activations and weights of its ``BinaryConvolution`` are
u1. Each operation computes what :mod:`bbnas.engine.reference` computes.

The CPU plugin of OpenVINO has four requirements for a ``BinaryConvolution``, found in its source
and in runs of 2025.4 to 2026.4. It checks only the first; if another one is violated, the result
is wrong. (2026.3 computes a wrong result in any case: openvino#37528.)

- Images have a fixed size: call ``model.reshape([1, C, H, W])`` before ``compile_model``.
- ``FakeQuantize`` gives 0 and 1, not −1 and 1, and weights are packed from the lowest bit.
- The number of input channels is a multiple of 8. The export adds missing channels in pairs, which
  are −1 everywhere and whose weights are 1 and −1, so that each pair sums to 0 at every tap. An
  odd number cannot be filled with pairs; there the export writes a floating-point convolution.
- A sum with a residual has a reader besides the bits, because otherwise the plugin reads the
  residual as bits too.

The export rounds each floating-point convolution of ±1, whose sums are whole numbers. Without
rounding, runtimes fold the following scale into the weights, sums of 0 become ±1e-9, and the
following signs differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bbnas import __version__
from bbnas.engine.program import Array, Op, Program, check, full_precision
from bbnas.errors import UserError

# A node of a runtime's graph, or its name.
Node = Any


@dataclass(frozen=True)
class Exported:
    """The written files with their bytes, and how many binary convolutions count bits."""

    files: dict[Path, int]
    binary_layers: int
    one_bit_layers: int


class _Graph(Protocol):
    """The operations of a runtime's graph. An Array argument has one value a channel."""

    def mul(self, x: Node, y: Node | Array) -> Node: ...
    def add(self, x: Node, y: Node | Array) -> Node: ...
    def sub(self, x: Node, y: Array) -> Node: ...
    def div(self, x: Node, y: Array) -> Node: ...
    def prelu(self, x: Node, slope: Array) -> Node: ...
    def hardtanh(self, x: Node) -> Node: ...
    def sign(self, x: Node, threshold: Array) -> Node: ...
    def conv(self, x: Node, weight: Array, bias: Array | None) -> Node: ...
    def binary(self, x: Node, threshold: Array, weight: Array) -> Node: ...
    def channels(self, x: Node, index: Array) -> Node: ...
    def bilinear(self, x: Node, scale: int) -> Node: ...
    def shuffle(self, x: Node, step: int) -> Node: ...
    def unshuffle(self, x: Node, step: int, channels: int) -> Node: ...


def _build(program: Program, graph: _Graph, image: Node) -> Node:
    """The node of the output of ``program`` on ``image``, built with operations of ``graph``."""
    found: dict[int, Node] = {}
    # The node and threshold of each tensor of bits: a bit is 1 where the node is above it.
    bits: dict[int, tuple[Node, Array]] = {}
    for op in program.ops:
        if op.kind == "output":
            x = found[op.inputs[0]]
            if "mean" in op.arrays:
                return graph.add(graph.mul(x, op.arrays["std"]), op.arrays["mean"])
            return graph.div(x, np.array([op.factor], np.float32))
        y = _work(program, op, graph, image, found, bits)
        if op.output >= 0:
            found[op.output] = y
        if op.bits >= 0:
            threshold = op.arrays["threshold"]
            if "pack_b" in op.arrays:
                y = graph.add(graph.mul(y, threshold), op.arrays["pack_b"])
                threshold = np.zeros_like(threshold)
            if op.kind == "binary" and op.residual >= 0 and op.output < 0:
                # The comparison prevents OpenVINO from fusing the sum with the bits.
                y, threshold = graph.sign(y, threshold), np.zeros_like(threshold)
            bits[op.bits] = (y, threshold)
    raise AssertionError("a program ends with its output")


def _work(
    program: Program,
    op: Op,
    graph: _Graph,
    image: Node,
    found: dict[int, Node],
    bits: dict[int, tuple[Node, Array]],
) -> Node:
    match op.kind:
        case "input":
            if "mean" in op.arrays:
                return graph.div(graph.sub(image, op.arrays["mean"]), op.arrays["std"])
            return graph.mul(image, np.array([op.factor], np.float32))
        case "pack":
            return found[op.inputs[0]]
        case "repeat":
            channels = program.tensors[op.output].channels
            given = program.tensors[op.inputs[0]].channels
            times, rest = divmod(channels, given)
            index = np.concatenate([np.repeat(np.arange(given), times), np.arange(rest)])
            return graph.channels(found[op.inputs[0]], index)
        case "bilinear":
            return graph.bilinear(found[op.inputs[0]], program.scale)
        case "unshuffle":
            whole = program.tensors[op.inputs[0]]
            step = whole.scale // program.tensors[op.output].scale
            return graph.unshuffle(found[op.inputs[0]], step, whole.channels)
        case "shuffle":
            y = graph.shuffle(found[op.inputs[0]], op.shuffle)
            return y if op.residual < 0 else graph.add(y, found[op.residual])
        case "accumulate":
            maps = (graph.sign(*bits[t]) for t in op.inputs)
            scaled = [
                graph.mul(x, factor.reshape(1))
                for x, factor in zip(maps, op.arrays["factors"], strict=True)
            ]
            total = scaled[0]
            for part in scaled[1:]:
                total = graph.add(total, part)
            return total
        case "binary":
            x, threshold = bits[op.inputs[0]]
            y = graph.binary(x, threshold, op.arrays["weight"])
        case _:
            y = graph.conv(found[op.inputs[0]], full_precision(op), op.arrays.get("bias"))
    return _epilogue(program, op, graph, y, found.get(op.residual))


def _epilogue(program: Program, op: Op, graph: _Graph, y: Node, residual: Node | None) -> Node:
    if op.kind == "narrow":
        return y if residual is None else graph.add(y, residual)
    arrays = op.arrays
    channels = len(arrays["weight"]) // op.shuffle**2
    if residual is not None and (
        op.shuffle > 1 or program.tensors[op.residual].channels > channels
    ):
        residual = graph.channels(residual, np.repeat(np.arange(channels), op.shuffle**2))
    if "scale" in arrays:
        y = graph.mul(y, arrays["scale"])
    if "norm_a" in arrays:
        y = graph.add(graph.mul(y, arrays["norm_a"]), arrays["norm_b"])
    if op.place == "before" and residual is not None:
        y = graph.add(y, residual)
    if op.activation == "prelu":
        z = graph.sub(y, arrays["gamma"]) if "gamma" in arrays else y
        y = graph.prelu(z, arrays["beta"])
    elif op.activation == "hardtanh":
        y = graph.hardtanh(y)
    if "zeta" in arrays and op.zeta_first:
        y = graph.add(y, arrays["zeta"])
    if op.place == "after" and residual is not None:
        y = graph.add(y, residual)
    if "zeta" in arrays and not op.zeta_first:
        y = graph.add(y, arrays["zeta"])
    if op.slope != 1:
        y = graph.prelu(y, np.full(len(op.arrays["weight"]), op.slope, np.float32))
    return graph.shuffle(y, op.shuffle) if op.shuffle > 1 else y


def _wide(value: Node | Array) -> Node | Array:
    """``value``; an array is reshaped to (1, C, 1, 1)."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value, np.float32).reshape(1, -1, 1, 1)
    return value


def _plus_minus(weight: Array) -> Array:
    return weight.astype(np.float32) * 2 - 1


# ---- OpenVINO ---------------------------------------------------------------------------------


class _OpenVINO:
    def __init__(self) -> None:
        try:
            import openvino
            from openvino import opset13
        except ImportError as error:
            raise _missing("openvino") from error
        self.openvino, self.ops = openvino, opset13
        self.one_bit = 0

    def value(self, value: Node | Array) -> Node:
        value = _wide(value)
        return self.ops.constant(value) if isinstance(value, np.ndarray) else value

    def mul(self, x: Node, y: Node | Array) -> Node:
        return self.ops.multiply(x, self.value(y))

    def add(self, x: Node, y: Node | Array) -> Node:
        return self.ops.add(x, self.value(y))

    def sub(self, x: Node, y: Array) -> Node:
        return self.ops.subtract(x, self.value(y))

    def div(self, x: Node, y: Array) -> Node:
        return self.ops.divide(x, self.value(y))

    def prelu(self, x: Node, slope: Array) -> Node:
        return self.ops.prelu(x, self.ops.constant(np.ascontiguousarray(slope)))

    def hardtanh(self, x: Node) -> Node:
        return self.ops.clamp(x, -1.0, 1.0)

    def sign(self, x: Node, threshold: Array) -> Node:
        ops = self.ops
        one, minus = ops.constant(np.float32(1)), ops.constant(np.float32(-1))
        return ops.select(ops.greater(x, self.value(threshold)), one, minus)

    def conv(self, x: Node, weight: Array, bias: Array | None) -> Node:
        kernel, edge = self.ops.constant(np.ascontiguousarray(weight)), [weight.shape[-1] // 2] * 2
        y = self.ops.convolution(x, kernel, [1, 1], edge, edge, [1, 1])
        return y if bias is None else self.add(y, bias)

    def binary(self, x: Node, threshold: Array, weight: Array) -> Node:
        more = -weight.shape[1] % 8
        if more % 2:
            y = self.conv(self.sign(x, threshold), _plus_minus(weight), None)
            return self.ops.round(y, "half_to_even")
        if more:
            none, ends = np.zeros(4, np.int64), np.array([0, more, 0, 0], np.int64)
            ops, zero = self.ops, self.ops.constant(np.float32(0))
            x = ops.pad(x, ops.constant(none), ops.constant(ends), "constant", zero)
            threshold = np.pad(threshold, (0, more))
            weight = np.pad(weight, ((0, 0), (0, more), (0, 0), (0, 0)))
            weight[:, -more::2] = 1
        self.one_bit += 1
        low, high = (self.ops.constant(np.float32(v)) for v in (0, 1))
        at = self.value(threshold)
        bits = self.ops.fake_quantize(x, at, at, low, high, 2)
        return self.ops.binary_convolution(
            bits, self.u1(weight), [1, 1], [1, 1], [1, 1], [1, 1], "xnor-popcount", 0.0
        )

    def u1(self, weight: Array) -> Node:
        packed = self.openvino.Tensor(self.openvino.Type.u1, self.openvino.Shape(weight.shape))
        packed.data.reshape(-1)[:] = np.packbits(weight.ravel(), bitorder="little")
        return self.openvino.op.Constant(packed)

    def channels(self, x: Node, index: Array) -> Node:
        ops = self.ops
        return ops.gather(x, ops.constant(index.astype(np.int64)), ops.constant(np.int64(1)))

    def bilinear(self, x: Node, scale: int) -> Node:
        sizes = self.ops.constant(np.full(2, scale, np.float32))
        axes = self.ops.constant(np.array([2, 3], np.int64))
        return self.ops.interpolate(
            x,
            sizes,
            "linear_onnx",
            "scales",
            coordinate_transformation_mode="half_pixel",
            axes=axes,
        )

    def shuffle(self, x: Node, step: int) -> Node:
        return self.ops.depth_to_space(x, "depth_first", step)

    def unshuffle(self, x: Node, step: int, channels: int) -> Node:
        return self.ops.space_to_depth(x, "depth_first", step)


def to_openvino(program: Program) -> Any:
    """``program`` as an ``openvino.Model`` with 1-bit convolutions.

    Raises:
        UserError: openvino is not installed.
    """
    return _openvino(program)[0]


def _openvino(program: Program) -> tuple[Any, int]:
    check(program)
    graph = _OpenVINO()
    shape = graph.openvino.PartialShape([-1, program.channels, -1, -1])
    image = graph.ops.parameter(shape, np.float32, name="lq")
    image.output(0).get_tensor().set_names({"lq"})
    result = graph.ops.result(_build(program, graph, image), name="hq")
    result.output(0).get_tensor().set_names({"hq"})
    model = graph.openvino.Model([result], [image], "bbnas")
    for name, text in _origin(program).items():
        model.set_rt_info(text, ["bbnas", name])
    return model, graph.one_bit


def _write_openvino(program: Program, path: Path) -> Exported:
    from bbnas.files import temporary_folder, write_output

    model, one_bit = _openvino(program)
    from openvino import save_model  # _openvino has checked that the package is installed

    with temporary_folder() as folder:
        draft = folder / "model.xml"
        save_model(model, draft, compress_to_fp16=False)
        # The .bin comes first, so that an .xml never lacks its weights.
        contents = {end: draft.with_suffix(end).read_bytes() for end in (".bin", ".xml")}
    for end, content in contents.items():
        write_output(path.with_suffix(end), content)
    files = {path.with_suffix(end): len(content) for end, content in contents.items()}
    return Exported(files, _binary_layers(program), one_bit)


# ---- ONNX -------------------------------------------------------------------------------------

OPSET, IR = 17, 8  # ONNX's versions of 2022, which runtimes since then read


class _ONNX:
    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise _missing("onnx") from error
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: Node | Array, **attributes: Any) -> str:
        names = [self.value(x) for x in inputs]
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, names, [name], **attributes))
        return name

    def value(self, value: Node | Array) -> str:
        if isinstance(value, str):
            return value
        name = f"constant_{len(self.constants)}"
        array = np.ascontiguousarray(value)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def mul(self, x: Node, y: Node | Array) -> Node:
        return self.node("Mul", x, _wide(y))

    def add(self, x: Node, y: Node | Array) -> Node:
        return self.node("Add", x, _wide(y))

    def sub(self, x: Node, y: Array) -> Node:
        return self.node("Sub", x, _wide(y))

    def div(self, x: Node, y: Array) -> Node:
        return self.node("Div", x, _wide(y))

    def prelu(self, x: Node, slope: Array) -> Node:
        return self.node("PRelu", x, slope.reshape(-1, 1, 1))

    def hardtanh(self, x: Node) -> Node:
        return self.node("Clip", x, np.array(-1, np.float32), np.array(1, np.float32))

    def sign(self, x: Node, threshold: Array) -> Node:
        one, minus = np.array(1, np.float32), np.array(-1, np.float32)
        return self.node("Where", self.node("Greater", x, _wide(threshold)), one, minus)

    def conv(self, x: Node, weight: Array, bias: Array | None) -> Node:
        more = () if bias is None else (bias,)
        side = weight.shape[-1]
        pads = [side // 2] * 4
        return self.node("Conv", x, weight, *more, kernel_shape=[side, side], pads=pads)

    def binary(self, x: Node, threshold: Array, weight: Array) -> Node:
        return self.node("Round", self.conv(self.sign(x, threshold), _plus_minus(weight), None))

    def channels(self, x: Node, index: Array) -> Node:
        return self.node("Gather", x, index.astype(np.int64), axis=1)

    def bilinear(self, x: Node, scale: int) -> Node:
        sizes = np.array([1, 1, scale, scale], np.float32)
        return self.node(
            "Resize", x, "", sizes, mode="linear", coordinate_transformation_mode="half_pixel"
        )

    def shuffle(self, x: Node, step: int) -> Node:
        return self.node("DepthToSpace", x, blocksize=step, mode="CRD")

    def unshuffle(self, x: Node, step: int, channels: int) -> Node:
        # ONNX has the channels of one position together, PyTorch those of one input channel.
        y = self.node("SpaceToDepth", x, blocksize=step)
        index = np.arange(channels * step**2).reshape(step**2, -1).T.ravel()
        return self.channels(y, index)


def to_onnx(program: Program) -> Any:
    """``program`` as a checked ``onnx.ModelProto`` in floating point.

    Raises:
        UserError: onnx is not installed.
    """
    check(program)
    graph = _ONNX()
    helper, kind = graph.onnx.helper, graph.onnx.TensorProto.FLOAT
    last = _build(program, graph, "lq")
    graph.nodes.append(helper.make_node("Identity", [last], ["hq"]))
    channels = program.channels
    made = helper.make_graph(
        graph.nodes,
        "bbnas",
        [helper.make_tensor_value_info("lq", kind, ["n", channels, "height", "width"])],
        [helper.make_tensor_value_info("hq", kind, ["n", channels, "hq_height", "hq_width"])],
        graph.constants,
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="bbnas",
        producer_version=__version__,
    )
    helper.set_model_props(model, _origin(program))
    graph.onnx.checker.check_model(model, full_check=True)
    return model


def _write_onnx(program: Program, path: Path) -> Exported:
    from bbnas.files import write_output

    content = to_onnx(program).SerializeToString()
    write_output(path, content)
    return Exported({path: len(content)}, _binary_layers(program), 0)


# ---- both -------------------------------------------------------------------------------------

# Format → (suffix of its file, function that writes it).
FORMATS: dict[str, tuple[str, Callable[[Program, Path], Exported]]] = {
    "openvino": (".xml", _write_openvino),
    "onnx": (".onnx", _write_onnx),
}


def export_program(program: Program, form: str, path: Path) -> Exported:
    """Write ``program`` for another runtime, each file in one atomic step.

    ``form`` is one of ``FORMATS``. OpenVINO's weights go into a .bin file beside ``path``.

    Raises:
        UserError: ``path`` has another suffix, or the format's package is not installed.
        OSError: a file cannot be written.
    """
    suffix, write = FORMATS[form]
    if path.suffix != suffix:
        raise UserError(f"-o {path}: {form} models end in {suffix}; name it {path.stem}{suffix}")
    return write(program, path)


def _missing(package: str) -> UserError:
    return UserError(f"{package} is not installed and needed here: pip install 'bbnas[bench]'")


def _binary_layers(program: Program) -> int:
    return sum(op.kind == "binary" for op in program.ops)


def _origin(program: Program) -> dict[str, str]:
    """Task, design and bbnas version, as labels for people."""
    return {"task": program.task, "design": json.dumps(dict(program.design)), "by": __version__}
