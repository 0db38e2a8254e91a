"""Evaluation and Study: what was measured, and with what."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from bbnas.design import Design
from bbnas.protocol import Protocol

OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {
    "psnr": "maximize",
    "ops": "minimize",
    "params": "minimize",
}

Status = Literal["ok", "diverged", "failed"]


def environment(device: str = "cpu") -> dict[str, str]:
    """The versions and hardware that a figure depends on."""
    return {"machine": platform.machine(), "device": device, **_versions()}


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
class Evaluation:
    """One design trained and scored under one protocol, with its figures and its circumstances.

    ``ops`` and ``params`` are plain counts in the paper's convention for the design at full
    width and depth; ``psnr`` (dB) and ``ssim`` are NaN unless ``status`` is ``ok``. ``curve``
    holds (iteration, training L1 loss on 0..1) pairs, up to the point of divergence if it did.
    ``data`` is the fingerprint of the images; ``seconds`` is the wall time of training and
    scoring.
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

    @property
    def feasible(self) -> bool:
        return self.status == "ok" and math.isfinite(self.psnr)


@dataclass(frozen=True)
class Candidate:
    """One evaluation's place in a study: its trial number, and whether it was a baseline."""

    number: int
    evaluation: Evaluation
    baseline: str = ""
    finished: datetime | None = None


@dataclass(frozen=True)
class StudyConfig:
    """What a study is: a change of any of it is another study.

    ``refine``: every second candidate is a neighbour of the knee found so far.
    ``skip_psnr`` is the PSNR (dB) of the network's own global skip on the validation images: what
    costs no operation and no parameter, and so what a candidate must beat. None if unknown.
    """

    name: str
    space: Mapping[str, Any]
    task: str
    protocol: Protocol
    data: str
    data_description: str
    objectives: tuple[str, ...] = ("psnr", "ops", "params")
    sampler: str = "tpe"
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    guide: str = "none"
    refine: bool = True
    seed: int = 0
    max_ops: float | None = None
    max_params: float | None = None
    skip_psnr: float | None = None

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
    candidates (the full-precision reference and single binarized parts of ``benefit``).
    """

    config: StudyConfig
    storage: str
    candidates: tuple[Candidate, ...]
    references: tuple[Evaluation, ...] = ()
    duplicates: int = 0
    rejected: int = 0
    created: datetime | None = None
