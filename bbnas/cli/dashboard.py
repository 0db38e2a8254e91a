"""``bbnas dashboard``."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bbnas.cli import options
from bbnas.errors import UserError
from bbnas.signals import keeps

PORT = 8050


@click.command()
@click.argument("studies", nargs=-1, type=options.STUDY, metavar="[STUDY]…")
@options.storage("all databases in studies/")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
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
@click.option("--with-parent", is_flag=True, hidden=True, help="End with the parent process.")
@options.quiet
def dashboard(
    studies: tuple[str, ...],
    storage: str | None,
    port: int,
    host: str | None,
    open_page: bool,
    data: str | None,
    with_parent: bool,
    quiet: bool,
) -> None:
    """Show studies as pages that follow running searches.

    STUDY is a name of bbnas studies list, the path or URL of a database, or a folder of
    databases. The dashboard only reads, and serves until Ctrl-C.
    """
    from bbnas.dashboard.server import serve
    from bbnas.dashboard.sources import Sources

    def started(address: str) -> None:
        if not quiet:
            click.echo(f"dashboard of {sources.words()} at {address}  (Ctrl-C ends it)", err=True)
        if open_page:
            click.launch(address)

    if with_parent:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    sources = Sources(studies, storage, data)
    keeps("the dashboard has ended; studies are as they were")
    serve(sources, port=port, host=host, on_start=started)


@contextmanager
def beside(url: str, port: int | None, data: str | None) -> Iterator[None]:
    """A dashboard of the database ``url`` and its images ``data`` in a process of its own, which
    ends with the block; none without a ``port``.

    Raises:
        UserError: it cannot start.
    """
    if port is None:
        yield
        return
    command = [sys.executable, "-m", "bbnas", "dashboard", url, "--port", str(port)]
    images = [] if data is None else ["--data", data]
    process = subprocess.Popen(
        [*command, *images, "--with-parent"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stderr is not None
    try:
        first = process.stderr.readline().strip()
        if not first or process.poll() is not None or first.startswith("error:"):
            why = first.removeprefix("error: ") or "it ended at once"
            raise UserError(f"--dashboard: {why}")
        click.echo(first, err=True)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield
    finally:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
