"""``bbnas measure``."""

from __future__ import annotations

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
    from bbnas.device import Device


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
    "--pack",
    "folder",
    type=options.Output(),
    help="Folder that the designs are packed into instead, for bbnas-run --time elsewhere.",
)
@click.option(
    "--times",
    type=options.Existing(),
    help="File of what bbnas-run --time --json printed of these models on another machine.",
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
    folder: str | None,
    times: str | None,
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
    A machine that has bbnas-runtime alone is measured by --pack here, bbnas-run --time there, and
    --times here.
    """
    if (folder or times) and held_out:
        raise UserError("--held-out: is timed on this machine; leave out --pack and --times")

    from bbnas.space import load_space
    from bbnas.tasks import get_task

    chosen = get_task(task)
    known = load_space(space, chosen)

    from bbnas.data.sets import DataProgress
    from bbnas.engine.latency import setting
    from bbnas.environment import cpu
    from bbnas.runs.measuring import (
        covering_designs,
        measure_device,
        other_designs,
        pack_designs,
        timed_elsewhere,
    )

    keeps("nothing is kept")
    drawn = covering_designs(known, chosen, designs)
    if folder is not None:
        files = pack_designs(drawn, chosen, Path(folder))
        if as_json:
            print_json({"files": files})
            return
        run = f"bbnas-run --time $m --size {lq[0]}x{lq[1]} --threads {threads} --json"
        click.echo(
            f"wrote {plural(len(files), 'model')} to {folder}\n"
            f"next: for m in {folder}/*.bbn; do {run}; done > times.json\n"
            "on the other machine, then this command here with --times times.json for --pack"
        )
        return
    if times is not None:
        _tell(timed_elsewhere(Path(times), drawn, chosen, title or ""), task, output, as_json)
        return
    where = setting(lq, threads)
    with work_progress(quiet) as show:

        def step(done: int, total: int) -> None:
            if show is not None:
                show(DataProgress("timing", done, total))

        others = other_designs(known, drawn, held_out)
        found = measure_device(drawn, chosen, where, title or cpu(), others, step)
    _tell(found, task, output, as_json)


def _tell(found: Device, task: str, output: str | None, as_json: bool) -> None:
    """Write the device, and print it."""
    from bbnas.engine.forecast import forecast_setting

    file = found.write(Path(output or "device.json"))
    if as_json:
        print_json({"device": found, "file": file})
        return
    timing = found.timing
    assert timing is not None
    rows = [(n.design.label(), n.seconds * 1e3, len(n.operations)) for n in timing.networks]
    title = f"{task}: {forecast_setting(found).words()}, {timing.measured}"
    print_table(("design", "ms", "operations"), rows, title)
    for precision, ratio in found.ratios.items():
        click.echo(f"{ratio:.2g} 1-bit multiply-accumulates in the time of one in {precision}")
    if found.check is not None:
        click.echo(f"forecasts: {found.check.words}")
    click.echo(f"wrote {file}\nnext: bbnas search --objectives psnr,latency --latency-from {file}")
