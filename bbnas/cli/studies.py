"""``bbnas studies``: list, show, rename, delete."""

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


@studies.command("rename")
@click.argument("old", type=options.STUDY)
@click.argument("new")
@options.storage()
def studies_rename(old: str, new: str, storage: str | None) -> None:
    """Give the study OLD the name NEW.

    The file that holds it alone is renamed too, with what lies beside it.
    """
    from bbnas.store import find_study
    from bbnas.store.upkeep import rename_study

    store, name = find_study(old, storage)
    click.echo(f"{name} is now {new}, in {rename_study(store, name, new)}")


@studies.command("delete")
@click.argument("study", type=options.STUDY)
@options.storage()
@click.option("--yes", is_flag=True, help="Do not ask.")
def studies_delete(study: str, storage: str | None, yes: bool) -> None:
    """Remove a STUDY and what was paused of it.

    In a database of several studies, evaluations that another one has as well are kept.
    """
    from bbnas.store import find_study
    from bbnas.store.upkeep import delete_study
    from bbnas.text import plural

    store, name = find_study(study, storage)
    designs = plural(len(store.load_study(name).candidates), "design")
    question = f"Remove study {name} of {designs} from {store}?"
    if not yes and not click.confirm(question, err=True):
        click.echo("nothing is removed")
        return
    delete_study(store, name)
    click.echo(f"{name} is removed from {store}")
