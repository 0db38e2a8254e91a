"""Fidelity: how a short protocol ranks designs, compared with a long one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bbnas.protocol import Protocol


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class RankBias:
    """How much higher the short protocol ranks the designs that made a choice.

    ``shift`` is the mean difference of their ranks (short minus long), as a share of all designs,
    minus that of the other designs. ``p`` is from Welch's test; ``significant`` controls the false
    discovery rate over all choices (:func:`bbnas.analysis.evidence.discoveries`).
    """

    axis: str
    choice: str
    designs: int
    shift: float
    p: float
    significant: bool


@dataclass(frozen=True)
class Fidelity:
    """How a short protocol (the proxy) ranks designs, compared with a long one.

    ``ordered_pairs`` is the share of ``pairs`` that the proxy puts in the long protocol's order;
    only pairs count whose PSNR differs by more than seed noise explains (1.96·√2 standard
    deviations of the long protocol). ``top`` is the overlap of the best fifths. ``baselines`` are
    Kendall's τ of predictors that need no training. ``*_noise`` is the standard deviation (dB)
    between seeds, ``*_seconds`` the mean time of a training.

    ``floor`` is the PSNR (dB) of the network's global skip plus noise. Many designs of a space
    learn nothing and end there, and their order is chance: designs at or below the floor are
    ranked equal last. ``useful`` counts those above it under the long protocol. What is not known
    is None.
    """

    designs: int
    useful: int
    floor: float | None
    kendall_tau: Interval
    spearman_rho: Interval
    ordered_pairs: float | None
    pairs: int
    top: float
    proxy_noise: float | None
    long_noise: float | None
    proxy_seconds: float
    long_seconds: float
    baselines: Mapping[str, Interval]
    biases: tuple[RankBias, ...]


@dataclass(frozen=True)
class MeasuredFidelity:
    """How ``protocol`` ranks designs of ``space``, compared with the longer protocol ``long``.

    ``environment`` is that of the long trainings.
    """

    task: str
    space: str
    protocol: Protocol
    long: Protocol
    data: str
    result: Fidelity
    environment: Mapping[str, str] = field(default_factory=dict)
