"""Study: the record of a search, and what defines it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from bbnas.evaluation import Evaluation, LatencySetting
from bbnas.protocol import Protocol

OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {
    "psnr": "maximize",
    "ops": "minimize",
    "params": "minimize",
    "latency": "minimize",
}
# What a search weighs unless told otherwise: latency holds for one machine only.
DEFAULT_OBJECTIVES = ("psnr", "ops", "params")


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
