"""``bbnas studies``: list, show, rename, delete."""

from __future__ import annotations

import dataclasses
import sys

import click

from bbnas.cli import options
from bbnas.cli.candidates import print_front
from bbnas.cli.console import print_json, print_table
from bbnas.errors import UserError
from bbnas.signals import received


@click.group()
def studies() -> None:
    """List, show, rename and delete your studies."""


@studies.command("list")
@options.storage("all databases in studies/")
@options.as_json
def studies_list(storage: str | None, as_json: bool) -> None:
    """List the studies and what each recommends."""
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
    """Show how far a STUDY is, and its front."""
    from bbnas.analysis import front, recommend
    from bbnas.analysis.glance import glance, point
    from bbnas.reporting.measured import measured
    from bbnas.store import find_study
    from bbnas.store.runs import budget_of, searches

    store, name = find_study(study, storage)
    opened, found = store.load_study(name), searches(store, name)
    one, topics, budget = glance(opened), measured(opened), budget_of(found)
    training = sum(attempt.finished is None for attempt in opened.attempts)
    searching = [run for run in found if run.alive]
    if as_json:
        print_json(
            dataclasses.asdict(one)
            | {
                "budget": budget,
                "training": training,
                "searches": [
                    {"host": run.host, "process": run.pid, "since": run.started}
                    for run in searching
                ],
                "front": [point(candidate.evaluation) for candidate in front(opened)],
                "settings": {topic: dict(lines) for topic, lines in topics},
            }
        )
        return
    whole = "" if budget is None else f" of {budget:,}"
    running = [
        f"process {r.pid} on {r.host} since {r.started:%Y-%m-%d %H:%M} UTC" for r in searching
    ]
    lines: list[tuple[str, str | float | None]] = [
        ("designs", f"{one.designs:,}{whole}, {training:,} in training"),
        ("searched now by", "\n".join(running) or "nobody"),
        ("database", one.storage),
        ("best PSNR (dB)", one.best_psnr),
        ("recommended", one.recommended),
    ]
    print_table(("", ""), lines, f"study {one.study}")
    try:
        print_front(opened, recommend(opened))
    except UserError:  # no design is worth it yet
        print_front(opened, None)
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
    if not yes and not _agreed(question):
        click.echo("nothing is removed")
        return
    delete_study(store, name)
    click.echo(f"{name} is removed from {store}")


def _agreed(question: str) -> bool:
    """The answer to ``question``.

    Raises:
        UserError: nobody is there to answer.
    """
    try:
        if sys.stdin is not None:
            return click.confirm(question, err=True)
    except click.Abort:
        if received():
            raise
        click.echo(err=True)
    raise UserError("nothing is removed: standard input has no answer; --yes removes unasked")
