"""The contestants of ``bbnas bench engine``: each is a process that runs one model on request.

They take turns as in :mod:`bbnas.runs.turns`, restricted to an instruction set where it says so.
Inputs and outputs are in memory: bytes for the engine, float32 for its peers, each in its
preferred layout.

The time of the unit is that of one more unit in a chain (:mod:`bbnas.engine.units`), for all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np

from bbnas.device import Precision
from bbnas.engine.export import to_onnx
from bbnas.engine.model import Model
from bbnas.engine.peers import HELD, Runtime, load, openvino_settings, to_int8
from bbnas.engine.program import Array, Program
from bbnas.engine.units import UNITS, WIDTH, chain
from bbnas.errors import UserError
from bbnas.native import choose_isa, counting, kernels
from bbnas.runs.turns import TurnProcess
from bbnas.tasks import get_task


@dataclass(frozen=True)
class Case:
    """A binary network and its full-precision counterpart; without a task it is the unit."""

    title: str
    task: str = ""
    binary: str = ""
    full: str = ""


@dataclass(frozen=True)
class Contestant:
    """A runtime on a case's binary or full-precision network, in the ``precision`` that it is to
    have there; ``avx2`` allows nothing newer.
    """

    name: str
    runtime: str
    precision: Precision = "fp32"
    avx2: bool = False

    @property
    def binary(self) -> bool:
        return self.precision == "1-bit"


@dataclass(frozen=True)
class Assignment:
    """A contestant's programs and CPUs; ``lq`` is (width, height) of the image in pixels."""

    case: Case
    contestant: Contestant
    cpus: tuple[int, ...]
    lq: tuple[int, int]
    programs: tuple[Program, ...]


class ContestantProcess:
    """A process that is ready for its turns, or the reason why it is not (``missing``)."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.kernels, self.missing = "", ""
        contestant = assignment.contestant
        kept = HELD["avx2"] | {"ATEN_CPU_CAPABILITY": "avx2"} if contestant.avx2 else None
        name = f"{contestant.name} on {assignment.case.title}"
        self._process = TurnProcess(name, assignment.cpus, partial(_prepare, assignment), kept)

    def wait(self) -> None:
        """Wait until the process has started."""
        try:
            self.kernels, self._count = self._process.ready()
        except UserError as error:
            self.missing = str(error)

    def turn(self) -> tuple[float, float]:
        """The seconds of one run, or of one more unit in a chain: by the contestant's clock, and
        in wall time.
        """
        long, *short = (self._process.turn(place) for place in range(self._count))
        if not short:
            return long
        first, second = ((a - b) / UNITS for a, b in zip(long, short[0], strict=True))
        return first, second

    def end(self) -> None:
        self._process.end()


# What runs in the turns of a contestant: a network, or two chains, the long one first.
_Runs = Sequence[Callable[[], object]]


def _prepare(assignment: Assignment) -> tuple[tuple[str, int], _Runs]:
    """The kernels of the contestant and how many it runs, and what runs."""
    runs, kernels = _RUNTIMES[assignment.contestant.runtime](assignment)
    if assignment.contestant.avx2 and "avx512" in kernels.lower():
        raise UserError(f"cannot be kept to AVX2: it runs {kernels}")
    for run in runs:
        run()
    return (kernels, len(runs)), runs


# ---- models -----------------------------------------------------------------------------------


def programs(case: Case, binary: bool) -> tuple[Program, ...]:
    """The network's program, or those of two chains of 1 + ``UNITS`` and of one unit.

    A unit in full precision is a bare convolution.
    """
    if not case.task:
        return chain(1 + UNITS, binary), chain(1, binary)
    from bbnas.engine.compile import compile_network

    return (compile_network(_network(case, binary), get_task(case.task)),)


def _network(case: Case, binary: bool) -> Any:
    import torch

    from bbnas.networks import build
    from bbnas.presets import load_design

    torch.manual_seed(0)
    task = get_task(case.task)
    return build(load_design(case.binary if binary else case.full, task), task).eval()


def _image(program: Program, lq: tuple[int, int]) -> Array:
    """A random image, float32 (1, C, H, W)."""
    rng = np.random.default_rng(0)
    return rng.random((1, program.channels, lq[1], lq[0]), np.float32)


# ---- runtimes ---------------------------------------------------------------------------------


def _engine(assignment: Assignment) -> tuple[_Runs, str]:
    isa = "avx2" if assignment.contestant.avx2 else choose_isa()

    def run(program: Program) -> Callable[[], object]:
        model = Model(program, isa, len(assignment.cpus))
        image = np.rint(_image(program, assignment.lq)[0].transpose(1, 2, 0) * 255).astype(
            np.uint8
        )
        return lambda: model(image)

    return [*map(run, assignment.programs)], isa


def _torch(assignment: Assignment) -> tuple[_Runs, str]:
    import torch
    from torch import nn

    # Otherwise a network of bbnas runs by the library's training kernels, on one thread.
    os.environ["BBNAS_ISA"] = "torch"
    torch.set_num_threads(len(assignment.cpus))

    def run(network: nn.Module, channels: int) -> Callable[[], object]:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        image = torch.rand(1, channels, assignment.lq[1], assignment.lq[0])
        image = image.contiguous(memory_format=torch.channels_last)

        def once() -> object:
            with torch.inference_mode():
                return network(image)

        return once

    def convolutions(count: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False) for _ in range(count))
        )

    path = f"{kernels()} {torch.backends.cpu.get_cpu_capability()}"
    if assignment.case.task:
        network = _network(assignment.case, assignment.contestant.binary)
        return [run(network, network.channels)], path
    return [run(convolutions(count), WIDTH) for count in (1 + UNITS, 1)], path


def _openvino(assignment: Assignment) -> tuple[_Runs, str]:
    """OpenVINO with bbnas's export, which has 1-bit convolutions; it names its kernels."""
    import openvino

    from bbnas.engine.export import to_openvino

    core = openvino.Core()
    bf16 = assignment.contestant.precision == "bf16"
    settings = openvino_settings(bf16, len(assignment.cpus))
    kernels: set[str] = set()

    def run(program: Program) -> Callable[[], object]:
        model, image = to_openvino(program), _image(program, assignment.lq)
        model.reshape(image.shape)
        compiled = core.compile_model(model, "CPU", settings)
        for op in compiled.get_runtime_model().get_ops():
            info = op.get_rt_info()
            if "Convolution" in info["layerType"].astype(str):
                kernels.add(info["primitiveType"].astype(str))
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(image))
        return cast("Callable[[], object]", request.infer)

    return [*map(run, assignment.programs)], ", ".join(sorted(kernels))


