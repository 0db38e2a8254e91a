"""Ways to search set against each other, by what many simulated searches of each found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bbnas.bench.sampler.efficiency import SHARES, Middle, Trace

DEFAULT, RANDOM = "default", "random"
# Samplers of others, each trained to the end.
PEERS = (RANDOM, "nsga2", "tpe", "gp")
# The share of the hypervolume that the rules wait for, and how many times sooner than random.
SHARE, TIMES = 0.95, 5.0


@dataclass(frozen=True)
class ContestRow:
    """One contender over all seeds.

    ``designs`` and ``seconds`` (of training) are medians by share of the true hypervolume.
    ``bbcu_like`` is the rate of recommendations that nothing sets apart from BBCU; ``psnr_loss``
    and ``loss`` (dB) are means over the seeds that recommended something useful, NaN if none did
    (see :class:`Trace`); ``spent`` is the median of the training seconds of a whole search.
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
    """A rule, and whether it is kept: None where ``reason`` says why that is not known.

    ``value`` is how many times more training ``against`` needs; where that did not get there in
    half of the searches it is ``bound``: at least so many.
    """

    against: str
    value: float
    at_least: float
    bound: bool
    passed: bool | None
    reason: str = ""

    @property
    def word(self) -> str:
        return {True: "kept", False: "missed", None: f"open: {self.reason}"}[self.passed]


def contest_rows(traces: Sequence[Trace], titles: Mapping[str, str]) -> list[ContestRow]:
    """A row a contender, in the order in which they first come."""
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
    """The default against random, and against the best of its peers.

    A search that never gets there is taken to be there when it ends, which favours it; the
    ratio is then a lower bound.
    """
    names = {trace.contender for trace in traces}
    ours = _needed(traces, DEFAULT) if DEFAULT in names else None
    peers = {name: _needed(traces, name) for name in PEERS if name in names}
    # Of two that did not get there, which is the better one is not known, nor needed.
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
        reason = f"{against} did not get there: raise the budget"
        return ContestRule(against, ratio, at_least, True, None, reason)
    return ContestRule(against, ratio, at_least, not theirs[1], ratio >= at_least)
