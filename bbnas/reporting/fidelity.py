"""Protocols compared: the cost of each, and how well it ranks designs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bbnas.fidelity import MeasuredFidelity
from bbnas.protocol import Protocol
from bbnas.reporting.markdown import grid, literal
from bbnas.reporting.tables import NONE, TextTable
from bbnas.tasks import get_task
from bbnas.text import plural

MEANINGS = {
    "Kendall τ, Spearman ρ": "rank correlation with the long protocol, and its 95 % confidence "
    "interval by bootstrap over designs",
    "pairs ordered": "share in the same order, of the pairs that differ beyond the noise of the "
    "long protocol",
    "best fifth": "share of it that both protocols have in common",
    "noise": "standard deviation between seeds",
}


def compared(found: Sequence[MeasuredFidelity]) -> TextTable:
    """A row for each protocol, compared with one longer protocol, and for rankings by cost."""
    first = found[0]
    rows = [_row(each) for each in found]
    free = first.result.baselines
    rows += [(name, "no training", "0", str(tau), *[NONE] * 4) for name, tau in free.items()]
    long, r = first.long, first.result
    return TextTable(
        name="protocols",
        title=(
            f"{first.task}: {plural(r.designs, 'design')} of space {first.space} ranked by "
            f"protocols, against {long.name} ({recipe(long)}, {r.long_seconds:.0f} s a design)"
        ),
        columns=(
            "protocol",
            "training",
            "s a design",
            "Kendall τ",
            "Spearman ρ",
            "pairs ordered",
            "best fifth",
            "noise (dB)",
        ),
        numeric=(False, False, *[True] * 6),
        rows=tuple(rows),
        note=". ".join(f"{name}: {meaning}" for name, meaning in MEANINGS.items()) + ".",
    )


def recipe(protocol: Protocol) -> str:
    """The settings of a protocol that decide its cost and its result, in one line."""
    p = protocol
    rate = f"{p.learning_rate:g} {p.schedule}"
    return (
        f"width × {p.width_scale:g}, depth × {p.depth_scale:g}, {p.iterations:,} × {p.batch} "
        f"patches of {p.patch}², rate {rate}"
    )


def _row(found: MeasuredFidelity) -> tuple[str, ...]:
    r = found.result
    pairs = NONE if r.ordered_pairs is None else f"{r.ordered_pairs:.0%} of {r.pairs}"
    noise = NONE if r.proxy_noise is None else f"{r.proxy_noise:.3f}"
    figures = (str(r.kendall_tau), str(r.spearman_rho), pairs, f"{r.top:.0%}", noise)
    return (found.protocol.name, recipe(found.protocol), f"{r.proxy_seconds:.1f}", *figures)


def to_markdown(found: Sequence[MeasuredFidelity], command: str) -> str:
    """The comparison as a page in Markdown, with the command that made it and where."""
    table, first = compared(found), found[0]
    long, r = first.long, first.result
    about = (
        f"This page compares how well short protocols rank designs. {plural(r.designs, 'design')} "
        f"of the space `{first.space}` are trained for {get_task(first.task).title} by each "
        f"protocol, and by a longer one, whose ranking counts as the truth: `{long.name}` "
        f"({recipe(long)}, {r.long_seconds:.0f} s a design). Times are those of "
        f"{literal(first.machine)}."
        + (
            " The networks and the proxy are those of an earlier version of bbnas."
            if first.earlier
            else ""
        )
    )
    lines = [
        f"# Proxies for {first.task}",
        "",
        about,
        "",
        *grid(table),
        "",
        "| Column | Meaning |",
        "|---|---|",
        *(f"| {name} | {meaning} |" for name, meaning in MEANINGS.items()),
    ]
    if r.floor is not None and r.useful is not None:
        above = (
            f"Under the long protocol {plural(r.useful, 'design')} end above {r.floor:.2f} dB, "
            "the PSNR of the network’s global skip plus the noise. The others are ranked equal "
            "last."
        )
        lines += ["", above]
    lines += ["", "The table was made by", "", "```sh", folded(command), "```", ""]
    when = f" on {first.measured}" if first.measured else ""
    lines += [f"with these versions, on this machine{when}:", "", "| | |", "|---|---|"]
    where = sorted(first.environment.items())
    lines += [f"| {literal(name)} | {literal(value)} |" for name, value in where]
    return "\n".join(lines) + "\n"


def folded(command: str) -> str:
    """A command of the shell in lines of at most 90 characters, as far as its words allow."""
    lines = [""]
    for word in map(shlex.quote, shlex.split(command)):
        if lines[-1].strip() and len(lines[-1]) + len(word) > 90:
            lines.append(" ")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n".join(lines)
