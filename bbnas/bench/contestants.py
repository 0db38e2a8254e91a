"""The contestants of ``bbnas bench engine``: each is a process that runs one model on request.

A process is pinned to its CPUs, and restricted to an instruction set, before it loads its library.
A turn is one run, or the average of many short ones (:func:`bbnas.runs.contest.clocked`).
On one thread the time is processor time, which other processes do not affect; on several it is
wall time. Inputs and outputs are in memory: bytes for the engine, float32 for its peers, each in
its preferred layout.

The time of the unit is that of one more unit in a chain (:mod:`bbnas.engine.units`), for all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from bbnas.engine.model import Model
from bbnas.engine.program import Array, Program
from bbnas.engine.units import UNITS, WIDTH, chain
from bbnas.errors import UserError
from bbnas.native import choose_isa, counting, kernels
from bbnas.processes import SPAWN, end_with_parent, sheltered
from bbnas.runs.contest import clocked
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
    """A runtime on a case's binary or full-precision network; ``avx2`` allows nothing newer."""

    name: str
    runtime: str
    binary: bool = False
    bf16: bool = False
    avx2: bool = False


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
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(theirs, assignment), daemon=True)
        with sheltered():
            self._process.start()
        theirs.close()

    def wait(self) -> None:
        """Wait until the process has started."""
        self.kernels, self.missing = self._receive()

    def turn(self) -> tuple[float, float]:
        """The seconds of one run by the contestant's clock, and in wall time."""
        # Idle threads of the contestant before spin for a while: wait until they have stopped.
        time.sleep(0.02)
        processor, wall = self._receive(asked=True)
        return (processor if len(self.assignment.cpus) == 1 else wall), wall

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _receive(self, asked: bool = False) -> Any:
        try:
            if asked:
                self._pipe.send(True)
            return self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            contestant, case = self.assignment.contestant, self.assignment.case
            raise UserError(
                f"{contestant.name} died on {case.title}, perhaps for want of memory: close "
                "other programs, or give a smaller --lq"
            ) from error


# A turn returns the seconds of one run in processor time and in wall time.
_Turn = Callable[[], tuple[float, float]]


def _serve(pipe: Any, assignment: Assignment) -> None:
    """The process's main: sends (kernels, reason why it cannot run), then seconds of each turn."""
    end_with_parent()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, assignment.cpus)
    os.environ["OMP_NUM_THREADS"] = str(len(assignment.cpus))
    if assignment.contestant.avx2:
        os.environ |= {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    try:
        turn, kernels = _RUNTIMES[assignment.contestant.runtime](assignment)
        if assignment.contestant.avx2 and "avx512" in kernels.lower():
            raise UserError(f"cannot be kept to AVX2: it runs {kernels}")
        turn()
    except Exception as error:  # noqa: BLE001 - reported in one line
        pipe.send(("", " ".join(str(error).split()) or type(error).__name__))
        return
    pipe.send((kernels, ""))
    try:
        while pipe.recv():
            pipe.send(turn())
    except (EOFError, ConnectionError):
        return


def _turn(*runs: Callable[[], object]) -> _Turn:
    """The turn of a network, or of two chains, the long one first."""

    def turn() -> tuple[float, float]:
        times = [np.array(clocked(run)) for run in runs]
        one = times[0] if len(times) == 1 else (times[0] - times[1]) / UNITS
        return float(one[0]), float(one[1])

    return turn


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


def _engine(assignment: Assignment) -> tuple[_Turn, str]:
    isa = "avx2" if assignment.contestant.avx2 else choose_isa()

    def run(program: Program) -> Callable[[], object]:
        model = Model(program, isa, len(assignment.cpus))
        image = np.rint(_image(program, assignment.lq)[0].transpose(1, 2, 0) * 255).astype(
            np.uint8
        )
        return lambda: model(image)

    return _turn(*map(run, assignment.programs)), isa


def _torch(assignment: Assignment) -> tuple[_Turn, str]:
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
        return _turn(run(network, network.channels)), path
    return _turn(*(run(convolutions(count), WIDTH) for count in (1 + UNITS, 1))), path


def _openvino(assignment: Assignment) -> tuple[_Turn, str]:
    import openvino

    from bbnas.engine.export import to_openvino

    core = openvino.Core()
    bf16 = assignment.contestant.bf16
    if bf16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UserError("this processor has no bf16")
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": len(assignment.cpus),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # the process is pinned
    }
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

    return _turn(*map(run, assignment.programs)), ", ".join(sorted(kernels))


def _onnxruntime(assignment: Assignment) -> tuple[_Turn, str]:
    import onnxruntime

    from bbnas.engine.export import to_onnx

    def run(program: Program) -> Callable[[], object]:
        image = _image(program, assignment.lq)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(assignment.cpus)
        for name, size in zip(("n", "height", "width"), (1, *image.shape[2:]), strict=True):
            options.add_free_dimension_override_by_name(name, size)
        session = onnxruntime.InferenceSession(
            to_onnx(program).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        binding.bind_cpu_input("lq", image)
        binding.bind_output("hq")
        return lambda: session.run_with_iobinding(binding)

    return _turn(*map(run, assignment.programs)), ""  # onnxruntime does not name its kernels


# ---- what bounds a unit -----------------------------------------------------------------------


def moved(lq: tuple[int, int]) -> int:
    """Bytes that a unit on its own moves: float32 and bits, each read and written once."""
    return lq[0] * lq[1] * 2 * (4 * WIDTH + WIDTH // 8)


def counts(lq: tuple[int, int]) -> int:
    """Groups of three 32-channel words and 16 outputs: each pixel has three columns of taps."""
    return lq[0] * lq[1] * 3 * (WIDTH // 32) * (WIDTH // 16)


def _counting(assignment: Assignment) -> tuple[_Turn, str]:
    """A unit that only counts bits, with all operands in registers."""
    isa, times = choose_isa(), counts(assignment.lq)
    return _turn(lambda: counting(isa, times)), isa


def _copying(assignment: Assignment) -> tuple[_Turn, str]:
    """A unit that only moves its bytes."""
    source = np.zeros(moved(assignment.lq) // 2, np.uint8)
    target = np.ones_like(source)
    return _turn(lambda: np.copyto(target, source)), "numpy"


_RUNTIMES: dict[str, Callable[[Assignment], tuple[_Turn, str]]] = {
    "engine": _engine,
    "torch": _torch,
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "counting": _counting,
    "copying": _copying,
}
