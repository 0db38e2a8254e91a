"""Samplers compared by many simulated searches of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bbnas.bench.sampler.efficiency import SHARES, Middle, Trace

DEFAULT, RANDOM = "default", "random"
# Optuna's samplers, without early stopping.
PEERS = (RANDOM, "nsga2", "tpe", "gp")
# The rules: the default needs less training to reach SHARE of the true hypervolume than any peer,
# and TIMES less than random search.
SHARE, TIMES = 0.95, 5.0


@dataclass(frozen=True)
class ContestRow:
    """One contender over all seeds.

    ``designs`` and ``seconds`` (of training) are medians by share of the true hypervolume.
    ``bbcu_like`` is the share of recommendations without a difference from BBCU (``bbcu_like``);
    ``psnr_loss`` and ``loss`` (dB) are means over the seeds that recommended a useful design, NaN
    if none did (see :class:`Trace`); ``spent`` is the median training time (s) of a whole search.
    """

    name: str
    title: str
    seeds: int
    designs: Mapping[float, Middle]
    seconds: Mapping[float, Middle]
    bbcu_like: float
    psnr_loss: float
    loss: float
    spent: float


@dataclass(frozen=True)
class ContestRule:
    """A rule and whether it passed; None where ``reason`` says why that is open.

    ``value`` is the training time that ``against`` needs divided by that of the default. It is a
    lower bound (``bound``) where fewer than half of the searches of ``against`` reached SHARE.
    """

    against: str
    value: float
    at_least: float
    bound: bool
    passed: bool | None
    reason: str = ""

    @property
    def word(self) -> str:
        return {True: "passed", False: "failed", None: f"open: {self.reason}"}[self.passed]


def contest_rows(traces: Sequence[Trace], titles: Mapping[str, str]) -> list[ContestRow]:
    """One row a contender, in the order of ``traces``."""
    return [
        _row(name, titles[name], [trace for trace in traces if trace.contender == name])
        for name in dict.fromkeys(trace.contender for trace in traces)
    ]


def _row(name: str, title: str, traces: Sequence[Trace]) -> ContestRow:
    reached = {share: [trace.reached(share) for trace in traces] for share in SHARES}
    return ContestRow(
        name=name,
        title=title,
        seeds=len(traces),
        designs={s: Middle.of_values([d for d, _ in r]) for s, r in reached.items()},
        seconds={s: Middle.of_values([t for _, t in r]) for s, r in reached.items()},
        bbcu_like=sum(not trace.differs for trace in traces) / len(traces),
        psnr_loss=_mean([trace.psnr_loss for trace in traces]),
        loss=_mean([trace.loss for trace in traces]),
        spent=float(np.median([trace.seconds[-1] for trace in traces])),
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def check_rules(traces: Sequence[Trace]) -> list[ContestRule]:
    """The default compared with random search, and with the best of its peers.

    A search that never reaches SHARE counts as reaching it at its end, so the ratio is then a
    lower bound.
    """
    names = {trace.contender for trace in traces}
    ours = _needed(traces, DEFAULT) if DEFAULT in names else None
    peers = {name: _needed(traces, name) for name in PEERS if name in names}
    # Peers that reached SHARE come first; the order of the others does not matter.
    best = min(peers, key=lambda name: (not peers[name][1], peers[name][0]), default="")
    return [
        _rule(ours, RANDOM, peers.get(RANDOM), TIMES),
        _rule(ours, best or "a peer", peers.get(best), 1.0),
    ]


def _needed(traces: Sequence[Trace], name: str) -> tuple[float, bool]:
    """The median training seconds to SHARE, or a lower bound, and whether it is the median."""
    own = [
        (trace.reached(SHARE)[1], trace.seconds[-1]) for trace in traces if trace.contender == name
    ]
    middle = Middle.of_values([seconds for seconds, _ in own]).median
    if math.isfinite(middle):
        return middle, True
    return float(np.median([min(pair) for pair in own])), False


def _rule(
    ours: tuple[float, bool] | None,
    against: str,
    theirs: tuple[float, bool] | None,
    at_least: float,
) -> ContestRule:
    if ours is None or theirs is None:
        missing = DEFAULT if ours is None else against
        return ContestRule(against, math.nan, at_least, False, None, f"{missing} was left out")
    if not ours[1]:
        return ContestRule(against, math.nan, at_least, False, False)
    ratio = theirs[0] / ours[0]
    if not theirs[1] and ratio < at_least:
        reason = f"{against} did not reach {SHARE:.0%}: raise the budget"
        return ContestRule(against, ratio, at_least, True, None, reason)
    return ContestRule(against, ratio, at_least, not theirs[1], ratio >= at_least)
