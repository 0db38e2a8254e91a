"""``bbnas compare``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from bbnas.cli import options
from bbnas.cli.console import print_json

if TYPE_CHECKING:
    from bbnas.figures.compare import Cost


@click.command()
@click.argument("studies", nargs=-1, required=True, type=options.STUDY, metavar="STUDY…")
@options.storage()
@options.output("HTML page that is written.", "reports/compare.html")
@click.option(
    "--cost",
    type=click.Choice(["ops", "params", "latency"]),
    default="ops",
    show_default=True,
    help="Cost over which the fronts are drawn.",
)
@options.inline
@options.as_json
def compare(
    studies: tuple[str, ...],
    storage: str | None,
    output: str | None,
    cost: str,
    inline: bool,
    as_json: bool,
) -> None:
    """Compare two to six studies on one HTML page.

    STUDY is a name of bbnas studies list, or the path of a database. PSNR is given above bilinear
    interpolation, or another skip of the networks, where the studies differ in task, images or
    protocol.
    """
    from bbnas.reporting.compare import compare as write_comparison

    page = write_comparison(
        studies,
        output or "reports/compare.html",
        storage=storage,
        cost=cast("Cost", cost),
        inline=inline,
    )
    if as_json:
        print_json({"page": page})
    else:
        click.echo(f"wrote {page}")
