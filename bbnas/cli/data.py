"""``bbnas data``: list, check, prepare, fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.cli.progress import work_progress
from bbnas.errors import UserError
from bbnas.signals import keeps
from bbnas.text import duration

if TYPE_CHECKING:
    from bbnas.data.sets import Checked, KnownSet


@click.group()
def data() -> None:
    """List, fetch, check and prepare sets of photographs."""


@data.command("list")
@options.data_root
@options.as_json
def data_list(data_root: str | None, as_json: bool) -> None:
    """List the known sets, their use and how to get them."""
    from bbnas.data.datasets import EMBEDDED
    from bbnas.data.sets import SETS, data_roots, find_set

    roots = data_roots(data_root)
    places = {name: find_set(name, roots) for name in SETS}
    if as_json:
        rows = [_as_dict(known) | {"found": places[known.name]} for known in SETS.values()]
        print_json({"data_roots": roots, "sets": rows, "embedded": list(EMBEDDED)})
        return
    lines = [
        (
            known.name,
            _tasks(known),
            len(known.images),
            known.size,
            f"{known.folder}/",
            "there" if places[known.name] else "fetch" if known.source else "ask for it",
            known.terms,
        )
        for known in SETS.values()
    ]
    columns = ("set", "for", "images", "pixels", "belongs in", "", "terms")
    below = f"below {' and '.join(map(str, roots))}" if roots else "(BBNAS_DATA is not set)"
    print_table(columns, lines, f"known sets {below}")
    for known in SETS.values():
        if known.source is None:
            click.echo(f"{known.name}: ask for it at {known.page}")
        if known.note:
            click.echo(f"{known.name}: {known.note}")
    click.echo(f"with bbnas come the photographs {' and '.join(EMBEDDED)}, by --data NAME")
    click.echo("get one by: bbnas data fetch NAME --data-root DIR")


def _tasks(known: KnownSet) -> str:
    if known.use != "test":
        return known.use
    kinds: dict[str, list[str]] = {}
    for task in known.tasks:
        kind = task.rstrip("0123456789")
        kinds.setdefault(kind, []).append(task.removeprefix(kind) or "blind")
    return ", ".join(f"{kind} {'/'.join(levels)}" for kind, levels in kinds.items())


def _as_dict(known: KnownSet) -> dict[str, Any]:
    source = known.source
    return {
        "name": known.name,
        "aliases": known.aliases,
        "use": known.use,
        "tasks": known.tasks,
        "images": len(known.images),
        "longer_side": known.longer,
        "shorter_side": known.shorter,
        "folder": known.folder,
        "page": known.page,
        "terms": known.terms,
        "note": known.note,
        "addresses": source.addresses if source else [],
        "checksum": source.checksum if source else "",
        "origin": source.origin if source else "",
    }


@data.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@options.data_root
@options.quiet
@options.as_json
def data_check(names: tuple[str, ...], data_root: str | None, quiet: bool, as_json: bool) -> None:
    """Check that sets are present, complete and decodable.

    Without a NAME, all that are present.
    """
    from bbnas.data.sets import SETS, check_set, data_roots, get_set

    chosen = [get_set(name) for name in names] or list(SETS.values())
    keeps("nothing is kept")
    with work_progress(quiet) as on_progress:
        results = [check_set(known, data_root, on_progress) for known in chosen]
    if as_json:
        print_json({"sets": [_check_dict(result) for result in results]})
    else:
        _print_checks(results)
    # Nobody has all of the sets: only what was named must be there.
    bad = [one for one in results if not one.ok and (names or one.folder is not None)]
    if bad:
        more = f"; {len(bad) - 1} more sets are not in order" if len(bad) > 1 else ""
        first = bad[0]
        where = first.folder or f"below {' and '.join(map(str, data_roots(data_root)))}"
        raise UserError(f"{first.known.name}, {where}: {first.problem}{_remedy(first)}{more}")


def _remedy(result: Checked) -> str:
    known = result.known
    if result.folder is not None:
        return f"; put that right, see {known.page}"
    if known.source is None:
        return f"; ask for it at {known.page}"
    return f"; get it by: bbnas data fetch {known.name}"


def _print_checks(results: list[Checked]) -> None:
    lines = []
    for one in results:
        there = one.folder is not None
        words = "complete" if one.ok else one.problem
        count = f"{one.found} of {len(one.known.images)}" if there else None
        lines.append((one.known.name, words, count, one.folder))
    print_table(("set", "", "images", "folder"), lines)
    for one in results:
        for title, files in (
            ("missing", one.missing if one.folder else ()),
            ("surplus", one.surplus),
            ("undecodable", [f"{name} ({why})" for name, why in one.undecodable]),
            ("of another size", [f"{name} ({size})" for name, size in one.odd]),
        ):
            if files:
                click.echo(f"{one.known.name}, {title}: {', '.join(files)}")


def _check_dict(one: Checked) -> dict[str, Any]:
    return {
        "name": one.known.name,
        "folder": one.folder,
        "present": one.folder is not None,
        "ok": one.ok,
        "images": one.found,
        "expected": len(one.known.images),
        "missing": one.missing,
        "surplus": one.surplus,
        "undecodable": dict(one.undecodable),
        "other_size": dict(one.odd),
    }


@data.command("prepare")
@click.argument("images", type=click.Path(), metavar="DATA")
@click.option(
    "--task",
    type=options.TASK,
    help="Restoration task whose LQ images are made as well, such as sr4.",
)
@options.quiet
@options.as_json
def data_prepare(images: str, task: str | None, quiet: bool, as_json: bool) -> None:
    """Decode images once, for training with --data DATA.

    The result, with the LQ images of a task, is memory-mapped and shared by all workers. Files
    that exist are not made again.
    """
    from bbnas.tasks import get_task

    chosen = None if task is None else get_task(task)

    from bbnas.data.preparing import prepare
    from bbnas.environment import taken_on

    keeps("the files that are complete are kept; the same command makes the others")
    with work_progress(quiet) as on_progress:
        done = prepare(images, chosen, on_progress)
    if as_json:
        print_json(
            {
                "data": done.dataset.description,
                "fingerprint": done.dataset.fingerprint,
                "skipped": [{"file": name, "why": why} for name, why in done.dataset.skipped],
                "files": done.files,
                "bytes": done.size,
                "made": done.made,
                "seconds": done.seconds,
            }
        )
        return
    click.echo(done.dataset.description)
    for file in done.files:
        click.echo(f"{file.stat().st_size / 1e6:,.1f} MB  {file}")
    what = (
        f"made in {duration(done.seconds)} ({taken_on()})"
        if done.made
        else "all of it was there already"
    )
    click.echo(f"{done.size / 1e6:,.1f} MB in all, {what}")


@data.command("fetch")
@click.argument("name")
@options.data_root
@options.quiet
@options.as_json
def data_fetch(name: str, data_root: str | None, quiet: bool, as_json: bool) -> None:
    """Download the set NAME and unpack it below the data root.

    From its official address. The same command resumes a transfer that broke off.
    """
    from bbnas.data.fetch import fetch
    from bbnas.data.sets import get_set

    known = get_set(name)
    keeps("what was downloaded is kept; the same command resumes")
    with work_progress(quiet) as on_progress:
        fetched = fetch(known, data_root, on_progress)
    if as_json:
        print_json({"terms": known.terms, "fetched": [one._asdict() for one in fetched]})
        return
    for one in fetched:
        what = f"{one.images} images" if one.images else "complete, it was there already"
        click.echo(f"{one.name}: {what} in {one.folder}")
    click.echo(f"terms of {known.name}: {known.terms} ({known.page})")
