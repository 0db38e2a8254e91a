"""How far a proxy can be trusted: seed noise, and agreement with longer training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bbnas.evaluation import Evaluation, Study
from bbnas.protocol import Protocol


@dataclass(frozen=True)
class SeedNoise:
    """The standard deviation of PSNR (dB) between seeds, pooled over ``designs`` designs."""

    sd: float
    designs: int
    evaluations: int


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ-b between a study's PSNR and that of ``protocol``, over ``designs`` designs."""

    protocol: Protocol
    tau: float
    designs: int


def seed_noise(study: Study, repeats: Sequence[Evaluation]) -> SeedNoise | None:
    """Seed noise from ``repeats``: the study's protocol under other seeds.

    Together with the study's own evaluations of the same designs. None where no design has two.
    """
    protocol = study.config.protocol
    groups: dict[str, dict[int, float]] = {}
    own = [c.evaluation for c in study.candidates] + list(study.references)
    for evaluation in [*own, *repeats]:
        same = evaluation.protocol.model_copy(update={"seed": protocol.seed}).key == protocol.key
        if same and evaluation.feasible:
            seeds = groups.setdefault(evaluation.design.key, {})
            seeds[evaluation.protocol.seed] = evaluation.psnr
    repeated = [list(seeds.values()) for seeds in groups.values() if len(seeds) > 1]
    if not repeated:
        return None
    squares = sum((v - sum(group) / len(group)) ** 2 for group in repeated for v in group)
    total = sum(map(len, repeated))
    return SeedNoise(math.sqrt(squares / (total - len(repeated))), len(repeated), total)


def agreement(study: Study, repeats: Sequence[Evaluation]) -> list[Agreement]:
    """Rank agreement of the study with each other protocol that evaluated five designs or more."""
    from scipy.stats import kendalltau

    own = {c.evaluation.design.key: c.evaluation for c in study.candidates}
    seed = {"seed": study.config.protocol.seed}
    pairs: dict[str, list[tuple[float, float]]] = {}
    protocols: dict[str, Protocol] = {}
    for evaluation in repeats:
        protocol = evaluation.protocol.model_copy(update=seed)
        mine = own.get(evaluation.design.key)
        if protocol.key != study.config.protocol.key and mine and mine.feasible:
            protocols.setdefault(protocol.key, protocol)
            if evaluation.feasible:
                pairs.setdefault(protocol.key, []).append((mine.psnr, evaluation.psnr))
    return [
        Agreement(protocols[key], float(kendalltau(*zip(*values, strict=True)).statistic), n)
        for key, values in pairs.items()
        if (n := len(values)) >= 5
    ]
