"""The command report: a study as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import load_images, print_json


@click.command()
@click.argument("study")
@options.storage
@click.option("-o", "--output", type=click.Path(), help="[default: reports/STUDY.html]")
@click.option("--csv", type=click.Path(), help="Also write every candidate to this file.")
@click.option("--pick", default="knee", show_default=True, help="knee, best-psnr or 'trial N'.")
@options.limits
@click.option(
    "--pictures/--no-pictures",
    default=True,
    help="Train the recommended design once more by the proxy, to show what it restores.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Train the recommended design with so many other seeds, to know the seed noise.",
)
@click.option(
    "--latency", is_flag=True, help="Measure the latency of every candidate that has none."
)
@options.latency_setting
@click.option("--data", help="The study's folder of images. [default: the embedded photographs]")
@options.device
@click.option(
    "--inline", is_flag=True, help="One self-contained file, with plotly.js (4.8 MB) inside."
)
@options.as_json
def report(
    study: str,
    storage: str | None,
    output: str | None,
    csv: str | None,
    pick: str,
    max_ops: float | None,
    max_params: float | None,
    max_latency: float | None,
    latency: bool,
    lq: tuple[int, int],
    threads: int,
    pictures: bool,
    repeats: int,
    data: str | None,
    device: str,
    inline: bool,
    as_json: bool,
) -> None:
    """Write the report of a STUDY as an HTML page that opens without a network.

    STUDY is a name, or the path of a database. The page shares plotly.min.js with the other pages
    in its folder, unless --inline makes it one file.
    """
    from bbnas.reporting import report as write_report
    from bbnas.store import open_study

    def say(text: str) -> None:
        click.echo(text, err=True)

    setting = None
    if latency:
        from bbnas.engine.latency import setting as here

        setting = here(lq, threads)
    opened = open_study(study, storage)
    trains = bool(opened.own()) and (pictures or repeats > 0)
    written = {}
    if csv is not None:
        written["csv"] = Path(csv)
    written["report"] = write_report(
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
        data=load_images(data) if trains else None,
        device=device,
        csv=csv,
        inline=inline,
        on_message=say,
    )
    if as_json:
        print_json(written)
    else:
        click.echo(f"wrote {' and '.join(str(file) for file in written.values())}")
