"""``bbnas space``: list, show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table

if TYPE_CHECKING:
    from bbnas.space import Space


@click.group()
def space() -> None:
    """List and show the design spaces of a search."""


@space.command("list")
@options.task
@options.as_json
def space_list(task: str, as_json: bool) -> None:
    """List the built-in spaces with their numbers of designs."""
    from bbnas.resources import builtin

    spaces = [_space(name, task) for name in builtin("search_spaces")]
    if as_json:
        keys = ("name", "description", "key")
        rows = [{key: getattr(s, key) for key in keys} | {"designs": s.count()} for s in spaces]
        print_json({"spaces": rows})
    else:
        rows_ = [(s.name, s.count(), s.description) for s in spaces]
        print_table(("space", "distinct designs", "description"), rows_)


@space.command("show")
@click.argument("name", type=options.SPACE)
@options.task
@options.as_json
def space_show(name: str, task: str, as_json: bool) -> None:
    """Print the axes of space NAME and its number of designs.

    NAME is one of bbnas space list, or a YAML file. Parts and depth are those of the task's
    backbone.
    """
    found = _space(name, task)
    if as_json:
        print_json(found.to_dict() | {"designs": found.count(), "key": found.key})
        return
    rows = [(axis, len(values), ", ".join(values)) for axis, values in found.describe().items()]
    print_table(("axis", "values", "choices"), rows, f"{found.name}: {found.description}")
    click.echo(
        f"{found.count():,} distinct designs; designs that build the same network count once"
    )


def _space(name: str, task: str) -> Space:
    """The space as a search of the task draws from it."""
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    return load_space(name, get_task(task))
