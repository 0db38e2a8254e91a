"""Evaluations of designs, latencies, and the interfaces of what evaluates and compares them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args
from typing import Protocol as Interface

from bbnas.design import Design
from bbnas.errors import UserError, short, unknown
from bbnas.protocol import Protocol
from bbnas.tasks import Task

# stopped: a search ended the training at a rung, and may resume it there.
Status = Literal["ok", "stopped", "diverged", "failed"]
# What the ``engine`` of a setting begins with whose latencies are forecast, not measured.
FORECAST = "forecast"


@dataclass(frozen=True)
class LatencySetting:
    """What two latencies must share to be compared.

    ``lq`` is (width, height) of the image in pixels; ``engine`` identifies the code that ran:
    the compiled library, or the version of torch where there is none. Of latencies that are
    forecast it names the device.json.
    """

    lq: tuple[int, int]
    threads: int
    isa: str
    cpu: str
    engine: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"lq": list(self.lq)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LatencySetting:
        return cls(**{**content, "lq": tuple(content["lq"])})

    def words(self) -> str:
        """``320×180 LQ pixels, 1 thread, avx2, AMD EPYC``."""
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        how = f" ({self.engine} of a device.json)" if self.forecast else ""
        return f"{self.lq[0]}×{self.lq[1]} LQ pixels, {threads}, {self.isa}, {self.cpu}{how}"

    @property
    def forecast(self) -> bool:
        """Whether its latencies are forecast from what was timed on another machine."""
        return self.engine.startswith(FORECAST)


@dataclass(frozen=True)
class Latency:
    """The time that a design takes on the engine (bbnas.engine.latency measures it).

    ``seconds`` is ``ratio``, the median over ``runs`` of the design's time by that of a reference
    workload run beside it, times ``reference``, the reference's time on the quiet machine: so
    what slows both does not count. ``spread`` is half the range of the middle half of the ratios,
    relative to ``ratio``.
    """

    seconds: float
    ratio: float
    reference: float
    spread: float
    runs: int
    setting: LatencySetting


@dataclass(frozen=True)
class Evaluation:
    """One design trained and scored under one protocol, with its figures and its circumstances.

    ``ops`` and ``params`` are plain counts in the paper's convention for the design at full
    width and depth; ``psnr`` (dB) and ``ssim`` are NaN unless ``status`` is ``ok``, and SSIM may
    be unknown (NaN) there too. An evaluation that is made with the status ``ok`` or ``stopped``
    and a PSNR that is not finite, at the end or at a rung, has the status ``failed``. ``curve``
    holds (iteration, training L1 loss on 0..1) pairs, up to the point of divergence if it did;
    ``rungs`` the (iteration, PSNR) pairs of the protocol's rungs that were scored on the way.
    ``data`` is the fingerprint of the images; ``seconds`` is the wall time of training and
    scoring. ``latency`` (seconds) is that of the full design in the setting of a study that asks
    for it, else NaN: it is measured beside training, and kept by design.

    Raises:
        UserError: an unknown status, or a cost or a time that is not finite.
    """

    design: Design
    task: str
    protocol: Protocol
    data: str
    status: Status
    psnr: float
    ssim: float
    ops: float
    params: float
    seconds: float
    curve: tuple[tuple[int, float], ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    latency: float = math.nan
    rungs: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise unknown("status of an evaluation", self.status, get_args(Status))
        for name in ("ops", "params", "seconds"):
            if not _finite(getattr(self, name)):
                raise UserError(
                    f"{name} = {short(getattr(self, name))} of {self.design.label()}: must be a "
                    "finite number; correct the evaluator"
                )
        if self.status in ("ok", "stopped") and (fault := self._fault()):
            # A frozen dataclass is filled in this way only.
            for name, value in (
                ("status", "failed"),
                ("error", f"{fault} is not a finite number"),
                ("psnr", math.nan),
                ("ssim", math.nan),
                ("rungs", tuple(rung for rung in self.rungs if _finite(rung[1]))),
            ):
                object.__setattr__(self, name, value)

    def _fault(self) -> str:
        """The first figure that should be finite and is not."""
        for iteration, psnr in self.rungs:
            if not _finite(psnr):
                return f"PSNR {short(psnr)} at iteration {iteration}"
        if self.status == "ok" and not _finite(self.psnr):
            return f"PSNR {short(self.psnr)}"
        if self.status == "ok" and not (_finite(self.ssim) or self.ssim != self.ssim):
            return f"SSIM {short(self.ssim)}"
        return ""

    @property
    def feasible(self) -> bool:
        return self.status == "ok"

    @property
    def result(self) -> str:
        """``25.13 dB``, ``stopped at iteration 125 with 24.31 dB``, ``diverged`` or ``failed``."""
        if self.feasible:
            return f"{self.psnr:.2f} dB"
        if self.status == "stopped" and self.rungs:
            return f"stopped at iteration {self.rungs[-1][0]} with {self.rungs[-1][1]:.2f} dB"
        return self.status


def _finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # no number, or one beyond floats
        return False


class Outcome(Interface):
    """What the outcome of a design is judged by: an Evaluation, or less of it."""

    @property
    def design(self) -> Design: ...

    @property
    def status(self) -> Status: ...

    @property
    def psnr(self) -> float: ...

    @property
    def rungs(self) -> tuple[tuple[int, float], ...]: ...

    @property
    def feasible(self) -> bool: ...


class Bar(Interface):
    """What outcomes are compared with: a StudyConfig, or less of it."""

    @property
    def protocol(self) -> Protocol: ...

    @property
    def floor(self) -> float: ...


class Costs(Interface):
    """Plain counts of a design at full width and depth, in the paper's convention."""

    @property
    def ops(self) -> float: ...

    @property
    def params(self) -> float: ...


def paused_name(design: Design, task: Task, protocol: Protocol, data: str) -> str:
    """The name of the file that keeps the state of an evaluation under these circumstances."""
    return f"{design.key}-{task.name}-{protocol.key}-{data[:12]}.safetensors"


class Evaluator(Interface):
    """Evaluates designs: by training them, or by looking them up in a table.

    It knows the task, the protocol, the identity of the images (``data`` is a fingerprint) and
    the PSNR (dB) of the network's global skip and of bicubic interpolation on them.
    ``largest_patch`` is the side in pixels of the largest training patch that every image has. It
    must pickle, since workers get copies.
    """

    @property
    def task(self) -> Task: ...

    @property
    def protocol(self) -> Protocol: ...

    @property
    def data(self) -> str: ...

    @property
    def data_description(self) -> str: ...

    @property
    def skip_psnr(self) -> float | None: ...

    @property
    def bicubic_psnr(self) -> float | None: ...

    @property
    def largest_patch(self) -> int: ...

    def cost(self, design: Design) -> Costs:
        """OPs and Params of ``design``."""

    def __call__(
        self, design: Design, until: int | None = None, protocol: Protocol | None = None
    ) -> Evaluation:
        """Evaluate ``design`` by ``protocol`` (its own by default). Only with ``until``, one of
        the protocol's rungs, the evaluation may end there, with status ``stopped``.
        """

    def pausing(self, folder: str) -> Evaluator:
        """The same evaluator, which keeps the state of a stopped evaluation as the file
        :func:`paused_name` of ``folder``, a path or a URL, and removes it at the end.
        """
