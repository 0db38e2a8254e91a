"""Seed noise of a protocol, and its rank agreement with longer training."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bbnas.analysis.estimates import Z95
from bbnas.analysis.evidence import discoveries
from bbnas.analysis.regression import axis_choice
from bbnas.design import CHOICES, Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.fidelity import Fidelity, Interval, MeasuredFidelity, RankBias
from bbnas.protocol import Protocol
from bbnas.study import Study
from bbnas.tasks import Task
from bbnas.text import listed


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
        same = evaluation.protocol.with_seed(protocol.seed).key == protocol.key
        if same and evaluation.feasible:
            seeds = groups.setdefault(evaluation.design.key, {})
            seeds[evaluation.protocol.seed] = evaluation.psnr
    repeated = [list(seeds.values()) for seeds in groups.values() if len(seeds) > 1]
    if not repeated:
        return None
    return SeedNoise(pooled_noise(repeated), len(repeated), sum(map(len, repeated)))


def agreement(study: Study, repeats: Sequence[Evaluation]) -> list[Agreement]:
    """Rank agreement of the study with each other protocol that evaluated five designs or more."""
    from scipy.stats import kendalltau

    own = {c.evaluation.design.key: c.evaluation for c in study.candidates}
    pairs: dict[str, list[tuple[float, float]]] = {}
    protocols: dict[str, Protocol] = {}
    for evaluation in repeats:
        protocol = evaluation.protocol.with_seed(study.config.protocol.seed)
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


def pooled_noise(groups: Sequence[Sequence[float]]) -> float:
    """The standard deviation within groups of two values or more; NaN without any."""
    kept = [group for group in groups if len(group) > 1]
    if not kept:
        return math.nan
    squares = sum((v - sum(group) / len(group)) ** 2 for group in kept for v in group)
    return math.sqrt(squares / (sum(map(len, kept)) - len(kept)))


def fidelity(
    proxy: Sequence[Evaluation],
    long: Sequence[Evaluation],
    task: Task,
    floor: float = -math.inf,
    resamples: int = 2000,
) -> Fidelity:
    """The fidelity of ``proxy``, whose evaluations are of the same designs as those of ``long``.

    Designs are ranked by their first seed, as in a search; further seeds measure the noise.

    Raises:
        UserError: fewer than five designs that both evaluated.
    """
    short_of, long_of = _by_design(proxy), _by_design(long)
    keys = [key for key in short_of if key in long_of]
    if len(keys) < FEWEST_DESIGNS:
        raise UserError(
            f"{len(keys)} designs evaluated by both protocols: at least {FEWEST_DESIGNS} are "
            "needed to compare their order"
        )
    first = [short_of[key][0] for key in keys]
    x = _ranked(_above(floor, first))
    truth = [long_of[key][0] for key in keys]
    psnr = _above(floor, truth)
    y = _ranked(psnr)
    noise = pooled_noise(_repeats(floor, [long_of[key] for key in keys]))
    costs = {
        "OPs": np.array([e.ops for e in truth]),
        "Params": np.array([e.params for e in truth]),
    }
    right, pairs = _ordered(x, y, psnr, noise)
    best = max(1, len(keys) // 5)
    top = len(
        set(np.argsort(-x, kind="stable")[:best]) & set(np.argsort(-y, kind="stable")[:best])
    )
    return Fidelity(
        designs=len(keys),
        useful=int(np.sum(psnr > floor)),
        floor=_known(floor),
        kendall_tau=_bootstrap(_kendall, x, y, resamples),
        spearman_rho=_bootstrap(_spearman, x, y, resamples),
        ordered_pairs=right / pairs if pairs else None,
        pairs=pairs,
        top=top / best,
        proxy_noise=_known(pooled_noise(_repeats(floor, [short_of[key] for key in keys]))),
        long_noise=_known(noise),
        proxy_seconds=float(np.mean([e.seconds for e in first])),
        long_seconds=float(np.mean([e.seconds for e in truth])),
        baselines={name: _bootstrap(_kendall, cost, y, resamples) for name, cost in costs.items()},
        biases=tuple(_biases([e.design for e in first], x, y, task)),
    )


FEWEST_DESIGNS = 5  # Fewer designs have no rank order worth a figure.


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _by_design(evaluations: Sequence[Evaluation]) -> dict[str, list[Evaluation]]:
    found: dict[str, list[Evaluation]] = {}
    for evaluation in sorted(evaluations, key=lambda e: e.protocol.seed):
        found.setdefault(evaluation.design.key, []).append(evaluation)
    return found


def _above(floor: float, evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
    """PSNR (dB), at least ``floor``; diverged designs are at the floor, or NaN without one."""
    least = floor if math.isfinite(floor) else math.nan
    return np.array([max(e.psnr, floor) if e.feasible else least for e in evaluations])


def _repeats(floor: float, groups: Sequence[Sequence[Evaluation]]) -> list[list[float]]:
    """PSNR by seed of the designs that are above ``floor`` with every seed."""
    found = [[e.psnr for e in group if e.feasible] for group in groups]
    return [group for group in found if min(group, default=-math.inf) > floor]


def _ranked(psnr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks, the best highest; designs without a PSNR are last."""
    from scipy.stats import rankdata

    values = np.where(np.isfinite(psnr), psnr, -np.inf)
    return np.asarray(rankdata(values), dtype=np.float64)


