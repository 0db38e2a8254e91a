"""``bbnas dashboard``."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.signals import keeps


@click.command()
@click.argument("studies", nargs=-1, type=options.STUDY, metavar="[STUDY]…")
@options.storage("all databases in studies/")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8050,
    show_default=True,
    help="Port of the page; 0 is any free one.",
)
@click.option(
    "--host",
    metavar="HOST",
    show_default="this machine alone",
    help="Address at which other machines reach the page, such as 0.0.0.0. The page then needs "
    "the random token that is printed.",
)
@click.option("--open", "open_page", is_flag=True, help="Open the page in a browser.")
@options.data
@options.quiet
def dashboard(
    studies: tuple[str, ...],
    storage: str | None,
    port: int,
    host: str | None,
    open_page: bool,
    data: str | None,
    quiet: bool,
) -> None:
    """Show studies as pages that follow running searches.

    STUDY is a name of bbnas studies, the path or URL of a database, or a folder of databases. The
    dashboard only reads, and serves until Ctrl-C.
    """
    from bbnas.dashboard.server import serve
    from bbnas.dashboard.sources import Sources

    def started(address: str) -> None:
        if not quiet:
            click.echo(f"dashboard of {sources.words()} at {address}  (Ctrl-C ends it)", err=True)
        if open_page:
            click.launch(address)

    sources = Sources(studies, storage, data)
    keeps("the dashboard has ended; studies are as they were")
    serve(sources, port=port, host=host, on_start=started)
