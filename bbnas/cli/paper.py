"""``bbnas paper``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import json_as_encoded, print_table
from bbnas.errors import UserError
from bbnas.files import write_output

if TYPE_CHECKING:
    from bbnas.paper import PaperTable, Scored

RUNS = "runs"
SUFFIXES = {".csv": "csv", ".html": "html", ".htm": "html", ".md": "markdown", ".json": "json"}


@click.command()
@click.argument("table", type=options.TABLE)
@click.option(
    "--runs",
    type=click.Path(),
    show_default=RUNS,
    help="Folder of trained checkpoints and their scores.",
)
@click.option(
    "--study",
    "studies",
    type=options.STUDY,
    multiple=True,
    help="Study whose PSNR is a column as well; may be repeated.",
)
@options.storage()
@click.option(
    "--live", is_flag=True, help="Score the bicubic row now, on the sets below --data-root."
)
@options.data_root
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "html", "markdown"]),
    show_default="a table, or by the suffix of --output",
    help="Form that is printed or written.",
)
@options.output("File that is written instead, such as table1.html.")
@options.as_json
def paper(
    table: str,
    runs: str | None,
    studies: tuple[str, ...],
    storage: str | None,
    live: bool,
    data_root: str | None,
    form: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Print a table of the paper beside your own figures.

    TABLE is table1 to table6. Costs are counted now. Your PSNR and SSIM are those that bbnas
    evaluate left beside trained checkpoints, or those of bbnas's own models.
    """
    from bbnas.paper.printed import records

    records(table)
    if live and table != "table1":
        raise UserError(f"--live scores bicubic, which {table} has no row for: leave it out")
    form = _form("json" if as_json else form, output)

    from bbnas.paper import live_bicubic, paper_table
    from bbnas.reporting.paper import FORMATS
    from bbnas.store import open_study

    opened = [open_study(study, storage) for study in studies]
    bicubic = live_bicubic(data_root) if live else None
    found = paper_table(table, _scores(runs), opened, bicubic)
    for name in (study.config.name for study in opened):
        if not any(column.source.startswith(f"{name}: ") for column in found.columns):
            click.echo(f"study {name} evaluated no row of {table}, so it has no column", err=True)
    if form is None:
        _print(found)
    elif output is None:
        text = FORMATS[form](found)
        click.echo(json_as_encoded(text) if form == "json" else text, nl=False)
    else:
        click.echo(f"wrote {write_output(output, FORMATS[form](found))}")


def _form(asked: str | None, output: str | None) -> str | None:
    by_name = None if output is None else SUFFIXES.get(Path(output).suffix.lower())
    if asked is None and output is not None and by_name is None:
        raise UserError(f"-o {output}: add --format csv, html or markdown, or --json")
    if asked is not None and by_name not in (None, asked):
        raise UserError(
            f"-o {output} is {by_name} by its name, not {asked}: leave out one of both"
        )
    return asked or by_name


def _scores(runs: str | None) -> list[Scored]:
    from bbnas.paper import find_scores, shipped_scores

    shipped = shipped_scores()
    if runs is None and not Path(RUNS).is_dir():
        return shipped
    found, skipped = find_scores(runs or RUNS)
    for reason in skipped:
        click.echo(f"skipped: {reason}", err=True)
    own = {(scored.key, scored.task) for scored in found}
    return found + [scored for scored in shipped if (scored.key, scored.task) not in own]


def _print(table: PaperTable) -> None:
    heads: list[str] = []
    columns: list[list[str]] = []
    plain: list[str] = []
    for i, column in enumerate(table.columns):
        cells = [row[i] for row in table.rows]
        width = max(len(cell.text) for cell in cells)
        # The digits stand below each other, whatever mark follows them.
        texts = [(c.text or "–").rjust(width) if column.source else c.text for c in cells]
        if column.figure == "SSIM":  # in one column with its PSNR, as in the paper's Table 3
            heads[-1] = heads[-1].replace("PSNR", "PSNR/SSIM")
            columns.pop()
            pairs = zip(plain, texts, cells, strict=True)
            texts = [f"{psnr}/{ssim}" if cell.text else psnr for psnr, ssim, cell in pairs]
        else:
            lines = [*column.group.split(), column.figure, column.source]
            heads.append(_marked("\n".join(filter(None, lines)), column.notes))
        plain = texts
        columns.append([_marked(t, c.notes) for t, c in zip(texts, cells, strict=True)])
    labels = sum(not column.source for column in table.columns)
    print_table(heads, zip(*columns, strict=True), table.title, labels)
    for number, note in enumerate(table.notes, 1):
        click.echo(f"[{number}] {note}")


def _marked(text: str, notes: tuple[int, ...]) -> str:
    return " ".join([text, *(f"[{n}]" for n in notes)])
