"""``bbnas store``: check, upgrade, export, import, merge, to-optuna."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.errors import UserError
from bbnas.text import plural

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

    done, refused = [], []
    for url in _databases(database or storage):
        try:
            done.append(upgrade(url, not no_backup))
        except UserError as error:  # the others are upgraded all the same
            refused.append(str(error))
    if as_json and done:
        print_json({"databases": done})
    for one in () if as_json else done:
        if one.before == one.after:
            click.echo(f"{one.storage}: schema {one.after}, up to date")
        else:
            kept = "no copy is kept" if one.backup is None else f"{one.backup} is what was before"
            click.echo(f"{one.storage}: schema {one.before} is now {one.after}; {kept}")
    if refused:
        raise UserError("; ".join(refused))


@store.command("export")
@click.argument("study", type=options.STUDY)
@click.argument("file", type=options.Output())
@options.storage()
def store_export(study: str, file: str, storage: str | None) -> None:
    """Write a STUDY to a FILE: .json holds all of it, .csv and .parquet the candidates.

    bbnas store import reads the .json back. The tables are those of bbnas report --csv.
    """
    from bbnas.reporting import write_csv, write_parquet
    from bbnas.store import find_study
    from bbnas.store.transfer import take, write_study

    kind = _kind(file, (".json", ".csv", ".parquet"))
    found, name = find_study(study, storage)
    if kind == ".json":
        write_study(take(found, name), Path(file))
    else:
        write = write_csv if kind == ".csv" else write_parquet
        write(found.load_study(name), file)
    click.echo(f"wrote {file}")


@store.command("import")
@click.argument("file", type=options.Existing())
@click.option("--name", metavar="NAME", show_default="that of the file", help="Name of the study.")
@options.storage()
def store_import(file: str, name: str | None, storage: str | None) -> None:
    """Put the study of a FILE into a database: a .json of bbnas store export.

    An evaluation that the database has is kept once. Trainings that were paused begin anew, since
    their states lie beside the database that the study comes from.
    """
    from bbnas.store import default_url, open_store
    from bbnas.store.transfer import name_of, put, read_study, renamed

    _kind(file, (".json",))
    rows = read_study(Path(file))
    rows = rows if name is None else renamed(rows, name)
    name = name_of(rows)
    into = open_store(storage, default_url(name), create=True)
    had = put(into, rows)
    click.echo(f"{name} is in {into}; {plural(had, 'evaluation')} of it were there before")
    click.echo(f"next: bbnas studies show {name}{options.at(storage)}")


@store.command("merge")
@click.argument("first", type=options.STUDY)
@click.argument("second", type=options.STUDY)
@click.option("--into", "name", required=True, help="Name of the study that is made.")
@options.storage()
def store_merge(first: str, second: str, name: str, storage: str | None) -> None:
    """Make one study of two that differ in nothing but how designs were proposed.

    A design of both is one candidate, and each evaluation is kept once. FIRST and SECOND stay.
    """
    from bbnas.store import default_url, find_study, open_store
    from bbnas.store.transfer import merge, put, renamed

    rows, both = merge(find_study(first, storage), find_study(second, storage))
    rows = renamed(rows, name)
    into = open_store(storage, default_url(name), create=True)
    put(into, rows)
    designs = plural(len(rows["bbnas_candidates"]), "design")
    click.echo(f"{name} is in {into}: {designs}, {both} of both")
    click.echo(f"next: bbnas studies show {name}{options.at(storage)}")


@store.command("to-optuna")
@click.argument("study", type=options.STUDY)
@click.argument("database")
@options.storage()
def store_to_optuna(study: str, database: str, storage: str | None) -> None:
    """Write a STUDY to a DATABASE of Optuna's, such as sqlite:///first.optuna.db.

    optuna-dashboard opens it; bbnas does not need it.
    """
    from bbnas.store import open_study, storage_shown, storage_url
    from bbnas.store.optuna import write_optuna

    found, url = open_study(study, storage), storage_url(database)
    write_optuna(found, url)
    told = storage_shown(url)
    click.echo(
        f"{plural(len(found.candidates), 'trial')} in {told}\nnext: optuna-dashboard {told}"
    )


def _kind(file: str, known: tuple[str, ...]) -> str:
    suffix = Path(file).suffix.lower()
    if suffix not in known:
        raise UserError(f"{file}: must end in {' or '.join(known)}")
    return suffix


def _databases(storage: str | None) -> list[str]:
    from bbnas.store import RUNS, STUDIES, storage_url

    if storage is not None:
        return [storage_url(storage)]
    files = [file for folder in (STUDIES, RUNS) for file in sorted(folder.glob("*.db"))]
    if not files:
        raise UserError(f"{STUDIES}/ and {RUNS}/ hold no database; name one")
    return [storage_url(file) for file in files]
