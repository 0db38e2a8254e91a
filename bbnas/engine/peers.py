"""Programs run by other runtimes, in fp32, bf16 or 8 bits: OpenVINO and onnxruntime.

8 bits are static post-training quantization by onnxruntime: weights by channel, activations with
ranges from calibration images, each convolution with integers (QDQ).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bbnas.device import Precision
from bbnas.engine.export import to_onnx
from bbnas.engine.program import Array, Program
from bbnas.errors import UserError, why
from bbnas.native import isas

Runtime = Literal["OpenVINO", "onnxruntime"]
# An image, float32 (1, C, H, W) in 0..1, to the restored one.
Run = Callable[[Array], Array]


# What holds OpenVINO's kernels to an instruction set of the engine, as variables of its process.
# AVX-512 is never cut: all machines that the engine's AVX-512 runs on have VNNI.
HELD = {"avx2": {"OV_CPU_MAX_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}}


@dataclass(frozen=True)
class Peer:
    """A network in a ``precision`` for a runtime: an ONNX ``model``, and the bytes of its file."""

    runtime: Runtime
    precision: Precision
    model: bytes
    bytes: int


def runtimes(isa: str) -> tuple[Runtime, ...]:
    """The runtimes that are installed here and can be held to the engine's instruction set.

    On the best instruction set of this machine nothing is held.

    Raises:
        UserError: none is, the packages that write a model for them are not, or none can be held
            to ``isa``.
    """
    needed = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if needed:
        raise UserError(
            f"{' and '.join(needed)} not installed and needed here: pip install 'bbnas[bench]'"
        )
    openvino, best = find_spec("openvino") is not None, isas()[0]
    if isa == best:
        return ("OpenVINO", "onnxruntime") if openvino else ("onnxruntime",)
    if isa not in HELD:
        raise UserError(
            f"no runtime can be held to {isa}: choose {isas()[0]} or {', '.join(HELD)}"
        )
    if not openvino:
        raise UserError(f"OpenVINO alone can be held to {isa}: pip install 'bbnas[bench]'")
    return ("OpenVINO",)


def held_to(isa: str) -> dict[str, str]:
    """The variables of a process whose OpenVINO has the instructions of ``isa`` alone; they count
    before it is imported.
    """
    return {} if isa == isas()[0] else HELD.get(isa, {})


def in_each_precision(
    program: Program, images: Sequence[Array], found: Sequence[Runtime], isa: str
) -> Iterator[Peer]:
    """A full-precision program in each precision by each runtime of this machine.

    ``images`` decide the ranges of 8 bits, see :func:`to_int8`.

    Raises:
        UserError: onnxruntime cannot quantize it.
    """
    full, small = to_onnx(program).SerializeToString(), to_int8(program, images)
    numbers = sum(array.size for op in program.ops for array in op.arrays.values())
    for runtime in found:
        yield Peer(runtime, "fp32", full, len(full))
        yield Peer(runtime, "int8", small, len(small))
        if runtime == "OpenVINO" and not held_to(isa) and _has_bf16():
            # A file of 16-bit weights is two bytes a number smaller.
            yield Peer(runtime, "bf16", full, len(full) - 2 * numbers)


def _has_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def named(runtime: Runtime) -> str:
    """The runtime with its version."""
    return f"{runtime} {version(runtime.lower())}"


def to_int8(program: Program, images: Sequence[Array]) -> bytes:
    """``program`` as an ONNX model that multiplies 8-bit integers.

    ``images`` are LQ images, float32 (1, C, H, W) in 0..1, whose activations decide the ranges.

    Raises:
        UserError: it has 1-bit convolutions, or onnxruntime cannot quantize it.
    """
    if any(op.kind == "binary" for op in program.ops):
        raise UserError("a 1-bit network is not quantized to 8 bits: give a full-precision one")
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = list(images)

        def get_next(self) -> dict[str, Array] | None:
            return {"lq": self.left.pop()} if self.left else None

    with tempfile.TemporaryDirectory(prefix="bbnas-") as folder:
        given, ready, file = (Path(folder) / f"{name}.onnx" for name in ("fp32", "ready", "int8"))
        given.write_bytes(to_onnx(program).SerializeToString())
        try:
            # Shapes of symbols would need sympy; convolutions are fused without them too.
            quantization.quant_pre_process(given, ready, skip_symbolic_shape=True)
            quantization.quantize_static(
                ready,
                file,
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
            )
        except Exception as error:  # whatever it meets in the graph
            raise UserError(f"onnxruntime cannot quantize the network: {why(error)}") from error
        return file.read_bytes()


def load(model: bytes, runtime: Runtime, bf16: bool = False, threads: int = 1) -> Run:
    """A function that runs an ONNX ``model`` on images of any size; the first of a size is slow.

    Raises:
        UserError: the processor has no bf16, or the runtime none on a CPU.
    """
    return (_openvino if runtime == "OpenVINO" else _onnxruntime)(model, bf16, threads)


def openvino_settings(bf16: bool, threads: int) -> dict[str, Any]:
    """How OpenVINO compiles a model for a process that is pinned to its CPUs.

    Raises:
        UserError: the processor has no bf16.
    """
    if bf16 and not _has_bf16():
        raise UserError("this processor has no bf16")
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }


def _openvino(model: bytes, bf16: bool, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    settings = openvino_settings(bf16, threads)
    graph = core.read_model(model)
    compiled: dict[tuple[int, ...], Any] = {}

    def run(image: Array) -> Array:
        if image.shape not in compiled:
            sized = graph.clone()
            sized.reshape(image.shape)
            request = core.compile_model(sized, "CPU", settings).create_infer_request()
            compiled[image.shape] = request
        request = compiled[image.shape]
        request.set_input_tensor(openvino.Tensor(image, shared_memory=True))
        request.infer()
        return np.asarray(request.get_output_tensor().data)

    return run


def _onnxruntime(model: bytes, bf16: bool, threads: int) -> Run:
    import onnxruntime

    if bf16:
        raise UserError("onnxruntime has no bf16 on a CPU")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda image: np.asarray(session.run(None, {"lq": image})[0])
