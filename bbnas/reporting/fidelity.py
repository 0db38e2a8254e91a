"""Protocols compared: the cost of each, and how well it ranks designs."""

from __future__ import annotations

from collections.abc import Sequence

from bbnas.fidelity import MeasuredFidelity
from bbnas.protocol import Protocol
from bbnas.reporting.markdown import grid, literal
from bbnas.reporting.tables import NONE, TextTable
from bbnas.text import plural


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
        note=(
            "95 % confidence intervals by bootstrap over designs. Pairs ordered: share in the "
            "same order, of the pairs that differ beyond the noise of the long protocol. Best "
            "fifth: share of it that both protocols have in common. Noise: the standard deviation "
            "between seeds."
        ),
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
    """The comparison as Markdown, with the command that made it and where."""
    table, first = compared(found), found[0]
    lines = [f"# {literal(table.title)}", "", *grid(table), "", literal(table.note)]
    if first.result.floor is not None:
        lines[-1] += (
            f" Under the long protocol {first.result.useful} designs end above "
            f"{first.result.floor:.2f} dB, the network’s global skip plus noise; the others are "
            "ranked equal last."
        )
    lines += ["", f"Made by `{command}` on:", ""]
    where = sorted(first.environment.items())
    lines += [f"- {literal(name)}: {literal(value)}" for name, value in where]
    return "\n".join(lines) + "\n"
