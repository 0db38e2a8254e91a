"""Rivals: 1-bit networks beside networks that are not 1-bit, measured together on one machine.

A 1-bit network is compared with every network that restores as well, not with its own
full-precision twin. What ``bbnas rivals`` measures is written to one JSON file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from bbnas.axes import plain
from bbnas.design import Design
from bbnas.device import Precision
from bbnas.errors import UserError
from bbnas.files import write_output
from bbnas.protocol import Protocol
from bbnas.schema import Value, read_json
from bbnas.tasks import Task
from bbnas.text import plural, to_json

# Where networks and measurements are kept.
RUNS = Path("runs") / "rivals"
# Versions of the file; one of another version is refused.
FORMAT = 2


class Entrant(Value):
    """A trained network as it runs on the machine: by bbnas's engine, or by the fastest runtime.

    ``psnr`` (dB) is the mean of ``runs``, its PSNR on the validation images in this precision with
    each seed. ``seconds`` is the median
    time of one image, ``spread`` half the range of the middle half of the times relative to it.
    ``bytes`` is the size of its file, ``memory`` what its process grew by (bytes) when it loaded
    and ran the model, 0 where that is not known. ``macs_full`` and ``macs_binary`` are its
    multiply-accumulates on the image of 320×180 LQ pixels, of full-precision and of 1-bit
    convolutions; ``weights_full`` and ``weights_binary`` are the numbers of their weights.
    """

    design: Design
    precision: Precision
    runtime: str
    psnr: float = Field(allow_inf_nan=False)
    runs: tuple[float, ...]
    seconds: float = Field(gt=0, allow_inf_nan=False)
    spread: float = Field(ge=0, allow_inf_nan=False)
    bytes: int = Field(gt=0)
    memory: int = Field(ge=0)
    macs_full: float = Field(ge=0, allow_inf_nan=False)
    macs_binary: float = Field(ge=0, allow_inf_nan=False)
    weights_full: int = Field(ge=0)
    weights_binary: int = Field(ge=0)

    @property
    def name(self) -> str:
        """``12×32 direct, int8``: width × depth, how it reaches the output's size where that is
        not the paper's, and the precision.
        """
        one = self.design
        form = f" {plain(one.upsampler)}" if one.upsampler != Design().upsampler else ""
        form += f" unshuffle {one.unshuffle}" if one.unshuffle > 1 else ""
        return f"{one.width}×{one.depth}{form}, {self.precision}"


class Rivals(Value):
    """Entrants that were trained by one protocol on the same batches, and timed in one run.

    ``lq`` is (width, height) of the timed image in pixels. ``unit_seconds`` holds the time of one
    more 64→64 3×3 convolution in a chain, by precision. ``data`` is the fingerprint of the
    images. ``skip_psnr`` (dB) is that of the network's global skip. ``noise`` is the standard
    deviation of PSNR (dB) between the ``seeds``.
    """

    format: int = FORMAT
    task: str
    protocol: Protocol
    data: str
    skip_psnr: float = Field(allow_inf_nan=False)
    seeds: int = Field(ge=1)
    noise: float = Field(ge=0, allow_inf_nan=False)
    lq: tuple[int, int]
    threads: int = Field(ge=1)
    rounds: int = Field(ge=1)
    machine: str
    isa: str
    measured: str
    versions: dict[str, str]
    unit_seconds: dict[Precision, float]
    entrants: tuple[Entrant, ...]

    @property
    def one_bit(self) -> tuple[Entrant, ...]:
        return tuple(e for e in self.entrants if e.precision == "1-bit")

    @property
    def others(self) -> tuple[Entrant, ...]:
        return tuple(e for e in self.entrants if e.precision != "1-bit")

    @property
    def words(self) -> str:
        """How the figures were made, in one line."""
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return (
            f"{self.task}, {self.lq[0]}×{self.lq[1]} LQ pixels, {threads}, {self.machine}, "
            f"{self.isa}, {self.measured}; protocol {self.protocol.name} "
            f"({self.protocol.iterations:,} iterations), mean of {plural(self.seeds, 'seed')}, "
            f"{self.noise:.3f} dB between seeds"
        )

    def write(self, path: Path) -> None:
        """Write the file in one step.

        Raises:
            UserError: it cannot be written.
        """
        write_output(path, to_json(self, indent=1) + "\n")


def place_of(name: str) -> Path:
    """The file of the rivals of a study or a task."""
    return RUNS / f"{name}.json"


def read_rivals(path: Path, task: Task | None = None) -> Rivals:
    """The file that :meth:`Rivals.write` wrote, of ``task`` if one is given.

    Raises:
        UserError: no such file, another format or version of it, or another task.
    """
    found = read_json(Rivals, path, "a file of rivals", "measure again with bbnas rivals")
    if task is not None and found.task != task.name:
        raise UserError(f"{path}: is of {found.task}, not of {task.name}; name that task's file")
    return found


def rivals_of(study: str, task: Task, data: str, say: Callable[[str], None]) -> Rivals | None:
    """What was measured for ``study``, else for its ``task``, on the same images (``data`` is
    their fingerprint); None if nothing was.

    A file that cannot be read is told by ``say``.
    """
    for path in (place_of(study), place_of(task.name)):
        if not path.is_file():
            continue
        try:
            found = read_rivals(path, task)
        except UserError as error:
            say(str(error))
            continue
        if found.data == data:
            return found
    return None
