"""PSNR over milliseconds on this machine: 1-bit networks and their rivals in one picture."""

from __future__ import annotations

from collections.abc import Sequence

from bbnas.device import Precision
from bbnas.figures.theme import BLUE, GREEN, INK, MAGENTA, SAND, Spec, axes_layout, scatter
from bbnas.rivals import Entrant, Rivals
from bbnas.text import count

# The colour and the symbol of each precision.
STYLES: dict[Precision, tuple[str, str]] = {
    "1-bit": (MAGENTA, "star"),
    "fp32": (BLUE, "circle"),
    "bf16": (GREEN, "square"),
    "int8": (SAND, "diamond"),
}


def draw_worth(found: Rivals) -> Spec:
    """Each entrant as a dot, and the best PSNR up to each time of the rivals and of 1 bit.

    Entrants that have learned nothing, at or below the global skip's PSNR, are not drawn.
    """
    floor = found.skip_psnr + found.noise
    able = [e for e in found.entrants if e.psnr > floor]
    traces = []
    for precision, (colour, symbol) in STYLES.items():
        mine = [e for e in able if e.precision == precision]
        if mine:
            traces.append(_dots(precision, mine, colour, symbol))
    sides = (
        ("best rival up to this time", INK, [e for e in able if e.precision != "1-bit"]),
        (
            "best 1-bit network up to this time",
            MAGENTA,
            [e for e in able if e.precision == "1-bit"],
        ),
    )
    for title, colour, side in sides:
        steps = _envelope(side)
        if len(steps) > 1:
            line = {"shape": "hv", "color": colour, "width": 1.5, "dash": "dot"}
            xs, ys = [x for x, _ in steps], [y for _, y in steps]
            traces.append(scatter(title, xs, ys, "lines", line=line, hoverinfo="skip"))
    layout = axes_layout(
        f"ms here, of {found.lq[0]}×{found.lq[1]} LQ pixels (log scale)",
        "PSNR on the validation images (dB)",
        480,
        xaxis={"type": "log", "dtick": "D2"},
    )
    return {"data": traces, "layout": layout}


def _dots(precision: Precision, entrants: Sequence[Entrant], colour: str, symbol: str) -> Spec:
    return scatter(
        precision,
        [1e3 * e.seconds for e in entrants],
        [e.psnr for e in entrants],
        "markers",
        text=[
            f"<b>{e.name}</b><br>{e.psnr:.2f} dB, {1e3 * e.seconds:.1f} ms<br>"
            f"{count(e.bytes)}B, {e.runtime}"
            for e in entrants
        ],
        hovertemplate="%{text}<extra></extra>",
        marker={"color": colour, "symbol": symbol, "size": 14 if precision == "1-bit" else 9},
    )


def _envelope(entrants: Sequence[Entrant]) -> list[tuple[float, float]]:
    steps: list[tuple[float, float]] = []
    for e in sorted(entrants, key=lambda e: (e.seconds, -e.psnr)):
        if not steps or e.psnr > steps[-1][1]:
            steps.append((1e3 * e.seconds, e.psnr))
    return steps
