"""``bbnas findings``."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import print_json


@click.command()
@click.argument("study", type=options.STUDY)
@options.storage()
@options.as_json
def findings(study: str, storage: str | None, as_json: bool) -> None:
    """Print the effect of each design choice in a STUDY, in dB.

    From pairs of designs that differ in the choice alone, or from a fit over all designs where
    pairs are few. An effect that may be chance, given the number of comparisons, is named as not
    settled yet.
    """
    from bbnas.analysis import findings as find
    from bbnas.analysis.findings import summary
    from bbnas.store import open_study

    found = open_study(study, storage)
    told = find(found)
    if as_json:
        plain = {"study": found.config.name, "candidates": len(found.candidates)}
        untested = [choice._asdict() for choice in told.untested]
        print_json(plain | {"effects": told.effects, "untested": untested})
        return
    for line in summary(told) or ["too few designs for any finding: extend the search"]:
        click.echo(f"- {line}")
