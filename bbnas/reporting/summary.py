"""The recommended design as a table: what it is, how good, what it costs, and how sure that is."""

from __future__ import annotations

import math

from bbnas.analysis.estimates import difference
from bbnas.analysis.recommend import Recommendation
from bbnas.cost import count as count_costs
from bbnas.evaluation import Evaluation
from bbnas.reporting.words import describe
from bbnas.study import Candidate, Study
from bbnas.tasks import get_task
from bbnas.text import count, decibel, listed, milliseconds, signed

# Designs named in one line.
NAMED = 4


def summary(study: Study, recommendation: Recommendation) -> list[tuple[str, str]]:
    """The rows of the table, as (what, value)."""
    chosen = recommendation.candidate.evaluation
    return [
        *describe(chosen.design, get_task(study.config.task)),
        *_quality(study, recommendation),
        *_costs(study, chosen),
        ("statistically indistinguishable from", _ties(recommendation)),
    ]


def _quality(study: Study, recommendation: Recommendation) -> list[tuple[str, str]]:
    chosen, task = recommendation.candidate.evaluation, get_task(study.config.task)
    half = 1.96 * recommendation.error
    psnr = f"{decibel(recommendation.psnr)} ± {half:.2f} dB (95 %), estimated from all runs"
    own = f"its own run: {decibel(chosen.psnr)}, SSIM {chosen.ssim:.4f}"
    rows = [("PSNR", f"{psnr}; {own}")]
    if study.config.skip_psnr is not None:
        gain = signed(recommendation.psnr - study.config.skip_psnr)
        rows.append((f"against {task.skip}", f"{gain} ± {half:.2f} dB"))
    best = recommendation.alternatives.get("best PSNR")
    if best is None:
        rows.append(("against the best of the front", "it has the best PSNR of the front"))
    else:
        rows.append(("against the best of the front", _against(study, chosen, best)))
    rows.append(("against full precision", _against_full(study, chosen)))
    return rows


def _against(study: Study, chosen: Evaluation, best: Candidate) -> str:
    there = best.evaluation
    return (
        f"{_gap(study, chosen, there)}, {ratio(there.ops / chosen.ops)} OPs, "
        f"{ratio(there.params / chosen.params)} Params (trial {best.number})"
    )


def _against_full(study: Study, chosen: Evaluation) -> str:
    """The difference to a full-precision network of the same size, where the study has one."""
    size = (chosen.design.width, chosen.design.depth)
    for other in study.evaluations():
        same = (other.design.width, other.design.depth) == size
        if same and not other.design.binarize and other.feasible:
            return f"{_gap(study, chosen, other)} at the same width and depth"
    return "no evaluation in full precision at this width and depth"


def _gap(study: Study, chosen: Evaluation, other: Evaluation) -> str:
    gap, error = difference(study, chosen, other)
    return f"{signed(gap)} ± {1.96 * error:.2f} dB"


def _costs(study: Study, chosen: Evaluation) -> list[tuple[str, str]]:
    task = get_task(study.config.task)
    full = count_costs(chosen.design.replace(binarize=()).canonical(), task)
    rows = [
        ("OPs", f"{count(chosen.ops)}, {ratio(full.ops / chosen.ops)} than in full precision"),
        (
            "Params",
            f"{count(chosen.params)}, {ratio(full.params / chosen.params)} than in full precision",
        ),
    ]
    if math.isfinite(chosen.latency) and study.latency is not None:
        rows.append(("latency", f"{milliseconds(chosen.latency)} ({study.latency.words()})"))
    return rows


def ratio(factor: float) -> str:
    """``3.2× fewer``, ``1.5× more``, ``as many`` for how often a cost is saved."""
    if 0.995 < factor < 1.005:
        return "as many"
    return f"{factor:.3g}× fewer" if factor > 1 else f"{1 / factor:.3g}× more"


def _ties(recommendation: Recommendation) -> str:
    ties = recommendation.ties
    if not ties:
        return "no other candidate" if recommendation.rival else "not tested for this pick"
    named = [f"trial {c.number} ({decibel(c.evaluation.psnr)})" for c in ties[:NAMED]]
    rest = len(ties) - len(named)
    return listed([*named, f"{rest} more"] if rest else named)
