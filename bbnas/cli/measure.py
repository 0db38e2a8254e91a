"""``bbnas measure``."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.cli.progress import work_progress
from bbnas.signals import keeps


@click.command()
@options.space
@options.task
@click.option(
    "--designs",
    type=click.IntRange(min=2),
    default=10,
    show_default=True,
    help="Number of designs drawn from the space.",
)
@click.option(
    "--held-out",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Number of further designs that are timed, to tell how well their times are forecast.",
)
@click.option(
    "--title", show_default="the processor's name", help="Name of the device in reports."
)
@options.latency_setting
@options.output("File that is written, .json.", default="device.json")
@options.quiet
@options.as_json
def measure(
    space: str,
    task: str,
    designs: int,
    held_out: int,
    title: str | None,
    lq: tuple[int, int],
    threads: int,
    output: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure this machine for searches elsewhere.

    The file holds the times of some designs and of their operations: bbnas search --latency-from
    forecasts from it how long any design takes here. $BBNAS_ISA names another instruction set.
    """
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    chosen = get_task(task)
    known = load_space(space, chosen)

    from bbnas.data.sets import DataProgress
    from bbnas.engine.latency import setting
    from bbnas.environment import cpu
    from bbnas.runs.measuring import covering_designs, measure_device, other_designs

    where = setting(lq, threads)
    keeps("nothing is kept")
    with work_progress(quiet) as show:

        def step(done: int, total: int) -> None:
            if show is not None:
                show(DataProgress("timing", done, total))

        drawn = covering_designs(known, chosen, designs)
        others = other_designs(known, drawn, held_out)
        found = measure_device(drawn, chosen, where, title or cpu(), others, step)
    file = found.write(Path(output or "device.json"))
    if as_json:
        print_json({"device": found, "file": file})
        return
    timing = found.timing
    assert timing is not None
    rows = [(n.design.label(), n.seconds * 1e3, len(n.operations)) for n in timing.networks]
    title = f"{task}: {where.words()}, {timing.measured}"
    print_table(("design", "ms", "operations"), rows, title)
    for precision, ratio in found.ratios.items():
        click.echo(f"{ratio:.2g} 1-bit multiply-accumulates in the time of one in {precision}")
    if found.check is not None:
        click.echo(f"forecasts: {found.check.words}")
    click.echo(f"wrote {file}\nnext: bbnas search --objectives psnr,latency --latency-from {file}")
