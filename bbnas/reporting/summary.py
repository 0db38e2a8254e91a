"""The recommended design as a table: what it is, how good it is, what it costs."""

from __future__ import annotations

import math
from dataclasses import replace

from bbnas.analysis.estimates import Z95, difference
from bbnas.analysis.recommend import Recommendation
from bbnas.evaluation import Evaluation
from bbnas.reporting.words import describe
from bbnas.study import Study
from bbnas.tasks import get_task
from bbnas.text import count, decibel, listed, milliseconds, signed

# Designs named in one line.
NAMED = 4


def summary(study: Study, recommendation: Recommendation) -> list[tuple[str, str]]:
    """The rows of the table, as (what, value).

    Differences in PSNR are those of the estimates from all runs, with their 95 % intervals.
    """
    design = recommendation.candidate.evaluation.design
    return [
        *describe(design, get_task(study.config.task)),
        *_quality(study, recommendation),
        *_costs(study, recommendation),
        ("statistically indistinguishable from", _ties(recommendation)),
    ]


def _quality(study: Study, recommendation: Recommendation) -> list[tuple[str, str]]:
    chosen = recommendation.candidate.evaluation
    own = f"{decibel(chosen.psnr)}, SSIM {chosen.ssim:.4f}"
    if not math.isfinite(recommendation.error):  # no run from which anything could be estimated
        return [("PSNR", own)]
    half = f"± {Z95 * recommendation.error:.2f} dB"
    rows = [
        ("PSNR", f"{decibel(recommendation.psnr)} {half} (95 %) from all runs; its own run: {own}")
    ]
    if recommendation.skip_psnr is not None:
        gain = signed(recommendation.psnr - recommendation.skip_psnr)
        rows.append((f"against {recommendation.skip}", f"{gain} {half}"))
    if best := recommendation.alternatives.get("best PSNR"):
        there = best.evaluation
        costs = listed(
            [ratio(there.ops / chosen.ops, "OPs"), ratio(there.params / chosen.params, "Params")]
        )
        words = f"{_gap(study, chosen, there)}, {costs} (trial {best.number})"
    else:
        words = "it has the best PSNR of the front"
    rows.append(("against the best of the front", words))
    if chosen.design.binarize:
        full = replace(chosen, design=chosen.design.replace(binarize=()).canonical())
        unseen = "" if recommendation.full_psnr is not None else " (estimated)"
        words = f"{_gap(study, chosen, full)} at the same width and depth{unseen}"
        rows.append(("against full precision", words))
    return rows


def _gap(study: Study, chosen: Evaluation, other: Evaluation) -> str:
    gap, error = difference(study, chosen, other)
    return f"{signed(gap)} ± {Z95 * error:.2f} dB"


def _costs(study: Study, recommendation: Recommendation) -> list[tuple[str, str]]:
    chosen, full = recommendation.candidate.evaluation, recommendation.full
    rows = [
        ("OPs", count(chosen.ops), full.ops / chosen.ops),
        ("Params", count(chosen.params), full.params / chosen.params),
    ]
    costs = [
        (name, f"{value}, {ratio(saved)} than in full precision" if saved > 1.005 else value)
        for name, value, saved in rows
    ]
    if math.isfinite(chosen.latency) and study.latency is not None:
        costs.append(("latency", f"{milliseconds(chosen.latency)} ({study.latency.words()})"))
    return costs


def ratio(factor: float, what: str = "") -> str:
    """``3.2× fewer OPs``, ``1.5× more OPs`` or ``as many OPs`` for a cost divided by a factor."""
    words = "as many"
    if not 0.995 < factor < 1.005:
        words = f"{factor:.3g}× fewer" if factor > 1 else f"{1 / factor:.3g}× more"
    return f"{words} {what}".strip()


def _ties(recommendation: Recommendation) -> str:
    ties = recommendation.ties
    if not ties:
        return "no other candidate" if recommendation.rival else "not tested for this pick"
    named = [f"trial {c.number} ({decibel(c.evaluation.psnr)})" for c in ties[:NAMED]]
    rest = len(ties) - len(named)
    return listed([*named, f"{rest} more"] if rest else named)
