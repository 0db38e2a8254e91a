"""Study: the record of a search, and the configuration that defines it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from bbnas.errors import UserError, unknown
from bbnas.evaluation import Evaluation, Evaluator, LatencySetting
from bbnas.protocol import Protocol
from bbnas.space import Space
from bbnas.tasks import get_task

if TYPE_CHECKING:
    import pandas as pd

OBJECTIVES: dict[str, Literal["maximize", "minimize"]] = {
    "psnr": "maximize",
    "ops": "minimize",
    "params": "minimize",
    "latency": "minimize",
}
# The default leaves latency out, which holds for one machine only.
DEFAULT_OBJECTIVES = ("psnr", "ops", "params")

Guide = Literal["none", "vcvp"]
GUIDES: tuple[Guide, ...] = get_args(Guide)


@dataclass(frozen=True)
class Candidate:
    """One evaluation's place in a study: its trial number, and the name it has as a baseline."""

    number: int
    evaluation: Evaluation
    baseline: str = ""
    finished: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    """A stretch of a candidate's training: from its claim, or the rung where it was stopped, to
    an outcome.

    ``run`` and ``host`` name the process of the search, ``worker`` is its number there, None where
    that is not known: while it trains, and where the worker died. ``finished`` is None while it
    trains. ``outcome`` is a status of an Evaluation, ``died`` (with its worker), ``interrupted``
    (with its run), or empty while it trains. Times are in UTC, with their zone.
    """

    number: int
    run: int
    host: str
    worker: int | None
    started: datetime
    finished: datetime | None
    outcome: str


