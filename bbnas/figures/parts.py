"""What each part of a network costs: its shares of operations, parameters and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from bbnas.cost import Cost
from bbnas.figures.theme import BLUE, GREEN, GREY, INDIGO, PAPER, SAND, Spec, axes_layout
from bbnas.text import count

COLOURS = {"head": SAND, "body": BLUE, "upsampling": GREEN, "tail": INDIGO, "skip": GREY}


@dataclass(frozen=True)
class PartShare:
    """A part's ``ops``, ``params`` (paper's convention, plain counts) and ``packed_bytes``."""

    part: str
    one_bit: bool
    ops: float
    params: float
    packed_bytes: int


def part_shares(cost: Cost) -> list[PartShare]:
    """The parts of a network in its order; the global skip, which has none of the three, is left
    out.
    """
    return [
        PartShare(name, part.params_binary > 0, part.ops, part.params, part.packed_bytes)
        for name, part in cost.parts.items()
        if part.ops or part.params
    ]


def draw_parts(shares: list[PartShare]) -> Spec:
    """A bar for each cost, divided into the parts' shares of it in percent."""
    rows = ("packed_bytes", "params", "ops")  # from the bottom
    titles = {"ops": "OPs", "params": "Params", "packed_bytes": "bytes, packed"}
    totals = {row: sum(getattr(share, row) for share in shares) for row in rows}
    names = [f"{titles[row]}: {count(totals[row])}" for row in rows]
    traces: list[Spec] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": f"{share.part} (1-bit)" if share.one_bit else share.part,
            "y": names,
            "x": [100 * getattr(share, row) / (totals[row] or 1) for row in rows],
            "text": [count(getattr(share, row)) for row in rows],
            "textposition": "inside",
            "insidetextanchor": "middle",
            "constraintext": "inside",
            "hovertemplate": f"{share.part}: %{{text}}, %{{x:.1f}} %<extra></extra>",
            "marker": {"color": COLOURS[share.part], "line": {"color": PAPER, "width": 1}},
        }
        for share in shares
    ]
    return {
        "data": traces,
        "layout": axes_layout(
            "share (%)",
            "",
            230,
            barmode="stack",
            hovermode="closest",
            xaxis={"range": [0, 100], "fixedrange": True},
            yaxis={"fixedrange": True},
            legend={"traceorder": "normal"},
            uniformtext={"minsize": 10, "mode": "hide"},
        ),
    }
