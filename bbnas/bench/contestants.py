"""The contestants of ``bbnas bench engine``: each a process that runs one model when told to.

A process is pinned to its CPUs, and kept from newer instruction sets, before it loads its
library. A turn is one run; of a fast model as many as take ``TURN`` seconds, after one that warms
up. On one thread the clock is the process's, which does not run while others do, on more the
wall's. Inputs and outputs are in memory: the engine's bytes, the peers' float32 as each likes it.

The unit is what one more costs a chain of them, (chain of 1 + ``UNITS`` − chain of 1) / ``UNITS``,
of the engine as of all peers: nobody pays for the conversions at the ends, and features stay where
each of them keeps features in a network.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from bbnas.engine.model import Model
from bbnas.engine.native import counting
from bbnas.engine.program import Array, Kind, Op, Program, Tensor
from bbnas.errors import UserError
from bbnas.native import choose_isa
from bbnas.tasks import get_task

UNITS, WIDTH = 8, 64
TURN = 0.05


@dataclass(frozen=True)
class Case:
    """A binary network and the full-precision one that peers run instead; no task: the unit."""

    title: str
    task: str = ""
    binary: str = ""
    full: str = ""


@dataclass(frozen=True)
class Contestant:
    """Runs a case's binary or its full-precision network. ``avx2``: with nothing newer."""

    name: str
    runtime: str
    binary: bool = False
    bf16: bool = False
    avx2: bool = False


@dataclass(frozen=True)
class Job:
    """What a contestant is to run, on which CPUs; ``lq``: width and height of the image."""

    case: Case
    contestant: Contestant
    cpus: tuple[int, ...]
    lq: tuple[int, int]
    programs: tuple[Program, ...]


class Worker:
    """A process that is ready for its turns, or the reason why there is none (``missing``)."""

    def __init__(self, job: Job) -> None:
        import multiprocessing

        self.job = job
        self.kernels, self.missing = "", ""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def wait(self) -> None:
        """Until it has started."""
        self.kernels, self.missing = self._receive()

    def turn(self) -> tuple[float, float]:
        """The seconds of one run, and those by the wall's clock."""
        # By then the threads of the one before have stopped looking for work in a loop.
        time.sleep(0.02)
        self._pipe.send(True)
        processor, wall = self._receive()
        return (processor if len(self.job.cpus) == 1 else wall), wall

    def end(self) -> None:
        self._pipe.close()
        self._process.join(1)
        if self._process.is_alive():
            self._process.kill()

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise UserError(
                f"{self.job.contestant.name} died on {self.job.case.title}, perhaps for want of "
                "memory: close other programs, or give a smaller --lq"
            ) from error


# Seconds by the clocks of the processor and of the wall.
_Turn = Callable[[], tuple[float, float]]


def _serve(pipe: Any, job: Job) -> None:
    """A worker's main: (its kernels, why it cannot run), then the seconds of each turn."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job.cpus)
    os.environ["OMP_NUM_THREADS"] = str(len(job.cpus))
    if job.contestant.avx2:
        os.environ |= {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    try:
        turn, kernels = _RUNTIMES[job.contestant.runtime](job)
        if job.contestant.avx2 and "avx512" in kernels.lower():
            raise UserError(f"cannot be kept to AVX2: it runs {kernels}")
        turn()
    except Exception as error:  # noqa: BLE001 - it is told, in one line
        pipe.send(("", " ".join(str(error).split()) or type(error).__name__))
        return
    pipe.send((kernels, ""))
    try:
        while pipe.recv():
            pipe.send(turn())
    except (EOFError, ConnectionError):
        return


def _turn(*runs: Callable[[], object]) -> _Turn:
    """Of a network; or of two chains, the long one first."""

    def clocks() -> Array:
        return np.array((time.process_time(), time.perf_counter()))

    def seconds(run: Callable[[], object], count: int) -> Array:
        started = clocks()
        for _ in range(count):
            run()
        return (clocks() - started) / count

    def average(run: Callable[[], object]) -> Array:
        first = seconds(run, 1)
        return first if first[1] > TURN else seconds(run, round(TURN / first[1]))

    def turn() -> tuple[float, float]:
        found = [average(run) for run in runs]
        one = found[0] if len(found) == 1 else (found[0] - found[1]) / UNITS
        return float(one[0]), float(one[1])

    return turn


# ---- models -----------------------------------------------------------------------------------


def programs(case: Case, binary: bool) -> tuple[Program, ...]:
    """The network's; or those of a chain of 1 + ``UNITS`` and of one unit or bare convolution."""
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


