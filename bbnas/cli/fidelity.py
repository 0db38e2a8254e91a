"""``bbnas fidelity``."""

from __future__ import annotations

import shlex
import sys

import click

from bbnas.cli import options
from bbnas.cli.console import load_images, print_json, print_table
from bbnas.cli.progress import trainings_progress


@click.command()
@options.task
@options.space
@click.option(
    "--protocol",
    "protocols",
    type=options.PROTOCOL,
    multiple=True,
    default=("proxy",),
    show_default=True,
    help=f"{options.PROTOCOL_HELP} Repeat it to compare several.",
)
@click.option(
    "--designs",
    type=click.IntRange(min=5),
    default=24,
    show_default=True,
    help="Number of designs drawn from the space.",
)
@click.option(
    "--long",
    type=options.PROTOCOL,
    show_default="the first, --long-factor times longer",
    help="Protocol that is taken for the true ranking.",
)
@click.option(
    "--long-factor",
    type=float,
    default=12.0,
    show_default=True,
    help="Training compute of the long protocol as a multiple of the first protocol's.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Number of seeds of every sixth design, for the noise of a run.",
)
@options.seed
@options.output("Markdown file that the table is written to as well.")
@options.storage("runs/fidelity.db")
@options.workers
@options.data
@options.device
@options.quiet
@options.as_json
def fidelity(
    task: str,
    space: str,
    protocols: tuple[str, ...],
    designs: int,
    long: str | None,
    long_factor: float,
    seeds: int,
    seed: int,
    output: str | None,
    storage: str | None,
    workers: int | None,
    data: str | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure how well short protocols rank designs.

    Designs are drawn from the space, trained by the short protocols and by a far longer one, and
    compared by Kendall τ. Every training is kept: the same command resumes, or prints the result
    again.
    """
    from bbnas.fidelity import to_content
    from bbnas.protocol import load_protocol
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    chosen = get_task(task)
    drawn_from = load_space(space, chosen)
    proxies = [load_protocol(protocol) for protocol in dict.fromkeys(protocols)]
    truth = None if long is None else load_protocol(long)

    from bbnas.inference.device import workers_device
    from bbnas.runs.executors import TrainingEvaluator
    from bbnas.runs.fidelity import measure_fidelity
    from bbnas.store import FIDELITY, open_store
    from bbnas.store.tables import SCHEMA_VERSION

    evaluator = TrainingEvaluator(chosen, proxies[0], load_images(data), workers_device(device))
    store = open_store(storage, FIDELITY, create=True)
    with trainings_progress(quiet, store) as on_done:
        first, *others = found = measure_fidelity(
            drawn_from,
            evaluator,
            store,
            others=proxies[1:],
            long=truth,
            designs=designs,
            long_factor=long_factor,
            seeds=seeds,
            seed=seed,
            workers=workers,
            on_done=on_done,
        )
    command = shlex.join(["bbnas", *sys.argv[1:]])
    if output is not None:
        from bbnas.files import write_output
        from bbnas.reporting.fidelity import to_markdown

        write_output(output, to_markdown(found, command))
    if as_json:
        print_json({"command": command, "schema": SCHEMA_VERSION} | to_content(found))
        return
    from bbnas.analysis.fidelity import summary

    for line in summary(first):
        click.echo(line)
    if others:
        from bbnas.reporting.fidelity import compared

        table = compared(found)
        print_table(table.columns, table.rows, table.title)
    if output is not None:
        click.echo(f"wrote {output}")
