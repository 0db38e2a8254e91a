"""``bbnas profile``."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.signals import keeps


@click.command()
@click.argument("design", type=options.DESIGN)
@options.task
@options.latency_setting
@options.output("HTML page of a chart that is written as well.")
@options.inline
@click.option(
    "--layers", is_flag=True, help="Print a row for each operation instead of each part."
)
@options.as_json
def profile(
    design: str,
    task: str,
    lq: tuple[int, int],
    threads: int,
    output: str | None,
    inline: bool,
    layers: bool,
    as_json: bool,
) -> None:
    """Time each layer of a DESIGN on this machine.

    DESIGN is one of bbnas design list, a YAML file or a packed .bbn.
    """
    if design.endswith(".bbn"):
        options.Existing().convert(design, None, None)

    from bbnas.engine import read_program
    from bbnas.engine.latency import program_of, setting
    from bbnas.engine.profile import by_part_and_work
    from bbnas.engine.profile import profile as measure
    from bbnas.environment import today
    from bbnas.presets import load_design
    from bbnas.tasks import get_task
    from bbnas.text import share

    if design.endswith(".bbn"):
        program = read_program(Path(design))
    else:
        restored = get_task(task)
        program = program_of(load_design(design, restored), restored)
    where, date = setting(lq, threads), today()
    keeps("nothing is kept")
    found = measure(program, where)
    sums, total = by_part_and_work(found), sum(layer.seconds for layer in found)
    if output is not None:
        from bbnas.figures.profile import draw_profile
        from bbnas.reporting.plain import write_figures

        title = f"Where the time of {Path(design).name} goes"
        words = f"{total * 1e3:.1f} ms of processor time: {where.words()}, {date}."
        write_figures(output, title, words, [draw_profile(found)], inline=inline)
    if as_json:
        parts = [{"part": p, "work": w, "seconds": s} for (p, w), s in sums.items()]
        print_json(
            {"setting": where, "date": date, "seconds": total, "parts": parts, "layers": found}
        )
        return
    title = f"{design}: {where.words()}, {date}"
    if layers:
        columns = ("layer", "part", "work", "channels", "ms", "share")
        rows = [
            (x.index, x.part, x.work, x.channels, x.seconds * 1e3, share(x.seconds / total))
            for x in found
        ]
        print_table(columns, rows, title)
    else:
        lines = [(*place, s * 1e3, share(s / total)) for place, s in sums.items()]
        print_table(("part", "work", "ms", "share"), lines, title)
    click.echo(
        f"{total * 1e3:.1f} ms of processor time in all, the fastest of 5 runs of each layer"
    )
    if output is not None:
        click.echo(f"wrote {output}")