@dataclass(frozen=True)
class StudyConfig:
    """The definition of a study: a change of any field but ``early_stopping`` is another study.

    ``StudyConfig.of`` fills in what an evaluator knows. The defaults of both are these fields.

    - ``space``: the designs to choose from, without the parts that the task's backbone lacks.
    - ``task``, ``protocol``, ``data`` (the fingerprint of the images), ``data_description``: how
      every candidate is evaluated. ``seed`` is that of the sampler and of the protocol.
    - ``sampler``, ``sampler_options``: a name of ``bbnas.searching.samplers.SAMPLERS``, and values
      that replace the sampler's defaults.
    - ``guide``: ``vcvp`` measures each part binarized alone and then binarizes parts in the order
      found (VC, VP; paper Eq. 10–11); ``none`` allows any subset of parts.
    - ``early_stopping``: a candidate may be stopped at the protocol's rungs.
    - ``max_ops``, ``max_params``: plain counts; ``max_latency``: seconds. A design over a limit is
      rejected before training.
    - ``skip_psnr``: PSNR (dB) of the network's own global skip on the validation images, which
      costs no operation and no parameter; None if unknown.
    - ``bicubic_psnr``: PSNR (dB) of bicubic interpolation on the validation images; None in other
      tasks than super-resolution, and if unknown.
    - ``latency``: the setting in which latencies are measured, for a study that needs them.

    Raises:
        UserError: a field whose value breaks its rule.
    """

    name: str
    space: Space
    task: str
    protocol: Protocol
    data: str
    data_description: str
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    sampler: str = "ehvi"
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    guide: Guide = "none"
    early_stopping: bool = True
    seed: int = 0
    max_ops: float | None = None
    max_params: float | None = None
    max_latency: float | None = None
    skip_psnr: float | None = None
    bicubic_psnr: float | None = None
    latency: LatencySetting | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^\W_][\w.+-]{0,99}", self.name):
            raise UserError(
                f"study name {self.name!r}: must be at most 100 letters, digits, '-', '_', '.' or "
                "'+' and begin with a letter or digit"
            )
        if self.seed < 0:
            raise UserError(f"seed {self.seed}: must be 0 or more")
        if not self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise UserError(
                f"objectives {', '.join(self.objectives) or 'none'}: must be one or more of "
                f"{', '.join(OBJECTIVES)}, each once"
            )
        for objective in self.objectives:
            if objective not in OBJECTIVES:
                raise unknown("objective", objective, OBJECTIVES)
        if self.guide not in GUIDES:
            raise unknown("guide", self.guide, GUIDES)
        for name, limit in self.limits.items():
            if not limit > 0 or math.isinf(limit):
                raise UserError(f"max_{name} = {limit:g}: must be a number above 0")

    @classmethod
    def of(
        cls,
        evaluator: Evaluator,
        space: Space,
        *,
        name: str | None = None,
        seed: int = seed,
        objectives: Sequence[str] = objectives,
        sampler: str = sampler,
        sampler_options: Mapping[str, Any] | None = None,
        guide: Guide = guide,
        early_stopping: bool | None = None,
        max_ops: float | None = None,
        max_params: float | None = None,
        max_latency: float | None = None,
        latency: LatencySetting | None = None,
    ) -> StudyConfig:
        """The study of ``space`` in which ``evaluator`` evaluates the candidates.

        ``name`` is SPACE-TASK-sSEED by default. ``early_stopping`` is on by default, but for a
        space of methods, whose comparison needs every method trained to the end.

        Raises:
            UserError: as :class:`StudyConfig`.
        """
        space = space.fitted(evaluator.task)
        return cls(
            name=f"{space.name}-{evaluator.task.name}-s{seed}" if name is None else name,
            space=space,
            task=evaluator.task.name,
            protocol=evaluator.protocol.with_seed(seed) if seed >= 0 else evaluator.protocol,
            data=evaluator.data,
            data_description=evaluator.data_description,
            objectives=tuple(objectives),
            sampler=sampler,
            sampler_options=dict(sampler_options or {}),
            guide=guide,
            early_stopping=not space.axes.method if early_stopping is None else early_stopping,
            seed=seed,
            max_ops=max_ops,
            max_params=max_params,
            max_latency=max_latency,
            skip_psnr=evaluator.skip_psnr,
            bicubic_psnr=evaluator.bicubic_psnr,
            latency=latency,
        )

    @property
    def limits(self) -> dict[str, float]:
        """The upper bounds that are set, by the name of the cost."""
        bounds = {"ops": self.max_ops, "params": self.max_params, "latency": self.max_latency}
        return {name: limit for name, limit in bounds.items() if limit is not None}

    @property
    def needs_latency(self) -> bool:
        """Whether the latency of a candidate is an objective or has a limit."""
        return "latency" in self.objectives or self.max_latency is not None

    @property
    def floor(self) -> float:
        """The PSNR (dB) above which a candidate is useful: that of the global skip plus one
        standard deviation of the protocol's noise. −∞ where the skip's is not known.
        """
        return -math.inf if self.skip_psnr is None else self.skip_psnr + self.protocol.noise

    @property
    def untrained(self) -> dict[str, float]:
        """PSNR (dB) on the validation images of what needs no training, by its name: bicubic
        interpolation and the network's global skip, as far as they are known.
        """
        task = get_task(self.task)
        named = {"bicubic interpolation": self.bicubic_psnr, task.skip: self.skip_psnr}
        return {name: psnr for name, psnr in named.items() if psnr is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, from which ``from_dict`` makes the configuration again."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        content["space"] = self.space.to_dict()
        content["protocol"] = self.protocol.model_dump()
        content["objectives"] = list(self.objectives)
        content["sampler_options"] = dict(self.sampler_options)
        content["latency"] = None if self.latency is None else asdict(self.latency)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StudyConfig:
        """The configuration that ``to_dict`` wrote."""
        fields = dict(content)
        fields["space"] = Space.from_dict(fields["space"])
        fields["protocol"] = Protocol.model_validate(fields["protocol"])
        fields["objectives"] = tuple(fields["objectives"])
        if fields["latency"] is not None:
            fields["latency"] = LatencySetting.from_dict(fields["latency"])
        return cls(**fields)


@dataclass(frozen=True)
class Study:
    """A study read from the store: the input of analysis and report.

    ``candidates`` are the distinct designs evaluated, in the order in which they finished;
    ``duplicates`` and ``rejected`` count suggestions that cost no training (already evaluated;
    over a cost limit). ``references`` are evaluations under the study's protocol that are not
    candidates (the full-precision reference and single binarized parts of ``benefit``),
    ``confirmations`` are evaluations of candidates by a longer protocol. ``search_seconds`` is the
    wall time (s) in which a search of it ran. ``latency`` is the setting in which the latencies of
    its evaluations were measured, if any. ``attempts`` are those that were recorded: none by a
    bbnas of before schema 5.
    """

    config: StudyConfig
    storage: str
    candidates: tuple[Candidate, ...]
    references: tuple[Evaluation, ...] = ()
    confirmations: tuple[Evaluation, ...] = ()
    duplicates: int = 0
    rejected: int = 0
    created: datetime | None = None
    search_seconds: float = field(default=0.0, compare=False)
    latency: LatencySetting | None = None
    attempts: tuple[Attempt, ...] = field(default=(), compare=False)

    @property
    def searches_methods(self) -> bool:
        """Whether its space chooses among published methods instead of among a unit's axes."""
        return bool(self.config.space.axes.method)

    def own(self) -> list[Candidate]:
        """The candidates that the search proposed itself and that are useful: no baselines, and
        a PSNR above the floor.
        """
        floor = self.config.floor
        return [
            c
            for c in self.candidates
            if not c.baseline and c.evaluation.feasible and c.evaluation.psnr > floor
        ]

    def evaluations(self) -> list[Evaluation]:
        """The evaluation of every design under the study's protocol, each design once."""
        everything = [*self.references, *(c.evaluation for c in self.candidates)]
        return list({e.design.key: e for e in everything}.values())

    @property
    def training_seconds(self) -> float:
        """Seconds of training and scoring of everything in it, those of all workers added up."""
        everything = (*self.references, *self.confirmations)
        return sum(e.seconds for e in (*(c.evaluation for c in self.candidates), *everything))

    def _repr_html_(self) -> str:
        from bbnas.reporting.show import study_html

        return study_html(self)

    def to_frame(self) -> pd.DataFrame:
        """The candidates as a table; see :func:`bbnas.analysis.frame.frame`."""
        from bbnas.analysis.frame import frame

        return frame(self)
