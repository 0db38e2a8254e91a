"""Evaluation and Study: what was measured, and with what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bbnas.design import Design
from bbnas.protocol import Protocol

# stopped: a search ended the training at a rung; it can go on from there.
Status = Literal["ok", "stopped", "diverged", "failed"]


@dataclass(frozen=True)
class LatencySetting:
    """What two latencies must share to be compared.

    ``lq`` is (width, height) of the image in pixels; ``engine`` identifies the code that ran:
    the compiled library, or the version of torch where there is none.
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
        return f"{self.lq[0]}×{self.lq[1]} LQ pixels, {threads}, {self.isa}, {self.cpu}"


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
    width and depth; ``psnr`` (dB) and ``ssim`` are NaN unless ``status`` is ``ok``. ``curve``
    holds (iteration, training L1 loss on 0..1) pairs, up to the point of divergence if it did;
    ``rungs`` the (iteration, PSNR) pairs of the protocol's rungs that were scored on the way.
    ``data`` is the fingerprint of the images; ``seconds`` is the wall time of training and
    scoring. ``latency`` (seconds) is that of the full design in the setting of a study that asks
    for it, else NaN: it is measured beside training, and kept by design.
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

    @property
    def feasible(self) -> bool:
        return self.status == "ok" and math.isfinite(self.psnr)

    @property
    def result(self) -> str:
        """``25.13 dB``, ``stopped at iteration 125 with 24.31 dB``, ``diverged`` or ``failed``."""
        if self.feasible:
            return f"{self.psnr:.2f} dB"
        if self.status == "stopped" and self.rungs:
            return f"stopped at iteration {self.rungs[-1][0]} with {self.rungs[-1][1]:.2f} dB"
        return self.status


@dataclass(frozen=True)
class MeasuredFidelity:
    """How ``protocol`` ranks designs of ``space`` as the longer protocol ``long`` does.

    ``result`` is a :class:`bbnas.analysis.fidelity.Fidelity` in plain values, ``environment`` that
    of the long trainings.
    """

    task: str
    space: str
    protocol: Protocol
    long: Protocol
    data: str
    result: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
