"""``bbnas studies``: list, show."""

from __future__ import annotations

import dataclasses

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table


@click.group(invoke_without_command=True)
@options.storage("all databases in studies/")
@options.as_json
@click.pass_context
def studies(context: click.Context, storage: str | None, as_json: bool) -> None:
    """List your studies; studies show NAME tells more."""
    if context.invoked_subcommand is not None:
        return
    from bbnas.analysis.glance import glance
    from bbnas.store import STUDIES, storage_shown, stored_studies

    found, unread = stored_studies(storage)
    for reason in unread:
        click.echo(f"skipped: {reason}", err=True)
    glances = [glance(study) for study in found]
    if as_json:
        print_json({"studies": glances})
    elif not glances:
        place = storage_shown(storage) if storage else f"{STUDIES}/"
        click.echo(f"no study in {place}; next: bbnas search")
    else:
        columns = ("study", "task", "space", "designs", "best (dB)", "recommended", "last result")
        rows = [
            (
                *(one.study, one.task, one.space, one.designs, one.best_psnr, one.recommended),
                None if one.finished is None else f"{one.finished:%Y-%m-%d %H:%M}",
            )
            for one in glances
        ]
        print_table(columns, rows)


@studies.command("show")
@click.argument("study", type=options.STUDY)
@options.storage()
@options.as_json
def studies_show(study: str, storage: str | None, as_json: bool) -> None:
    """Show the settings, counts and recommended design of a STUDY."""
    from bbnas.analysis.glance import glance
    from bbnas.reporting.measured import measured
    from bbnas.store import open_study

    opened = open_study(study, storage)
    one, topics = glance(opened), measured(opened)
    if as_json:
        settings = {topic: dict(lines) for topic, lines in topics}
        print_json(dataclasses.asdict(one) | {"settings": settings})
        return
    lines: list[tuple[str, str | float | None]] = [
        ("recommended", one.recommended),
        ("best PSNR (dB)", one.best_psnr),
    ]
    print_table(("", ""), lines, "Result")
    for topic, settings_of in topics:
        print_table(("", ""), settings_of, topic)
    at = options.at(storage)
    for command in ("report", "findings", "export"):
        click.echo(f"next: bbnas {command} {study}{at}")
