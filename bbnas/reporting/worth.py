"""Rivals as a page: the picture, what follows of it, and every network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bbnas.analysis.pareto import non_dominated
from bbnas.analysis.worth import Worth, worth
from bbnas.figures.worth import draw_worth
from bbnas.reporting.html import write_html
from bbnas.reporting.tables import NONE, TextTable
from bbnas.rivals import Entrant, Rivals
from bbnas.text import count

PAYS = "1 bit is the faster one on a device that does so many 1-bit multiply-accumulates"


def best_networks(found: Rivals) -> list[Entrant]:
    """The 1-bit networks, and the others that none is faster and better than."""
    points = [(e.seconds, -e.psnr) for e in found.entrants]
    first = non_dominated(points)
    return [e for e, on in zip(found.entrants, first, strict=True) if on or e.precision == "1-bit"]


def networks(entrants: Sequence[Entrant]) -> TextTable:
    """A row for each network, in their order."""
    rows = [
        (
            e.name,
            f"{e.psnr:.2f}",
            f"{1e3 * e.seconds:.1f}",
            f"{e.bytes / 1e3:,.0f}",
            f"{e.memory / 1e6:,.0f}" if e.memory else NONE,
            count(e.macs_full),
            count(e.macs_binary) if e.macs_binary else NONE,
            e.runtime,
        )
        for e in entrants
    ]
    return TextTable(
        name="rivals",
        title="Networks",
        columns=("network", "PSNR dB", "ms", "KB", "MB in use", "MACs", "1-bit MACs", "run by"),
        numeric=(False, *[True] * 6, False),
        rows=tuple(rows),
        note="Width × depth and precision. KB: the file. MB in use: what a process grew by when "
        "it ran the network. MACs: multiply-accumulates of convolutions on 320×180 LQ pixels.",
    )


def break_even(one: Worth) -> TextTable:
    """How many 1-bit multiply-accumulates a device must do, by the rivals' precision."""
    rows = []
    for even in one.break_even:
        here = f"{even.here:.2g}" if even.here == even.here else NONE
        rows.append((even.precision, even.words, here, even.verdict))
    return TextTable(
        name="break-even",
        title=f"Break-even of {one.design.name}",
        columns=("of one in", "1-bit MACs needed", "here", "so here 1 bit"),
        numeric=(False, False, True, False),
        rows=tuple(rows),
        note="How many 1-bit multiply-accumulates a device must do in the time of one in another "
        "precision, for the design to be as fast as the smallest rival of its PSNR. It counts "
        "multiply-accumulates alone, the design’s full-precision ones as fast as the rival’s. "
        "Here: the same ratio of 64→64 convolutions on this machine.",
    )


def write_worth(found: Rivals, path: Path, *, inline: bool = False) -> Path:
    """Write the page to ``path``, which is returned.

    Raises:
        UserError: a file cannot be written.
    """
    values = worth(found)
    return write_html(
        path,
        "reporting/worth.html.j2",
        inline=inline,
        found=found,
        sentences=[one.sentence for one in values],
        networks=networks(found.entrants),
        tables=[break_even(one) for one in values],
        figures={"worth": draw_worth(found)},
    )
