"""Under what circumstances an experiment was measured, and what that leaves open."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from bbnas.ablations.ablation import Measured
from bbnas.ablations.claims import noise
from bbnas.protocol import Protocol, paper_protocol
from bbnas.reporting.measured import SCORE, environments, protocol_lines
from bbnas.tasks import get_task
from bbnas.text import decibel, duration, listed


def limits(measured: Measured) -> list[str]:
    """What its figures cannot tell, in sentences."""
    experiment = measured.experiment
    protocol, task = experiment.protocol, get_task(experiment.task)
    paper = paper_protocol(task)
    trained = [(row.design, protocol.trained(row.design)) for row in experiment.rows]
    sizes = dict.fromkeys(
        f"{small.width}×{small.depth} for {whole.width}×{whole.depth}" for whole, small in trained
    )

    def pixels(p: Protocol) -> int:
        return p.iterations * p.batch * p.patch**2

    size = f"{protocol.patch}×{protocol.patch}"
    theirs = f"{paper.iterations:,} × {paper.batch} of {paper.patch}×{paper.patch}"
    share = f"1/{pixels(paper) / pixels(protocol):,.0f}"
    seen = (
        f"A training sees {protocol.iterations:,} × {protocol.batch} patches of {size} HQ pixels, "
        f"where the paper’s schedule has {theirs}: {share} of the pixels. What starts slowly is "
        "judged more harshly than after full training."
    )
    images = (
        f"Trained and scored on {measured.data_description}; the paper trains on the 800 of DIV2K "
        f"and scores on {listed(list(task.benchmarks))}. PSNR here and there are of different "
        "images: only differences between rows can be compared, and their size less than their "
        "sign."
    )
    scope = (
        "An interval holds what other seeds would do, not what other images, sizes or schedules "
        "would."
    )
    trained_as = f"Trained at width × depth of the body: {listed(list(sizes))}."
    return [trained_as, seen, images, scope, *experiment.notes]


def circumstances(
    measured: Measured, skip_psnr: float
) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """All that the figures depend on, by topic: (topic, ((name, value), …))."""
    experiment, task = measured.experiment, get_task(measured.experiment.task)
    seconds = sum(e.seconds for e in measured.known)
    sd = noise(measured.scores(skip_psnr))
    lines = [line for line in protocol_lines(experiment.protocol, task) if "seed" not in line[0]]
    seeds = f"0 to {experiment.seeds - 1}, the same for all rows"
    told = math.isfinite(sd.sd)
    return [
        (
            "Task and data",
            (
                ("task", f"{task.name}: {task.title}, backbone {task.backbone.title}"),
                ("data", measured.data_description),
                ("data fingerprint", measured.data),
                ("score", SCORE.format(task.metric)),
                ("to beat", f"{task.skip}, which costs nothing: {decibel(skip_psnr)}"),
            ),
        ),
        ("Protocol", (*lines, ("training seeds", seeds if experiment.seeds > 1 else "0"))),
        (
            "Noise and time",
            (
                (
                    "noise",
                    f"{sd.sd:.3f} dB between seeds, over the rows that beat the global skip (row "
                    f"and seed taken out, {sd.freedom} degrees of freedom)"
                    if told
                    else "not known: one seed, or fewer than two rows beat the global skip",
                ),
                ("trainings", f"{len(measured.known):,}"),
                ("training and scoring time", duration(seconds)),
                ("date of this report", f"{datetime.now(UTC):%Y-%m-%d}"),
            ),
        ),
        ("Versions and hardware", tuple(environments(measured.known))),
    ]
