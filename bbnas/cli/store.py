"""``bbnas store``: check, upgrade."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.errors import UserError

_database = click.argument("database", required=False)
_storage = options.storage("all databases in studies/ and runs/")


@click.group()
def store() -> None:
    """Check, upgrade, copy and merge study databases."""


@store.command("check")
@_database
@_storage
@options.as_json
def store_check(database: str | None, storage: str | None, as_json: bool) -> int:
    """Check that a DATABASE is sound: schema, file, references, rows.

    DATABASE is a URL or a SQLite file, as for --storage. The exit code is 1 if one is not sound.
    """
    from bbnas.store.check import check

    found, unread = [], []
    for url in _databases(database or storage):
        try:
            found.append(check(url))
        except UserError as error:
            unread.append(str(error))
    code = int(bool(unread) or any(one.problems for one in found))
    if as_json:
        print_json({"databases": found, "unread": unread, "sound": not code})
        return code
    for one in found:
        print_table(("", "rows"), list(one.rows.items()), f"{one.storage}, schema {one.schema}")
        for problem in one.problems:
            click.echo(f"problem: {problem}")
        for note in one.notes:
            click.echo(f"note: {note}")
        if not one.problems:
            click.echo("sound")
    for reason in unread:
        click.echo(f"problem: {reason}")
    return code


@store.command("upgrade")
@_database
@_storage
@click.option("--no-backup", is_flag=True, help="Keep no copy of what was before.")
@options.as_json
def store_upgrade(
    database: str | None, storage: str | None, no_backup: bool, as_json: bool
) -> None:
    """Bring a DATABASE of an older bbnas to the schema of this one.

    DATABASE is a URL or a SQLite file, as for --storage. A copy is kept beside a file; of a server
    pg_dump writes one into this folder.
    """
    from bbnas.store.upgrade import upgrade

    done = [upgrade(url, not no_backup) for url in _databases(database or storage)]
    if as_json:
        print_json({"databases": done})
        return
    for one in done:
        if one.before == one.after:
            click.echo(f"{one.storage}: schema {one.after}, up to date")
        else:
            kept = "no copy is kept" if one.backup is None else f"{one.backup} is what was before"
            click.echo(f"{one.storage}: schema {one.before} is now {one.after}; {kept}")


def _databases(storage: str | None) -> list[str]:
    from bbnas.store import RUNS, STUDIES, storage_url

    if storage is not None:
        return [storage_url(storage)]
    files = [file for folder in (STUDIES, RUNS) for file in sorted(folder.glob("*.db"))]
    if not files:
        raise UserError(f"{STUDIES}/ and {RUNS}/ hold no database; name one")
    return [storage_url(file) for file in files]
