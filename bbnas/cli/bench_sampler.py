"""``bbnas bench sampler`` and ``bbnas bench tabulate``."""

from __future__ import annotations

import math
import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import Names, load_images, print_json, print_table
from bbnas.cli.progress import simulation_progress, trainings_progress

if TYPE_CHECKING:
    from bbnas.bench.sampler.efficiency import Middle
    from bbnas.bench.sampler.run import Comparison


@click.command("sampler")
@click.option(
    "--table",
    type=options.Existing(),
    show_default="the one that comes with bbnas",
    help="Table that bbnas bench tabulate wrote.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Number of searches by each contender.",
)
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Number of designs of each search.",
)
@click.option(
    "--contenders",
    type=Names(),
    show_default="all but gp, which takes minutes a search",
    help="Samplers to compare, of random, random-stop, nsga2, tpe, gp, default, default-full, "
    "ehvi, vcvp.",
)
@options.output("HTML page of charts that is written as well.")
@options.inline
@options.workers
@options.quiet
@options.as_json
def bench_sampler(
    table: str | None,
    seeds: int,
    budget: int,
    contenders: tuple[str, ...] | None,
    output: str | None,
    inline: bool,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Compare samplers by simulated searches; nothing is trained.

    The table holds every design of a space, trained with two seeds; a simulated search is the real
    one, whose trainings are looked up. The exit code is 1 where the default sampler is not as much
    faster than random as it must be, or slower than the best peer.
    """
    from bbnas.bench.sampler.run import compare_samplers
    from bbnas.threads import available_cores

    with simulation_progress(quiet) as on_done:
        compared = compare_samplers(
            table, contenders, seeds, budget, workers or available_cores(), on_done
        )
    if output is not None:
        from bbnas.bench.sampler.page import write_sampler

        words = f"{compared.words}. Bands: the middle half of the searches."
        write_sampler(output, words, compared.traces, compared.titles, inline=inline)
    if as_json:
        print_json(compared.to_dict())
    else:
        _print(compared)
        if output is not None:
            click.echo(f"wrote {output}")
    return 0 if compared.passed else 1


def _print(compared: Comparison) -> None:
    from bbnas.bench.sampler.efficiency import SHARES

    shares = [f"{100 * share:.0f} %" for share in SHARES]
    for what, title in (
        ("designs", "designs trained, at least in part, until a share of the true hypervolume"),
        ("seconds", "training seconds until a share of the true hypervolume"),
    ):
        print_table(
            ("", *shares, "of all" if what == "seconds" else "seeds"),
            [
                (
                    row.title,
                    *(_middle(getattr(row, what)[share]) for share in SHARES),
                    f"{row.spent:,.0f}" if what == "seconds" else row.seeds,
                )
                for row in compared.results
            ],
            f"{title}: median [95 % confidence interval]",
        )
    print_table(
        ("", "BBCU-like", "PSNR below the knee's (dB)", "below the knee, costs weighed (dB)"),
        [
            (row.title, f"{100 * row.bbcu_like:.0f} %", row.psnr_loss, row.loss)
            for row in compared.results
        ],
        "the recommended design: means over the seeds",
    )
    print_table(
        ("training to 95 %", "× bbnas", "at least", ""),
        [
            (
                compared.titles.get(v.against, v.against),
                f"{'≥ ' if v.bound else ''}{v.value:.2f}" if math.isfinite(v.value) else "–",
                v.at_least,
                v.word,
            )
            for v in compared.verdicts
        ],
        "bounds that the default sampler must keep",
    )
    knee = compared.truth.knee
    click.echo(f"{compared.words}\nthe true knee: {knee.design.label()}, {knee.psnr:.2f} dB")


def _middle(middle: Middle) -> str:
    """``31 [28, 40]``; what fewer than half of the searches reached is no number."""

    def number(value: float) -> str:
        return f"{value:,.0f}" if value < float("inf") else "∞"

    interval = (
        f" [{number(middle.low)}, {number(middle.high)}]" if not math.isnan(middle.low) else ""
    )
    if middle.median == float("inf"):
        return f"not reached ({middle.reached} of {middle.of}){interval}"
    return f"{number(middle.median)}{interval}"


@click.command("tabulate")
@click.option(
    "--space",
    type=options.SPACE,
    default="bbcu-table",
    show_default=True,
    help="Design space whose every design is trained: a name or a YAML file.",
)
@options.task
@options.protocol
@options.output("Table that is written.", "runs/sampler-table.json.gz")
@options.storage("runs/sampler-table.db")
@options.workers
@options.data
@options.device
@options.quiet
@options.as_json
def bench_tabulate(
    space: str,
    task: str,
    protocol: str,
    output: str | None,
    storage: str | None,
    workers: int | None,
    data: str | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train all designs of a space, for bbnas bench sampler.

    With two seeds each. Every training is kept as it ends: the same command resumes.
    """
    from bbnas.protocol import load_protocol
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    chosen_task = get_task(task)
    chosen_space, chosen = load_space(space, chosen_task), load_protocol(protocol)

    from bbnas.bench.sampler.table import DEFAULT_TABLE, tabulate, write_table
    from bbnas.inference.device import workers_device
    from bbnas.runs.executors import TrainingEvaluator
    from bbnas.store import TABLE, open_store

    place = workers_device(device)
    evaluator = TrainingEvaluator(chosen_task, chosen, load_images(data), place)
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": shlex.join(["bbnas", *sys.argv[1:]]),
    }
    store = open_store(storage, TABLE, create=True)
    with trainings_progress(quiet, store) as on_done:
        made = tabulate(
            chosen_space,
            evaluator,
            store,
            workers=workers,
            about=about,
            on_done=on_done,
        )
    path = write_table(made, output or DEFAULT_TABLE)
    size = path.stat().st_size
    if as_json:
        print_json({"table": path, "designs": len(made.rows), "bytes": size, "about": made.about})
    else:
        click.echo(f"{path}: {len(made.rows)} designs, {size:,} bytes")
