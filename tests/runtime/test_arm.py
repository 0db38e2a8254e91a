"""The NEON path, cross-compiled and run by QEMU: the bits of portable code, and its instructions.

QEMU tells nothing about time. The numbers of instructions stand in for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from bbnas.design import METHODS, Design
from bbnas.engine import Program, compile_network
from bbnas.engine.file import to_bytes
from bbnas.engine.units import UNITS, chain
from bbnas.native import build
from bbnas.presets import presets
from bbnas.runtime import BbnModel
from bbnas.tasks import Part, get_task
from tests.engine.networks import BUILT, network

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "bbnas" / "native" / "src"
TARGET = "aarch64-linux-gnu"
MISSING = [
    program
    for program in (f"{TARGET}-g++", f"{TARGET}-gcc", "qemu-aarch64")
    if shutil.which(program) is None
]

pytestmark = pytest.mark.skipif(
    bool(MISSING),
    reason=f"no {', '.join(MISSING)}: on Debian apt-get install g++-{TARGET} qemu-user",
)

HEIGHT, WIDTH = 12, 21


class Machine:
    """A Linux of ARM, emulated, with the library and ``run.c``."""

    def __init__(self, shared: Path, folder: Path) -> None:
        self.folder, self.program = folder, shared / "run"
        with FileLock(shared / "lock"):  # the library takes half a minute: built once for all
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("CXX", f"{TARGET}-g++")
                build.build(shared / "libbbnas.so")
            compiling = [f"{TARGET}-gcc", "-O2", "-I", SOURCES, ROOT / "tests/runtime/run.c"]
            library = ["-L", shared, "-lbbnas", f"-Wl,-rpath,{shared}", "-o", self.program]
            subprocess.run([*compiling, *library], check=True)
        self.pixels = np.random.default_rng(0).integers(0, 256, HEIGHT * WIDTH * 64, np.uint8)
        (folder / "pixels").write_bytes(self.pixels.tobytes())

    def emulate(self, *words: str, options: tuple[str, ...] = ()) -> tuple[bytes, str]:
        command = ["qemu-aarch64", "-L", f"/usr/{TARGET}", *options, *words]
        done = subprocess.run(command, capture_output=True, check=False, timeout=200)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout, done.stderr.decode()

    def words(
        self, isa: str, programs: list[Program], threads: int = 1, tile: int = 0, times: int = 1
    ) -> list[str]:
        """The command that runs the programs."""
        files = []
        for number, program in enumerate(programs):
            files.append(self.folder / f"{number}.bbn")
            files[-1].write_bytes(to_bytes(program))
        numbers = (HEIGHT, WIDTH, threads, tile, times, self.folder / "pixels")
        return [str(self.program), isa, *map(str, (*numbers, *files))]

    def run(
        self, isa: str, programs: list[Program], threads: int = 1, tile: int = 0
    ) -> np.ndarray:
        """The outputs, one after another."""
        output, _ = self.emulate(*self.words(isa, programs, threads, tile))
        return np.frombuffer(output, "<f4")

    def here(self, programs: list[Program]) -> np.ndarray:
        """The same outputs by portable code on the machine that runs the tests."""
        outputs = []
        for program in programs:
            size = HEIGHT * WIDTH * program.channels
            image = self.pixels[:size].reshape(HEIGHT, WIDTH, program.channels)
            s = program.scale
            out = np.empty((HEIGHT * s, WIDTH * s, program.channels), np.float32)
            BbnModel(to_bytes(program), "portable").run(image, out, 1)
            outputs.append(out.ravel())
        return np.concatenate(outputs)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "arm"
    shared.mkdir(exist_ok=True)
    return Machine(shared, tmp_path_factory.mktemp("arm"))


def programs(width: int) -> list[Program]:
    """Every unit in every part of a super-resolution and a denoising network; every operation."""
    found = [
        compile_network(network(Design(width=width, depth=2).replace(**changes), task))
        for task, changes in BUILT
    ]
    for method in METHODS:
        design = Design(binarize=tuple(Part), width=width, depth=2, **METHODS[method])
        found += [
            compile_network(network(design, task), get_task(task)) for task in ("sr2", "denoise25")
        ]
    return found


def test_the_kernels_give_the_bits_of_portable_code(machine: Machine) -> None:
    sources = [ROOT / "tests" / "engine" / "compare.cpp"]
    sources += [SOURCES / f"kernels_{isa}.cpp" for isa in ("neon", "portable")]
    command = [f"{TARGET}-g++", "-O2", "-std=c++17", "-ffp-contract=off", "-static"]
    command += ["-DSUBJECT=kernels_neon", "-I", str(SOURCES), *map(str, sources)]
    subprocess.run([*command, "-o", str(machine.folder / "compare")], check=True)
    assert b"outputs are equal" in machine.emulate(str(machine.folder / "compare"))[0]


@pytest.mark.parametrize("width", [20, 64])
def test_every_unit_gives_the_bits_of_portable_code(machine: Machine, width: int) -> None:
    """On ARM, and on the machine that runs the tests."""
    tried = programs(width)
    neon = machine.run("neon", tried)
    assert neon.std() > 0.01
    np.testing.assert_array_equal(neon, machine.run("portable", tried))
    np.testing.assert_array_equal(neon, machine.here(tried))


def test_a_whole_network_gives_the_bits_of_portable_code(machine: Machine) -> None:
    """BBCU-M of the paper's width and depth; two threads and tiles change nothing."""
    net = network(presets(get_task("sr4"))["bbcu-m"].replace(depth=8), "sr4")
    tried = [compile_network(net, get_task("sr4"))]
    expected = machine.here(tried)
    np.testing.assert_array_equal(machine.run("neon", tried), expected)
    np.testing.assert_array_equal(machine.run("neon", tried, threads=2, tile=16), expected)


def test_the_instructions_of_a_unit(machine: Machine) -> None:
    """Those of docs/measurements.md, by QEMU's count: one more unit in a chain, per pixel."""
    plugin = machine.folder / "instructions.so"
    source = ROOT / "tests" / "runtime" / "instructions.c"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", plugin], check=True)

    def instructions(isa: str, units: int, binary: bool) -> int:
        """Of one run, without what is done once."""
        total = []
        for times in (1, 2):
            words = machine.words(isa, [chain(units, binary)], times=times)
            _, told = machine.emulate(*words, options=("-plugin", str(plugin)))
            (count,) = re.findall(r"^instructions (\d+)$", told, re.MULTILINE)
            total.append(int(count))
        return total[1] - total[0]

    def unit(isa: str, binary: bool) -> float:
        more = instructions(isa, 1 + UNITS, binary) - instructions(isa, 1, binary)
        return more / UNITS / (HEIGHT * WIDTH)

    counts = {(isa, b): unit(isa, b) for isa in ("neon", "portable") for b in (True, False)}
    assert counts["neon", True] < 2200
    assert counts["neon", True] < counts["portable", True] / 2
    assert counts["neon", True] < counts["neon", False] / 3
