"""A candidate as the text that Plotly shows on hover; what users wrote is escaped.

The texts of ten thousand candidates are made in a tenth of a second, so they name the choices of
a design, and not the published method that they amount to.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape

from bbnas.design import TITLES, Design
from bbnas.study import Candidate
from bbnas.text import count, decibel, milliseconds

# The designs of a space share few costs.
_count = lru_cache(1 << 14)(count)


def hover(candidate: Candidate) -> str:
    """A candidate in lines of HTML: name, result, costs, design."""
    e = candidate.evaluation
    name = f"trial {candidate.number}"
    if candidate.baseline:
        name += f", baseline {escape(candidate.baseline)}"
    result = f"{decibel(e.psnr)}, SSIM {e.ssim:.4f}" if e.status == "ok" else e.result
    if e.error:
        result += f": {escape(e.error)}"
    costs = f"{_count(e.ops)} OPs, {_count(e.params)} Params"
    if e.latency == e.latency:
        costs += f", {milliseconds(e.latency)}"
    return f"<b>{name}</b><br>{result}<br>{costs}<br>{choices(e.design)}"


def choices(design: Design) -> str:
    """The choices of a design in one to three lines of HTML."""
    size = ", ".join([f"{design.width}×{design.depth}", *design.built])
    k = "no alignment" if design.k_ratio is None else f"k {design.k_ratio:.3g} k*"
    if not design.binarize:
        return f"full precision, {k}, {size}"
    parts = "+".join(design.binarize)
    if design.method != "bbcu":
        return f"{parts}, {TITLES[design.method]}, {size}"
    inside = (
        "in the branch" if design.activation_position == "residual_branch" else "after the sum"
    )
    span = design.convs_per_residual
    return (
        f"{parts}, {size}, {k}<br>"
        f"normalisation {design.norm}, activation {design.activation} {inside}<br>"
        f"{f'{span} per residual' if span else 'no residual'}, {design.estimator}, "
        f"{'scale' if design.weight_scale else 'no scale'}"
        f"{', redistribution' if design.redistribution else ''}"
    )
