"""How far a proxy can be trusted: seed noise, and agreement with longer training."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bbnas.analysis.effects import CHOICES, axis_choice
from bbnas.analysis.evidence import discoveries
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, MeasuredFidelity
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


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval over designs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Unfair:
    """A choice that the proxy ranks otherwise than the long protocol does.

    ``shift`` is the mean over its designs of how much higher the proxy ranks them, as a share of
    all designs, less that of the others; ``told`` whether that is hardly chance (Welch, and
    :func:`bbnas.analysis.evidence.discoveries`).
    """

    axis: str
    choice: str
    designs: int
    shift: float
    p: float
    told: bool


@dataclass(frozen=True)
class Fidelity:
    """How a proxy ranks designs, against a longer protocol that is taken for the truth.

    ``ordered_pairs`` is the share of the ``pairs`` of designs whose PSNR under the long protocol
    differs by more than its seed noise allows (1.96·√2 standard deviations) that the proxy puts
    in the same order. ``top`` is the overlap of the best fifth. ``baselines`` are Kendall's τ of
    predictors that need no training.

    Of a space drawn evenly many designs learn nothing at all and give what the network's global
    skip gives; their order is chance. So whatever is no better than ``floor`` (dB) is level, and
    last; ``alive`` counts what the long protocol puts above it.
    """

    designs: int
    alive: int
    floor: float
    kendall_tau: Interval
    spearman_rho: Interval
    ordered_pairs: float
    pairs: int
    top: float
    proxy_noise: float
    long_noise: float
    proxy_seconds: float
    long_seconds: float
    baselines: Mapping[str, Interval]
    unfair: tuple[Unfair, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is not known (noise of one seed, order of no pairs) is None."""
        content = {**asdict(self), "unfair": [asdict(unfair) for unfair in self.unfair]}
        unknown = {k for k, v in content.items() if isinstance(v, float) and not math.isfinite(v)}
        return content | dict.fromkeys(unknown)


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

    Several seeds of a design tell the noise; the first of them is what is ranked, as a search
    would have it.

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
        alive=int(np.sum(psnr > floor)),
        floor=floor,
        kendall_tau=_bootstrap(_kendall, x, y, resamples),
        spearman_rho=_bootstrap(_spearman, x, y, resamples),
        ordered_pairs=right / pairs if pairs else math.nan,
        pairs=pairs,
        top=top / best,
        proxy_noise=pooled_noise(_repeats(floor, [short_of[key] for key in keys])),
        long_noise=noise,
        proxy_seconds=float(np.mean([e.seconds for e in first])),
        long_seconds=float(np.mean([e.seconds for e in truth])),
        baselines={name: _bootstrap(_kendall, cost, y, resamples) for name, cost in costs.items()},
        unfair=tuple(_unfair([e.design for e in first], x, y, task)),
    )


FEWEST_DESIGNS = 5


def _by_design(evaluations: Sequence[Evaluation]) -> dict[str, list[Evaluation]]:
    found: dict[str, list[Evaluation]] = {}
    for evaluation in sorted(evaluations, key=lambda e: e.protocol.seed):
        found.setdefault(evaluation.design.key, []).append(evaluation)
    return found


def _above(floor: float, evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
    """PSNR (dB), at least ``floor``; what has none is at the floor, or NaN without one."""
    least = floor if math.isfinite(floor) else math.nan
    return np.array([max(e.psnr, floor) if e.feasible else least for e in evaluations])


def _repeats(floor: float, groups: Sequence[Sequence[Evaluation]]) -> list[list[float]]:
    """PSNR by seed of the designs that are above ``floor`` with each."""
    found = [[e.psnr for e in group if e.feasible] for group in groups]
    return [group for group in found if min(group, default=-math.inf) > floor]


def _ranked(psnr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks, the best highest; what has no PSNR is last."""
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
    rng = np.random.default_rng(0)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a resample of one design alone has no correlation
        for _ in range(resamples):
            chosen = rng.integers(0, len(x), len(x))
            found.append(figure(x[chosen], y[chosen]))
        low, high = np.nanquantile(found, (0.025, 0.975))
        return Interval(figure(x, y), float(low), float(high))


def _ordered(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    psnr: NDArray[np.float64],
    noise: float,
) -> tuple[int, int]:
    """Pairs beyond the noise that x orders as y does, and all pairs beyond it."""
    beyond = 1.96 * math.sqrt(2) * (noise if math.isfinite(noise) else 0.0)
    right = pairs = 0
    for i, j in itertools.combinations(range(len(x)), 2):
        gap = abs(psnr[i] - psnr[j])
        if y[i] != y[j] and not gap <= beyond:  # NaN: one of them diverged
            pairs += 1
            right += (x[i] - x[j]) * (y[i] - y[j]) > 0
    return int(right), pairs


def _unfair(
    designs: Sequence[Design], x: NDArray[np.float64], y: NDArray[np.float64], task: Task
) -> list[Unfair]:
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
    found = []
    for axis, choice, mask in made:
        own, others = shift[mask], shift[~mask]
        if min(len(own), len(others)) < 3:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # all alike
            p = float(ttest_ind(own, others, equal_var=False).pvalue)
        gap = float(own.mean() - others.mean())
        found.append(Unfair(axis, choice, len(own), gap, 1.0 if math.isnan(p) else p, told=False))
    told = discoveries([u.p for u in found])
    kept = [replace(u, told=t) for u, t in zip(found, told, strict=True)]
    return sorted(kept, key=lambda u: u.p)


def words(found: MeasuredFidelity) -> list[str]:
    """Lines for people."""
    r = found.result

    def span(interval: Mapping[str, float]) -> str:
        return f"{interval['value']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"

    long, device = found.long, found.environment.get("device", "unknown device")
    baselines = listed([f"{name} {span(interval)}" for name, interval in r["baselines"].items()])
    what = (
        f"protocol {found.protocol.name} ({r['proxy_seconds']:.1f} s a design) against "
        f"{long.name} ({long.iterations:,} iterations of {long.patch}×{long.patch} patches, "
        f"{r['long_seconds']:.0f} s): {r['designs']} designs of space {found.space} on "
        f"{found.task}, {device}"
    )
    order = "none" if r["ordered_pairs"] is None else f"{r['ordered_pairs']:.0%} of {r['pairs']}"
    noise = [
        "not measured" if r[name] is None else f"{r[name]:.3f} dB"
        for name in ("proxy_noise", "long_noise")
    ]
    if r.get("floor") is not None:
        what += (
            f", of which {r['alive']} end above {r['floor']:.2f} dB (what the global skip gives, "
            "and the noise); the others are level, and last"
        )
    lines = [
        what,
        f"Kendall τ {span(r['kendall_tau'])}, Spearman ρ {span(r['spearman_rho'])}",
        f"without training: τ of {baselines}",
        f"pairs beyond the noise ordered right: {order}; best fifth in common: {r['top']:.0%}",
        f"seed noise: {noise[0]} and, long, {noise[1]}",
    ]
    judged = [
        f"{u['axis']} {u['choice']} {'too high' if u['shift'] > 0 else 'too low'} by "
        f"{abs(u['shift']):.0%} of the ranks"
        for u in r["unfair"]
        if u["told"]
    ]
    lines.append(f"judged unfairly: {listed(judged) if judged else 'no choice beyond chance'}")
    return lines
