"""A candidate as the text that Plotly shows on hover."""

from __future__ import annotations

import math
from html import escape

from bbnas.study import Candidate
from bbnas.text import count, decibel, milliseconds


def hover(candidate: Candidate) -> str:
    """A candidate in the lines of HTML that Plotly shows on hover; a user's text is escaped."""
    e = candidate.evaluation
    name = f"trial {candidate.number}"
    if candidate.baseline:
        name += f", baseline {candidate.baseline}"
    result = f"{decibel(e.psnr)}, SSIM {e.ssim:.4f}" if e.feasible else e.result
    if e.error:
        result += f": {e.error}"
    words = e.design.label().split(", ")
    lines = [", ".join(words[i : i + 3]) for i in range(0, len(words), 3)]
    costs = f"{count(e.ops)} OPs, {count(e.params)} Params"
    if math.isfinite(e.latency):
        costs += f", {milliseconds(e.latency)}"
    return "<br>".join([f"<b>{escape(name)}</b>", *map(escape, (result, costs, *lines))])