def _kendall(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(x, y).statistic)


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


def _bootstrap(
    figure: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    resamples: int,
) -> Interval:
    """The figure with its percentile bootstrap interval over designs."""
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a resample of one design alone has no correlation
        drawn = bootstrap(
            (x, y),
            figure,
            n_resamples=resamples,
            paired=True,
            vectorized=False,
            method="percentile",
            rng=np.random.default_rng(0),
        ).bootstrap_distribution
        low, high = np.nanquantile(drawn, (0.025, 0.975))
        return Interval(figure(x, y), float(low), float(high))


def _ordered(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    psnr: NDArray[np.float64],
    noise: float,
) -> tuple[int, int]:
    """How many pairs that differ beyond the noise x orders as y does, and how many there are."""
    beyond = Z95 * math.sqrt(2) * (noise if math.isfinite(noise) else 0.0)
    right = pairs = 0
    for i, j in itertools.combinations(range(len(x)), 2):
        gap = abs(psnr[i] - psnr[j])
        if y[i] != y[j] and not gap <= beyond:  # NaN: one of them diverged
            pairs += 1
            right += (x[i] - x[j]) * (y[i] - y[j]) > 0
    return int(right), pairs


def _biases(
    designs: Sequence[Design], x: NDArray[np.float64], y: NDArray[np.float64], task: Task
) -> list[RankBias]:
    from scipy.stats import ttest_ind

    shift = (x - y) / len(x)
    made = [
        (str(part), "1-bit", np.array([d.binary(part) for d in designs])) for part in task.parts
    ]
    for name in (name for _, name, _ in CHOICES):
        choices = [axis_choice(d, name) for d in designs]
        made += [
            (name, choice, np.array([c == choice for c in choices]))
            for choice in sorted({c for c in choices if c is not None})
        ]
    biases = []
    for axis, choice, mask in made:
        own, others = shift[mask], shift[~mask]
        if min(len(own), len(others)) < 3:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all alike
            p = float(ttest_ind(own, others, equal_var=False).pvalue)
        gap = float(own.mean() - others.mean())
        p = 1.0 if math.isnan(p) else p
        biases.append(RankBias(axis, choice, len(own), gap, p, significant=False))
    significant = discoveries([bias.p for bias in biases])
    pairs = zip(biases, significant, strict=True)
    return sorted((replace(bias, significant=s) for bias, s in pairs), key=lambda bias: bias.p)


def summary(measured: MeasuredFidelity) -> list[str]:
    """Lines for the terminal."""
    r, long = measured.result, measured.long
    baselines = listed([f"{name} {tau}" for name, tau in r.baselines.items()])
    compared = (
        f"protocol {measured.protocol.name} ({r.proxy_seconds:.1f} s a design) compared with "
        f"{long.name} ({long.iterations:,} iterations of {long.patch}×{long.patch} patches, "
        f"{r.long_seconds:.0f} s a design): {r.designs} designs of space {measured.space} on "
        f"{measured.task}, {measured.origin}"
    )
    order = "none" if r.ordered_pairs is None else f"{r.ordered_pairs:.0%} of {r.pairs}"
    short_noise, long_noise = (
        "not known" if noise is None else f"{noise:.3f} dB"
        for noise in (r.proxy_noise, r.long_noise)
    )
    biases = [
        f"{bias.axis} {bias.choice} is ranked {abs(bias.shift):.0%} of all ranks too "
        f"{'high' if bias.shift > 0 else 'low'}"
        for bias in r.biases or ()
        if bias.significant
    ]
    lines = [
        compared,
        f"Kendall τ {r.kendall_tau}, Spearman ρ {r.spearman_rho} (95 % confidence intervals)",
        f"Kendall τ of predictors without training: {baselines}",
        f"pairs that differ beyond seed noise in the same order: {order}",
        f"overlap of the best fifths: {r.top:.0%}",
        f"seed noise (standard deviation): {short_noise}, {long_noise} with long training",
        "systematic bias: "
        + ("not recorded" if r.biases is None else listed(biases) or "none significant"),
    ]
    if r.floor is not None and r.useful is not None:
        lines.insert(
            1,
            f"{r.useful} designs end above {r.floor:.2f} dB (the global skip plus noise); the "
            "others are ranked equal last",
        )
    return lines