def chain(units: int, binary: bool, width: int = WIDTH) -> Program:
    """BBCU units one after the other, or bare convolutions, on an image of ``width`` channels."""
    rng = np.random.default_rng(0)
    tensors: list[Tensor] = []

    def make(kind: Kind) -> int:
        tensors.append(Tensor(kind, width))
        return len(tensors) - 1

    def floats(*shape: int) -> Array:
        # So that convolutions, one after the other, keep the size of their values.
        return rng.normal(0, 1 / (3 * width**0.5), shape).astype(np.float32)

    image = make("planes")
    ops = [Op("input", output=image)]
    if not binary:
        x = image
        for _ in range(units):
            arrays = {"weight": floats(width, width, 3, 3)}
            ops.append(Op("conv", (x,), make("floats"), arrays=arrays))
            x = ops[-1].output
        return Program(1, width, units, tuple(tensors), (*ops, Op("output", (x,))))
    x, bits = make("floats"), make("bits")
    ops.append(Op("repeat", (image,), x))
    ops.append(Op("pack", (x,), bits=bits, arrays={"threshold": floats(width)}))
    for i in range(units):
        names = ["scale", "gamma", "beta", "zeta", *(["threshold"] if i < units - 1 else [])]
        arrays = {name: floats(width) for name in names}
        arrays["weight"] = rng.integers(0, 2, (width, width, 3, 3)).astype(np.uint8)
        unit = Op(
            "binary",
            (bits,),
            make("floats"),
            make("bits") if "threshold" in arrays else -1,
            residual=x,
            activation="prelu",
            place="after",
            arrays=arrays,
        )
        ops.append(unit)
        x, bits = unit.output, unit.bits
    return Program(1, width, units, tuple(tensors), (*ops, Op("output", (x,))))


def _image(program: Program, lq: tuple[int, int]) -> Array:
    """A random one, float32 (1, C, H, W)."""
    rng = np.random.default_rng(0)
    return rng.random((1, program.channels, lq[1], lq[0]), np.float32)


# ---- runtimes ---------------------------------------------------------------------------------


def _engine(job: Job) -> tuple[_Turn, str]:
    isa = "avx2" if job.contestant.avx2 else choose_isa()

    def run(program: Program) -> Callable[[], object]:
        model = Model(program, isa, len(job.cpus))
        image = np.rint(_image(program, job.lq)[0].transpose(1, 2, 0) * 255).astype(np.uint8)
        return lambda: model(image)

    return _turn(*map(run, job.programs)), isa


def _torch(job: Job) -> tuple[_Turn, str]:
    import torch
    from torch import nn

    torch.set_num_threads(len(job.cpus))

    def run(network: nn.Module, channels: int) -> Callable[[], object]:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        image = torch.rand(1, channels, job.lq[1], job.lq[0])
        image = image.contiguous(memory_format=torch.channels_last)

        def once() -> object:
            with torch.inference_mode():
                return network(image)

        return once

    def convolutions(count: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False) for _ in range(count))
        )

    kernels = torch.backends.cpu.get_cpu_capability()
    if job.case.task:
        network = _network(job.case, job.contestant.binary)
        return _turn(run(network, network.channels)), kernels
    return _turn(*(run(convolutions(count), WIDTH) for count in (1 + UNITS, 1))), kernels


def _openvino(job: Job) -> tuple[_Turn, str]:
    import openvino

    from bbnas.engine.export import to_openvino

    core = openvino.Core()
    bf16 = job.contestant.bf16
    if bf16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UserError("this processor has no bf16")
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "INFERENCE_NUM_THREADS": len(job.cpus),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # the process is pinned
    }
    kernels: set[str] = set()

    def run(program: Program) -> Callable[[], object]:
        model, image = to_openvino(program), _image(program, job.lq)
        model.reshape(image.shape)
        compiled = core.compile_model(model, "CPU", settings)
        for op in compiled.get_runtime_model().get_ops():
            info = op.get_rt_info()
            if "Convolution" in info["layerType"].astype(str):
                kernels.add(info["primitiveType"].astype(str))
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(image))
        return cast("Callable[[], object]", request.infer)

    return _turn(*map(run, job.programs)), ", ".join(sorted(kernels))


def _onnxruntime(job: Job) -> tuple[_Turn, str]:
    import onnxruntime

    from bbnas.engine.export import to_onnx

    def run(program: Program) -> Callable[[], object]:
        image = _image(program, job.lq)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(job.cpus)
        for name, size in zip(("n", "height", "width"), (1, *image.shape[2:]), strict=True):
            options.add_free_dimension_override_by_name(name, size)
        session = onnxruntime.InferenceSession(
            to_onnx(program).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        binding.bind_cpu_input("lq", image)
        binding.bind_output("hq")
        return lambda: session.run_with_iobinding(binding)

    return _turn(*map(run, job.programs)), ""  # it does not say


# ---- what bounds a unit -----------------------------------------------------------------------


def moved(lq: tuple[int, int]) -> int:
    """Bytes of a unit on its own: float32 and bits, each read and written once."""
    return lq[0] * lq[1] * 2 * (4 * WIDTH + WIDTH // 8)


def counts(lq: tuple[int, int]) -> int:
    """Of three words of 32 channels and 16 outputs: a pixel has three columns of taps."""
    return lq[0] * lq[1] * 3 * (WIDTH // 32) * (WIDTH // 16)


def _counting(job: Job) -> tuple[_Turn, str]:
    """A unit that does nothing but count bits, all of them in registers."""
    isa, times = choose_isa(), counts(job.lq)
    return _turn(lambda: counting(isa, times)), isa


def _copying(job: Job) -> tuple[_Turn, str]:
    """A unit that does nothing but move its bytes."""
    source = np.zeros(moved(job.lq) // 2, np.uint8)
    target = np.ones_like(source)
    return _turn(lambda: np.copyto(target, source)), "numpy"


_RUNTIMES: dict[str, Callable[[Job], tuple[_Turn, str]]] = {
    "engine": _engine,
    "torch": _torch,
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "counting": _counting,
    "copying": _copying,
}
