"""Seed noise: how far two runs of one design differ when only the seed does."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.protocol import Protocol

Evaluate = Callable[[Design, Protocol], Evaluation]


@dataclass(frozen=True)
class Noise:
    """PSNR (dB) of each design under each seed, and the standard deviation pooled over designs.

    A run that diverged is NaN and left out; designs with fewer than two runs tell nothing.
    """

    designs: tuple[Design, ...]
    seeds: tuple[int, ...]
    psnr: tuple[tuple[float, ...], ...]

    @property
    def deviation(self) -> float:
        """√(Σ (n−1)·s² / Σ (n−1)) in dB; NaN if no design has two runs."""
        runs = [[value for value in row if math.isfinite(value)] for row in self.psnr]
        told = [row for row in runs if len(row) > 1]
        freedom = sum(len(row) - 1 for row in told)
        if not freedom:
            return math.nan
        squares = sum(statistics.variance(row) * (len(row) - 1) for row in told)
        return math.sqrt(squares / freedom)


def seed_noise(
    designs: Sequence[Design],
    protocol: Protocol,
    seeds: Sequence[int],
    evaluate: Evaluate,
    on_done: Callable[[int, int], None] | None = None,
) -> Noise:
    """Evaluate each design under ``protocol`` with each seed in place of its own.

    ``on_done`` is called with (runs done, runs in all).
    """
    rows, done = [], 0
    for design in designs:
        row = []
        for seed in seeds:
            found = evaluate(design, protocol.model_copy(update={"seed": seed}))
            row.append(found.psnr)
            done += 1
            if on_done is not None:
                on_done(done, len(designs) * len(seeds))
        rows.append(tuple(row))
    return Noise(tuple(designs), tuple(seeds), tuple(rows))
