"""Several studies on one page: fronts in common units, hypervolume, agreement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bbnas.analysis.compare import agreements, common_scale, race, summary
from bbnas.analysis.findings import findings
from bbnas.errors import UserError
from bbnas.figures.compare import Cost, draw_fronts, draw_race, fronts
from bbnas.reporting.html import write_html
from bbnas.store import open_study
from bbnas.study import Study
from bbnas.text import interval, signed

# More could not be told apart in one figure, and fewer are no comparison.
FEWEST, MOST = 2, 6


def compare(
    studies: Sequence[Study | str],
    output: str | Path = "reports/compare.html",
    *,
    storage: str | None = None,
    cost: Cost = "ops",
    inline: bool = False,
) -> Path:
    """Write a page that compares two to six studies; return its path.

    ``studies`` are Studies, or names or databases as :func:`bbnas.open_study` takes them, in
    ``storage`` where it is given. ``cost`` is the axis of the fronts. ``inline`` as in
    :func:`bbnas.report`.

    Raises:
        UserError: too few or too many studies, one that does not exist, or a file that cannot be
            written.
    """
    if not FEWEST <= len(studies) <= MOST:
        raise UserError(f"{len(studies)} studies: a comparison needs {FEWEST} to {MOST}")
    read = [one if isinstance(one, Study) else open_study(one, storage) for one in studies]
    names = [f"{place}: {study.config.name}" for place, study in enumerate(read, 1)]
    scale, rows = common_scale(read), summary(read)
    run = race(read, scale)
    return write_html(
        output,
        "reporting/compare.html.j2",
        inline=inline,
        title=", ".join(study.config.name for study in read),
        why=scale.why,
        head=list(rows[0]),
        rows=[(name, list(row.values())) for name, row in zip(names, rows, strict=True)],
        reference=run.reference if run is not None else "",
        names=[study.config.name for study in read],
        agreements=[
            (
                f"{row.axis}: {row.choice}",
                row.reference,
                [
                    (signed(f.effect), interval(f.low, f.high), f.settled) if f else None
                    for f in row.effects
                ],
                row.words,
            )
            for row in agreements([findings(study) for study in read])
        ],
        figures={
            "fronts": draw_fronts(fronts(read, scale, cost, names=names), scale, cost),
            "race": draw_race(run, names) if run is not None else None,
        },
    )
