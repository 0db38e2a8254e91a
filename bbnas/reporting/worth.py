"""Rivals as a page: the picture, what follows of it, and every network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bbnas.analysis.pareto import non_dominated
from bbnas.analysis.worth import Worth, break_even_words, worth
from bbnas.device import Precision
from bbnas.figures.worth import draw_worth
from bbnas.files import write_output
from bbnas.reporting.fidelity import folded
from bbnas.reporting.html import write_html
from bbnas.reporting.markdown import grid, literal
from bbnas.reporting.tables import NONE, TextTable
from bbnas.rivals import Entrant, Rivals
from bbnas.tasks import get_task
from bbnas.text import count, plural

# Bits of a weight.
BITS: dict[Precision, int] = {"int8": 8, "bf16": 16, "fp32": 32}
ABOUT = (
    "This page compares 1-bit networks with ordinary ones that restore as well. A rival is the "
    "task’s backbone at a small width, in full precision, in bf16 or in 8 bits: as in the paper, "
    "or with nothing computed on the larger grid (direct, unshuffle). It was trained by "
    "the same protocol on the same batches, and is run by the fastest runtime that is installed. "
    "The ends of an interval are the ratios to the rivals whose PSNR is lower or higher by the "
    "noise between seeds."
)


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
    """How many 1-bit multiply-accumulates a device must do in the time of one in each precision,
    and how many each device does.
    """
    even = {e.precision: break_even_words(e.needed) for e in one.break_even}
    rows = [("needed", *even.values(), "", "the networks of this page")]
    for on in one.devices:
        has = on.device.ratios
        figures = (f"{has[p]:.2g}" if p in has else NONE for p in even)
        rows.append((on.device.title, *figures, on.verdict, on.device.source))
    return TextTable(
        name="break-even",
        title=f"Break-even of {one.design.name}",
        columns=("1-bit MACs in the time of one", *even, "1 bit", "known from"),
        numeric=(False, *[True] * len(even), False, False),
        rows=tuple(rows),
        note="Needed: for the design to be as fast as the smallest rival of its PSNR. It counts "
        "multiply-accumulates alone, the design’s full-precision ones as fast as the rival’s. "
        "1 bit wins on a device that does more than is needed in each precision that it has.",
    )


def weights_break_even(one: Worth) -> TextTable:
    """How many 1-bit weights must fit into the space of one in each precision, and do."""
    held = {e.precision: BITS[e.precision] for e in one.break_even}
    needed = {e.precision: e.weights_needed for e in one.break_even}
    verdicts = (
        "wins" if held[p] > n.high else "loses" if held[p] < n.low else "is not settled"
        for p, n in needed.items()
    )
    return TextTable(
        name="break-even-weights",
        title=f"Break-even of {one.design.name}, in bytes",
        columns=("1-bit weights in the space of one", *held),
        numeric=(False, *[True] * len(held)),
        rows=(
            ("needed", *(break_even_words(n) for n in needed.values())),
            ("there are", *(str(bits) for bits in held.values())),
            ("1 bit", *verdicts),
        ),
        note="Needed: for the design to be as small as the smallest rival of its PSNR. It counts "
        "the weights of convolutions alone, the design’s full-precision ones like the rival’s.",
    )


# What is told of each 1-bit network.
TABLES = (break_even, weights_break_even)


def write_worth(found: Rivals, path: Path, command: str) -> Path:
    """Write the page to ``path``, which is returned: in Markdown if it ends in ``.md``.

    ``command`` is the one that measured.

    Raises:
        UserError: a file cannot be written.
    """
    if path.suffix == ".md":
        return write_output(path, to_markdown(found, command))
    values = worth(found)
    return write_html(
        path,
        "reporting/worth.html.j2",
        found=found,
        sentences=[one.sentence for one in values],
        networks=networks(found.entrants),
        tables=[table(one) for one in values for table in TABLES],
        figures={"worth": draw_worth(found)},
    )


def to_markdown(found: Rivals, command: str) -> str:
    """What :func:`write_worth` writes in Markdown; of the networks those of `best_networks`."""
    best, values = best_networks(found), worth(found)
    table = networks(best)
    shown = f"{len(best)} of {plural(len(found.entrants), 'network')}"
    lines = [
        f"# Is one bit worth it? {get_task(found.task).title}",
        "",
        ABOUT,
        "",
        *(f"- {literal(one.sentence)}" for one in values),
        "",
        "## Networks",
        "",
        f"{shown}: 1-bit, and those that none is faster and better than.",
        "",
        *grid(table),
        "",
        literal(table.note),
    ]
    for even in (table(one) for one in values for table in TABLES):
        lines += ["", f"## {literal(even.title)}", "", *grid(even), "", literal(even.note)]
    versions = ", ".join(f"{name} {text}" for name, text in found.versions.items())
    lines += ["", "## How it was measured", "", f"{literal(found.words)}; {literal(versions)}."]
    return "\n".join([*lines, "", "```sh", folded(command), "```"]) + "\n"
