"""``bbnas report``."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import load_images, print_json
from bbnas.signals import keeps


@click.command()
@click.argument("study", type=options.STUDY)
@options.storage()
@options.output("HTML page that is written.", "reports/STUDY.html")
@options.csv
@options.pick
@options.limits
@click.option(
    "--pictures/--no-pictures",
    default=True,
    show_default=True,
    help="Train the recommended design once more, to show images that it restores.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Number of other seeds that the recommended design is trained with, for the seed noise.",
)
@click.option(
    "--latency", is_flag=True, help="Measure the latency of every candidate that has none."
)
@options.latency_setting
@options.data
@options.device
@options.inline
@options.quiet
@options.as_json
def report(
    study: str,
    storage: str | None,
    output: str | None,
    csv_file: str | None,
    pick: str,
    max_ops: float | None,
    max_params: float | None,
    max_latency: float | None,
    pictures: bool,
    repeats: int,
    latency: bool,
    lq: tuple[int, int],
    threads: int,
    data: str | None,
    device: str,
    inline: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the report of a STUDY as an HTML page.

    STUDY is a name of bbnas studies list, or the path of a database. The page opens without a
    network.
    """
    from bbnas.store import open_study

    opened = open_study(study, storage)

    from bbnas.reporting import report as write_report

    setting = None
    if latency:
        from bbnas.engine.latency import setting as measured_on

        setting = measured_on(lq, threads)

    keeps(f"every training that ended is kept in {opened.storage}; the same command resumes")

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    page = write_report(
        opened,
        output,
        storage=storage,
        pick=pick,
        max_ops=max_ops,
        max_params=max_params,
        max_latency=max_latency,
        repeats=repeats,
        pictures=pictures,
        latency=setting,
        data=load_images(data) if data is not None and (pictures or repeats) else None,
        device=device,
        csv=csv_file,
        inline=inline,
        on_message=say,
    )
    written = {"report": page} | ({} if csv_file is None else {"csv": Path(csv_file)})
    if as_json:
        print_json(written)
    else:
        click.echo(f"wrote {' and '.join(map(str, written.values()))}")
