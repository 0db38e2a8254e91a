"""How an ablation was measured, and the limits of its results."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from bbnas.ablations.ablation import MeasuredAblation
from bbnas.ablations.claims import noise
from bbnas.protocol import paper_protocol
from bbnas.reporting.measured import SCORE, environments, protocol_lines
from bbnas.tasks import get_task
from bbnas.text import decibel, duration, listed


def main_limit(measured: MeasuredAblation) -> str:
    """What limits the results most, in words that follow them: how short the training was."""
    ablation = measured.ablation
    smaller = any(
        (small.width, small.depth) != (row.design.width, row.design.depth)
        for row in ablation.rows
        for small in (ablation.protocol_of(row).trained(row.design),)
    )
    size = ", in smaller networks" if smaller else ""
    return f"after {_share(measured)} of the paper’s training{size}"


def _share(measured: MeasuredAblation) -> str:
    """The pixels that a training sees, as a share of those of the paper's schedule."""
    paper, own = (
        p.iterations * p.batch * p.patch**2
        for p in (paper_protocol(get_task(measured.ablation.task)), measured.ablation.protocol)
    )
    return f"1/{paper / own:,.0f}"


def limits(measured: MeasuredAblation) -> list[str]:
    """What the results do not show, in sentences."""
    ablation = measured.ablation
    protocol, task = ablation.protocol, get_task(ablation.task)
    paper = paper_protocol(task)
    trained = [
        (row.design, ablation.protocol_of(row).trained(row.design)) for row in ablation.rows
    ]
    sizes = dict.fromkeys(
        f"{small.width}×{small.depth} for {whole.width}×{whole.depth}" for whole, small in trained
    )

    size = f"{protocol.patch}×{protocol.patch}"
    theirs = f"{paper.iterations:,} × {paper.batch} of {paper.patch}×{paper.patch}"
    seen = (
        f"A training sees {protocol.iterations:,} × {protocol.batch} patches of {size} HQ "
        f"pixels; the paper’s schedule has {theirs}, so this is {_share(measured)} of its "
        "pixels. Networks that learn slowly at first rank lower than after full training."
    )
    images = (
        f"Trained and scored on {measured.data_description}; the paper trains on the 800 of DIV2K "
        f"and scores on {listed(list(task.benchmarks))}. PSNR is therefore measured on different "
        "images: only differences between rows can be compared with the paper’s, and their sign "
        "better than their size."
    )
    scope = (
        "An interval covers the variation between seeds, not that between images, sizes or "
        "schedules."
    )
    trained_as = f"Trained at width × depth of the body: {listed(list(sizes))}."
    return [trained_as, seen, images, scope, *ablation.notes]


def circumstances(
    measured: MeasuredAblation, skip_psnr: float
) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Everything that the results depend on, by topic: (topic, ((name, value), …))."""
    ablation, task = measured.ablation, get_task(measured.ablation.task)
    seconds = sum(e.seconds for e in measured.known)
    sd = noise(measured.scores(skip_psnr))
    lines = [line for line in protocol_lines(ablation.protocol, task) if "seed" not in line[0]]
    seeds = f"0 to {ablation.seeds - 1}, the same for all rows"
    known = math.isfinite(sd.sd)
    return [
        (
            "Task and data",
            (
                ("task", f"{task.name}: {task.title}, backbone {task.backbone.title}"),
                ("data", measured.data_description),
                ("data fingerprint", measured.data),
                ("score", SCORE.format(task.metric)),
                ("PSNR to beat", f"{decibel(skip_psnr)}, by {task.skip}, which costs nothing"),
            ),
        ),
        ("Protocol", (*lines, ("training seeds", seeds if ablation.seeds > 1 else "0"))),
        (
            "Noise and time",
            (
                (
                    "noise",
                    f"{sd.sd:.3f} dB standard deviation between seeds, over the rows that beat "
                    f"the global skip (residual of row + seed, {sd.freedom} degrees of freedom)"
                    if known
                    else "not known: one seed, or fewer than two rows beat the global skip",
                ),
                ("trainings", f"{len(measured.known):,}"),
                ("training and scoring time", duration(seconds)),
                ("date of this report", f"{datetime.now(UTC):%Y-%m-%d}"),
            ),
        ),
        ("Versions and hardware", tuple(environments(measured.known))),
    ]
