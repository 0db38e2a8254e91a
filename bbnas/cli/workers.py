"""``bbnas workers``."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table


@click.command()
@click.argument("study", type=options.STUDY)
@options.storage()
@options.as_json
def workers(study: str, storage: str | None, as_json: bool) -> None:
    """Show what the workers of a STUDY train, and what failed.

    STUDY is a name of bbnas studies list, or the path of a database; its searches may run now.
    """
    from bbnas.analysis.workers import workers_of
    from bbnas.store import open_study
    from bbnas.text import duration

    now = datetime.now(UTC)
    opened = open_study(study, storage)
    found = workers_of(opened, now)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    if not found.workers:
        older = "made by a bbnas that did not record its workers"
        click.echo(f"{study}: {older if opened.candidates else 'no training has begun yet'}")
        return
    columns = (
        "host",
        "run",
        "worker",
        "node",
        "ended",
        "stopped",
        "failed",
        "per hour",
        "training now",
    )
    rows = [
        (
            *(w.host, str(w.run), str(w.number), w.node or w.host),
            *(w.ended, w.stopped, w.failed),
            None if w.per_hour != w.per_hour else f"{w.per_hour:.3g}",
            None
            if w.trial is None or w.since is None
            else f"trial {w.trial}, for {duration((now - w.since).total_seconds())}",
        )
        for w in found.workers
    ]
    print_table(columns, rows)
    if found.failures:
        print_table(("without a result", "times"), list(found.failures.items()))
