"""``bbnas findings``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bbnas.cli import options
from bbnas.cli.console import print_json

if TYPE_CHECKING:
    from bbnas.analysis.findings import Finding


# The fields of StudyFindings that hold findings.
KINDS = ("significant", "undecided")


@click.command()
@click.argument("study", type=options.STUDY)
@options.storage()
@options.as_json
def findings(study: str, storage: str | None, as_json: bool) -> None:
    """Print the effect of each design choice in a STUDY, in dB.

    From pairs of designs that differ in the choice alone, or from a fit over all designs where
    pairs are few. Effects that may be chance, given the number of comparisons, are left out.
    """
    from bbnas.analysis.findings import findings as find
    from bbnas.analysis.findings import summary as lines
    from bbnas.store import open_study

    found = open_study(study, storage)
    told = find(found)
    if as_json:
        plain = {"study": found.config.name, "candidates": len(found.candidates)}
        rows = {kind: [_finding(f) for f in getattr(told, kind)] for kind in KINDS}
        print_json(plain | rows | {"untested": told.untested})
        return
    for line in lines(told) or ["too few designs for any finding: extend the search"]:
        click.echo(f"- {line}")


def _finding(found: Finding) -> dict[str, Any]:
    e = found.evidence
    return {
        "axis": found.axis,
        "choice": found.choice,
        "reference": found.reference,
        "effect": e.effect,
        "low": e.low,
        "high": e.high,
        "p": e.p,
        "pairs": e.pairs,
        "source": e.source,
        "collapsed": found.collapsed,
        "words": found.words,
    }
