"""``bbnas rivals``."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.cli.progress import work_progress
from bbnas.errors import UserError
from bbnas.signals import keeps
from bbnas.text import plural

if TYPE_CHECKING:
    from bbnas.design import Design
    from bbnas.study import Study
    from bbnas.tasks import Task

# Most designs of a study's front that are measured beside its recommended one.
FRONT = 3


@click.command()
@click.argument("study", type=options.STUDY, required=False)
@options.task
@click.option(
    "--design",
    "designs",
    type=options.DESIGN,
    multiple=True,
    show_default="those of STUDY, else the task's BBCU",
    help="1-bit design: a preset or a YAML file. Repeat it for several.",
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    metavar="WIDTHxDEPTH",
    show_default="widths 4 to 32, two depths, two structures",
    help="Width and depth of a rival, such as 12x32. Repeat it for several.",
)
@click.option(
    "--protocol",
    type=options.PROTOCOL,
    default="true-width",
    show_default=True,
    help=options.PROTOCOL_HELP,
)
@options.latency_setting
@click.option(
    "--rounds",
    type=click.IntRange(min=3),
    default=5,
    show_default=True,
    help="Number of rounds in which all networks take turns.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Trainings of each network: its mean PSNR counts.",
)
@options.output(
    "Page with the figure, .html, or with the tables, .md.", default="reports/rivals-NAME.html"
)
@options.storage()
@options.data
@options.workers
@options.quiet
@options.as_json
def rivals(
    study: str | None,
    task: str,
    designs: tuple[str, ...],
    sizes: tuple[str, ...],
    protocol: str,
    lq: tuple[int, int],
    threads: int,
    rounds: int,
    seeds: int,
    output: str | None,
    storage: str | None,
    data: str | None,
    workers: int | str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Compare 1-bit networks with ordinary ones.

    Rivals are small networks in full precision, in bf16 and in 8 bits, trained by the same
    protocol and run by the fastest runtime here. The 1-bit networks are the recommended design
    of a STUDY and some of its front, or those of --design.
    """
    from bbnas.design import Design
    from bbnas.protocol import load_protocol
    from bbnas.tasks import Part, get_task

    chosen, name = get_task(task), task
    if study is not None:
        from bbnas.store import open_study

        opened = open_study(study, storage)
        chosen, name = get_task(opened.config.task), opened.config.name
        data = data or _images_of(opened)
        found = _named(designs, chosen) or _best(opened)
    else:
        usual = "bbcu-m" if Part.UPSAMPLING in chosen.parts else "bbcu"
        found = _named(designs or (usual,), chosen)
    trained_by = load_protocol(protocol)
    rivals = [Design(width=w, depth=d).fitted(chosen) for w, d in map(_size, sizes)]

    from bbnas.analysis.worth import worth
    from bbnas.data.sets import DataProgress
    from bbnas.reporting.worth import TABLES, best_networks, networks, write_worth
    from bbnas.rivals import place_of
    from bbnas.runs.rivals import measure_rivals, usual_rivals

    file = place_of(name)
    keeps(f"every network that was trained is kept in {file.parent}; the same command resumes")
    with work_progress(quiet) as show:

        def step(what: str, done: int, total: int) -> None:
            if show is not None:
                show(DataProgress(what, done, total))

        measured = measure_rivals(
            chosen,
            trained_by,
            found,
            rivals or usual_rivals(chosen),
            file.parent / chosen.name,
            data=data,
            lq=lq,
            threads=threads,
            rounds=rounds,
            seeds=seeds,
            workers=None if workers in (None, "auto") else int(workers),
            on_step=step,
        )
    measured.write(file)
    command = shlex.join(["bbnas", *sys.argv[1:]])
    page = write_worth(measured, Path(output or f"reports/rivals-{name}.html"), command)
    if as_json:
        print_json({"rivals": measured, "worth": worth(measured), "file": file, "page": page})
        return
    shown = best_networks(measured)
    table = networks(shown)
    number = f"{len(shown)} of {plural(len(measured.entrants), 'network')}"
    title = f"{number}: 1-bit, and those that none is faster and better than\n{measured.words}"
    print_table(table.columns, table.rows, title)
    for one in worth(measured):
        click.echo(f"\n{one.sentence}")
        for table in (of(one) for of in TABLES):
            print_table(table.columns, table.rows, table.title)
    click.echo(f"wrote {page} and {file}")


def _named(designs: Sequence[str], task: Task) -> list[Design]:
    from bbnas.presets import load_design

    return [load_design(name, task).fitted(task) for name in designs]


def _images_of(study: Study) -> str | None:
    from bbnas.data import embedded_name

    found = embedded_name(study.config.data)
    if found is None:
        raise UserError(
            f"study {study.config.name}: its images ({study.config.data_description}) do not come "
            "with bbnas; name them by --data"
        )
    return found


def _best(study: Study) -> list[Design]:
    """The recommended design, and an even sample of the 1-bit designs of the front."""
    from bbnas.analysis import recommend
    from bbnas.analysis.pareto import front
    from bbnas.figures.sampling import evenly

    own = [c.evaluation.design for c in front(study) if c.evaluation.design.binarize]
    return [recommend(study).candidate.evaluation.design, *evenly(own, FRONT)]


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,4})[x×](\d{1,4})", text.strip())
    if found is None or not all(int(number) for number in found.groups()):
        raise UserError(f"--size {text}: must be WIDTHxDEPTH, such as 12x32")
    return int(found[1]), int(found[2])
