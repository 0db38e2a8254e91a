"""Evaluation and Study: what was measured, and with what."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from bbnas.design import Design
from bbnas.native import kernels
from bbnas.protocol import Protocol

OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {
    "psnr": "maximize",
    "ops": "minimize",
    "params": "minimize",
    "latency": "minimize",
}
# What a search weighs unless told otherwise: latency holds for one machine only.
DEFAULT_OBJECTIVES = ("psnr", "ops", "params")

# stopped: a search ended the training at a rung; it can go on from there.
Status = Literal["ok", "stopped", "diverged", "failed"]


def environment(device: str = "cpu") -> dict[str, str]:
    """The versions and hardware that a figure depends on, and what trained: see ``kernels``."""
    found = {"machine": platform.machine(), "cpu": cpu(), "device": device}
    return found | {"kernels": kernels(device)} | _versions()


@cache
def cpu() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("bbnas", "torch", "optuna", "scikit-image"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


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
class Candidate:
    """One evaluation's place in a study: its trial number, and whether it was a baseline."""

    number: int
    evaluation: Evaluation
    baseline: str = ""
    finished: datetime | None = None


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


@dataclass(frozen=True)
class StudyConfig:
    """What a study is: a change of any of it is another study.

    ``refine``: every second candidate is a neighbour of the knee found so far.
    ``early_stopping``: candidates may be stopped at the protocol's rungs.
    ``skip_psnr`` is the PSNR (dB) of the network's own global skip on the validation images: what
    costs no operation and no parameter, and so what a candidate must beat. None if unknown.
    ``latency`` is the setting in which latencies are measured, as a plain mapping, where the
    study asks for them.
    """

    name: str
    space: Mapping[str, Any]
    task: str
    protocol: Protocol
    data: str
    data_description: str
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    sampler: str = "tpe"
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    guide: str = "none"
    refine: bool = True
    early_stopping: bool = False
    seed: int = 0
    max_ops: float | None = None
    max_params: float | None = None
    max_latency: float | None = None
    skip_psnr: float | None = None
    latency: Mapping[str, Any] | None = None

    @property
    def floor(self) -> float:
        """PSNR (dB) that a candidate must beat to have learned something: that of the global skip,
        and the noise of a run. −∞ where the skip's is not known.
        """
        return -math.inf if self.skip_psnr is None else self.skip_psnr + self.protocol.noise

    def to_dict(self) -> dict[str, Any]:
        content = asdict(self)
        content["protocol"] = self.protocol.model_dump()
        return content


@dataclass(frozen=True)
class Study:
    """A study read back from the store: the input of analysis and report.

    ``candidates`` are the distinct designs evaluated, in the order in which they finished;
    ``duplicates`` and ``rejected`` count suggestions that cost no training (already evaluated;
    over a cost limit). ``references`` are evaluations under the study's protocol that are not
    candidates (the full-precision reference and single binarized parts of ``benefit``),
    ``confirmations`` those of candidates by a longer protocol.
    ``latency`` is the setting in which the latencies of its evaluations were measured, if any.
    """

    config: StudyConfig
    storage: str
    candidates: tuple[Candidate, ...]
    references: tuple[Evaluation, ...] = ()
    confirmations: tuple[Evaluation, ...] = ()
    duplicates: int = 0
    rejected: int = 0
    created: datetime | None = None
    latency: LatencySetting | None = None

    def evaluations(self) -> list[Evaluation]:
        """Of every design that was evaluated under the study's protocol, once: a candidate may be
        a reference as well.
        """
        everything = [*self.references, *(c.evaluation for c in self.candidates)]
        return list({e.design.key: e for e in everything}.values())
