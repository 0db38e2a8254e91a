"""``bbnas ablation``: list, show, run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import load_images, print_json, print_table
from bbnas.cli.progress import trainings_progress

if TYPE_CHECKING:
    from bbnas.reporting.tables import TextTable
    from bbnas.store import Store

_storage = options.storage("runs/ablations.db")
_protocol = click.option(
    "--protocol",
    type=options.PROTOCOL,
    show_default="the ablation's",
    help=options.PROTOCOL_HELP,
)
_name = click.argument("name", type=options.ABLATION)


@click.group()
def ablation() -> None:
    """Repeat the paper's tables and figures at a small size.

    An ablation trains given designs under several seeds, and checks claims on their PSNR. NAME is
    one of bbnas ablation list, or a YAML file.
    """


@ablation.command("list")
@_storage
@options.data
@options.as_json
def list_(storage: str | None, data: str | None, as_json: bool) -> None:
    """List the built-in ablations and how far they are."""
    from bbnas.ablations.ablation import load_ablation
    from bbnas.ablations.run import stored
    from bbnas.resources import builtin

    dataset, store = load_images(data), _existing(storage)
    rows = []
    for name in builtin("ablations"):
        ablation = load_ablation(name)
        known = stored(ablation, dataset, store)
        total = len(ablation.rows) * ablation.seeds
        rows.append((name, ablation.title, ablation.task, total, len(known.known)))
    keys = ("name", "title", "task", "trainings", "done")
    if as_json:
        print_json({"ablations": [dict(zip(keys, row, strict=True)) for row in rows]})
    else:
        print_table(keys, rows)


@ablation.command()
@_name
@_storage
@_protocol
@options.data
@options.as_json
def show(
    name: str, storage: str | None, protocol: str | None, data: str | None, as_json: bool
) -> None:
    """Show the question, rows and claims of ablation NAME.

    With the PSNR of each training that is done.
    """
    from bbnas.ablations.ablation import load_ablation
    from bbnas.ablations.run import stored

    ablation = load_ablation(name, protocol)
    known = stored(ablation, load_images(data), _existing(storage))
    if as_json:
        psnr = {row.name: known.psnr(row.name) for row in ablation.rows}
        print_json({"ablation": ablation, "complete": known.complete, "psnr": psnr})
        return
    click.echo(f"{ablation.title}\n{ablation.question}")
    p = ablation.protocol
    click.echo(
        f"{ablation.task}, {p.iterations:,} iterations of {p.batch} patches of "
        f"{p.patch}×{p.patch} HQ pixels"
    )
    changes = any(row.protocol for row in ablation.rows)
    rows = [
        (
            row.name,
            ablation.protocol_of(row).trained(row.design).label(),
            *([", ".join(row.changes)] if changes else []),
            *("" if e is None else e.psnr if e.feasible else e.status for e in found),
        )
        for row in ablation.rows
        for found in (known.evaluations[row.name],)
    ]
    seeds = (f"seed {seed} (dB)" for seed in range(ablation.seeds))
    heads = ("row", "network trained", *(["protocol"] if changes else []))
    print_table((*heads, *seeds), rows)
    for claim in ablation.claims:
        than = f" {', '.join(claim.than)}" if claim.than else ""
        of = claim.of if claim.figure == "psnr" else f"{claim.figure.upper()} of {claim.of}"
        click.echo(f"claim: {of} {claim.kind}{than}{claim.says and f' ({claim.says})'}")


@ablation.command()
@_name
@_storage
@_protocol
@options.workers
@options.data
@options.device
@options.output("Folder of the reports.", "reports")
@options.inline
@click.option("--png", is_flag=True, help="Figures of the Markdown as PNG; needs Chromium.")
@options.quiet
@options.as_json
def run(
    name: str,
    storage: str | None,
    protocol: str | None,
    workers: int | None,
    data: str | None,
    device: str,
    output: str | None,
    inline: bool,
    png: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train the rows of ablation NAME and write its report.

    As HTML and Markdown. Every training is kept as it ends: the same command resumes, or writes
    the report again.
    """
    from bbnas.ablations.ablation import load_ablation

    ablation = load_ablation(name, protocol)

    from bbnas.ablations.page import to_plain, write_ablation
    from bbnas.ablations.run import run_ablation
    from bbnas.ablations.tables import ablation_report
    from bbnas.inference.device import workers_device
    from bbnas.runs.executors import TrainingEvaluator
    from bbnas.store import ABLATIONS, open_store
    from bbnas.tasks import get_task

    evaluator = TrainingEvaluator(
        get_task(ablation.task),
        ablation.protocol,
        load_images(data),
        workers_device(device),
    )
    store = open_store(storage, ABLATIONS, create=True)
    with trainings_progress(quiet, store) as on_done:
        measured = run_ablation(ablation, evaluator, store, workers=workers, on_done=on_done)
    found = ablation_report(measured, evaluator.skip_psnr)
    html, markdown = write_ablation(found, output or "reports", inline=inline, pictures=png)
    if as_json:
        print_json(to_plain(found) | {"html": html, "markdown": markdown})
        return
    for table in found.tables[:-1]:
        _print(table)
    click.echo(found.headline)
    click.echo(f"wrote {html} and {markdown}")


def _print(table: TextTable) -> None:
    kept = [i for i, name in enumerate(table.columns) if name != "the paper says"]
    cells = [[row[i] for row in table.rows] for i in kept]
    for place, i in enumerate(kept):
        if table.numeric[i]:  # texts, whose digits are to stand below each other
            width = max(map(len, cells[place]))
            cells[place] = [cell.rjust(width) for cell in cells[place]]
    print_table([table.columns[i] for i in kept], zip(*cells, strict=True), table.title)


def _existing(storage: str | None) -> Store | None:
    """The database, or None where the usual one is not there yet."""
    from bbnas.store import ABLATIONS, open_store

    return None if storage is None and not ABLATIONS.exists() else open_store(storage, ABLATIONS)