def _onnx(runtime: Runtime, assignment: Assignment) -> tuple[_Runs, str]:
    """A runtime with an ONNX model, which does not name its kernels."""

    def run(program: Program) -> Callable[[], object]:
        image = _image(program, assignment.lq)
        if assignment.contestant.precision == "int8":
            model = to_int8(program, [image])
        else:
            model = to_onnx(program).SerializeToString()
        ready = load(model, runtime, threads=len(assignment.cpus))
        return lambda: ready(image)

    return [*map(run, assignment.programs)], ""


# ---- what bounds a unit -----------------------------------------------------------------------


def moved(lq: tuple[int, int]) -> int:
    """Bytes that a unit on its own moves: float32 and bits, each read and written once."""
    return lq[0] * lq[1] * 2 * (4 * WIDTH + WIDTH // 8)


def counts(lq: tuple[int, int]) -> int:
    """Groups of three 32-channel words and 16 outputs: each pixel has three columns of taps."""
    return lq[0] * lq[1] * 3 * (WIDTH // 32) * (WIDTH // 16)


def _counting(assignment: Assignment) -> tuple[_Runs, str]:
    """A unit that only counts bits, with all operands in registers."""
    isa, times = choose_isa(), counts(assignment.lq)
    return [lambda: counting(isa, times)], isa


def _copying(assignment: Assignment) -> tuple[_Runs, str]:
    """A unit that only moves its bytes."""
    source = np.zeros(moved(assignment.lq) // 2, np.uint8)
    target = np.ones_like(source)
    return [lambda: np.copyto(target, source)], "numpy"


_RUNTIMES: dict[str, Callable[[Assignment], tuple[_Runs, str]]] = {
    "engine": _engine,
    "torch": _torch,
    "openvino": _openvino,
    "openvino-onnx": partial(_onnx, "OpenVINO"),
    "onnxruntime": partial(_onnx, "onnxruntime"),
    "counting": _counting,
    "copying": _copying,
}
