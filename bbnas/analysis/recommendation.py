"""A recommendation: the design, what it is compared with, and the words that tell it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from bbnas.analysis.estimates import Z95, Estimates
from bbnas.evaluation import Costs
from bbnas.protocol import Protocol
from bbnas.study import Candidate
from bbnas.text import count, decibel, listed, milliseconds, signed

# Candidates named of those that are statistically indistinguishable; the rest are counted.
NAMED_TIES = 3


class Gap(NamedTuple):
    """A difference in PSNR (dB), estimated from all runs of a study, and its standard error."""

    psnr: float
    error: float

    @property
    def half(self) -> float:
        """The half width (dB) of its 95 % confidence interval."""
        return Z95 * self.error

    def __str__(self) -> str:
        """``−0.28 ± 0.05 dB``, with the half width of the 95 % confidence interval."""
        return f"{signed(self.psnr)} ± {self.half:.2f} dB"


@dataclass(frozen=True)
class Rival:
    """The runner-up: the best candidate that differs significantly from the recommended one.

    ``gap`` (dB) is the difference of their heights above the chord (:func:`knee`), so costs
    count; ``errors`` is that gap in standard errors.
    """

    candidate: Candidate
    gap: float
    errors: float


@dataclass(frozen=True)
class Confirmation:
    """What longer training of the best candidates on the same batches gave for one of them.

    ``psnr`` (dB) is the mean over its seeds under ``protocol``, ``place`` its place by PSNR among
    the ``of`` candidates that were confirmed.
    """

    psnr: float
    place: int
    of: int
    protocol: Protocol

    def words(self, proxy: Protocol) -> str:
        """``25.51 dB after 12 times the training, first of the 6 that were confirmed``."""
        place = ORDINALS.get(self.place, f"number {self.place}")
        mine, short = (p.iterations * p.batch * p.patch**2 for p in (self.protocol, proxy))
        words = f"{decibel(self.psnr)} after {mine / short:.2g} times the training"
        return f"{words}, {place} by PSNR of the {self.of} that were confirmed"


ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", 6: "sixth"}


@dataclass(frozen=True)
class Passed:
    """A candidate that looks better than the recommended one: in their own runs it has no less
    PSNR at no higher cost.

    ``own`` (dB) is by how much its own run is higher, ``gap`` what the difference is by all runs.
    ``confirmed``: it was trained again by the longer protocol, as the recommended one was.
    """

    candidate: Candidate
    own: float
    gap: Gap
    confirmed: bool


@dataclass(frozen=True)
class Recommendation:
    """One candidate, the rule that picked it, and what it is compared with.

    ``psnr`` (dB) is estimated from all evaluations of the study, with standard error ``error``
    (NaN without a run to estimate from), and ``estimates`` are those of all candidates that it
    was compared with. ``ties`` are the candidates that are statistically indistinguishable from
    it, best first; ``rival`` is the best of the others. ``passed`` is the candidate that most
    looks better by its own run. ``alternatives`` names other points of the front, as far as they
    exist: ``next cheaper`` (the highest PSNR at fewer OPs), ``cheapest``, ``next better`` (the
    fewest OPs at a higher PSNR) and ``best PSNR``. ``untrained`` is
    :attr:`bbnas.study.StudyConfig.untrained`. ``full`` holds the costs of the same design in full
    precision, ``full_gap`` the PSNR of this design less that one's, and ``full_known`` whether
    that one was evaluated. ``left_out`` counts the candidates of a large study that were not
    estimated (:mod:`bbnas.analysis.nearest`).
    """

    candidate: Candidate
    pick: str
    psnr: float
    error: float
    estimates: Estimates
    ties: tuple[Candidate, ...]
    rival: Rival | None
    passed: Passed | None
    confirmation: Confirmation | None
    proxy: Protocol
    alternatives: Mapping[str, Candidate]
    untrained: Mapping[str, float]
    full: Costs
    full_gap: Gap | None
    full_known: bool
    left_out: int = 0

    def against(self, other: Candidate) -> Gap | None:
        """PSNR of the recommended design less that of ``other``; None if not estimated."""
        here, there = self.estimates.place(self.candidate), self.estimates.place(other)
        return None if here is None or there is None else gap_between(self.estimates, here, there)

    def rows(self) -> list[tuple[str, str]]:
        """(what, value): the figures of the recommendation, as every table of it shows them.

        Differences are those of the estimates from all runs, with 95 % confidence intervals.
        """
        here = self.candidate.evaluation
        own = f"{decibel(here.psnr)}, SSIM {here.ssim:.4f}"
        rows = []
        if math.isnan(self.error):
            rows.append(("PSNR", f"{own} (one run)"))
        else:
            known = f"{decibel(self.psnr)} ± {Z95 * self.error:.2f} dB (95 %) from all runs"
            rows.append(("PSNR", f"{known}; its own run: {own}"))
        if self.confirmation is not None:
            rows.append(("confirmed", self.confirmation.words(self.proxy)))
        if self.untrained:
            rows.append(("gain", listed(self.gains())))
        if best := self.alternatives.get("best PSNR"):
            there, gap = best.evaluation, self.against(best)
            saved = [
                ratio(there.ops / here.ops, "OPs"),
                ratio(there.params / here.params, "Params"),
            ]
            words = decibel(here.psnr - there.psnr, sign=True) if gap is None else str(gap)
            words = f"{words}, {listed(saved)} (trial {best.number})"
        else:
            words = "it has the best PSNR of the front"
        rows.append(("against the best of the front", words))
        if self.full_gap is not None and here.design.binarize:
            unseen = "" if self.full_known else " (estimated)"
            words = f"{self.full_gap} at the same width and depth{unseen}"
            rows.append(("against full precision", words))
        rows += [
            ("OPs", _saved(count(here.ops), self.full.ops / here.ops)),
            ("Params", _saved(count(here.params), self.full.params / here.params)),
        ]
        if math.isfinite(here.latency):
            rows.append(("latency", milliseconds(here.latency)))
        if self.pick == "knee":
            rows.append(("statistically indistinguishable from", self._ties()))
        if self.left_out:
            rows.append(("estimated from", self._reduced()))
        return rows

    def gains(self) -> list[str]:
        """``+0.80 dB over bicubic interpolation (24.96 dB)``, for each of ``untrained``."""
        return [
            f"{decibel(self.psnr - psnr, sign=True)} over {name} ({decibel(psnr)})"
            for name, psnr in self.untrained.items()
        ]

    def _reduced(self) -> str:
        return (
            f"the {len(self.estimates.candidates):,} designs nearest to the front; "
            f"{self.left_out:,} others are left out, since the estimate takes time with the cube "
            "of their number"
        )

    def _ties(self) -> str:
        """The first of them, with the PSNR of each less that of the recommended design."""
        shown = []
        for tie in self.ties[:NAMED_TIES]:
            gap = self.against(tie)
            known = "" if gap is None else f" ({Gap(-gap.psnr, gap.error)})"
            shown.append(f"trial {tie.number}{known}")
        more = len(self.ties) - len(shown)
        return listed([*shown, f"{more} more"] if more else shown) or "no other candidate"

    def _repr_html_(self) -> str:
        rows = [("recommended", named(self.candidate)), *self.rows()]
        cells = "".join(
            f"<tr><th style='text-align:left'>{escape(label)}</th>"
            f"<td style='text-align:left'>{escape(value)}</td></tr>"
            for label, value in rows
        )
        return f"<table>{cells}</table>"


def named(candidate: Candidate) -> str:
    """``trial 7 (body, BBCU, 64×32)``."""
    return f"trial {candidate.number} ({candidate.evaluation.design.label()})"


def _saved(cost: str, factor: float) -> str:
    return f"{cost}, {ratio(factor)} than in full precision" if factor > 1.005 else cost


def ratio(factor: float, what: str = "") -> str:
    """``3.2× fewer OPs``, ``1.5× more OPs`` or ``as many OPs`` for a cost divided by a factor."""
    words = "as many"
    if not 0.995 < factor < 1.005:
        words = f"{factor:.3g}× fewer" if factor > 1 else f"{1 / factor:.3g}× more"
    return f"{words} {what}".strip()


def gap_between(estimates: Estimates, one: int, other: int) -> Gap:
    return Gap(
        float(estimates.psnr[one] - estimates.psnr[other]),
        0.0 if one == other else estimates.error(one, other),
    )
