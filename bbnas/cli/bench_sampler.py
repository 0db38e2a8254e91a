"""The command bench sampler: how soon searches find the front of a space that is known whole."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from bbnas.cli import options
from bbnas.cli.console import Names, load_images, print_json, print_table
from bbnas.cli.progress import duration, trainings_progress

if TYPE_CHECKING:
    from bbnas.bench.sampler.contest import Result, Verdict
    from bbnas.bench.sampler.efficiency import Middle, Trace
    from bbnas.bench.sampler.table import Table


@click.command("sampler")
@click.option("--table", type=click.Path(), help="[default: the one that comes with bbnas]")
@click.option("--seeds", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--budget", type=click.IntRange(min=1), default=200, show_default=True)
@click.option(
    "--contenders",
    type=Names(),
    help="Of random, random-stop, nsga2, tpe, gp, default, default-full, ehvi, vcvp. "
    "[default: all but gp, which takes minutes a search]",
)
@click.option("-o", "--output", type=click.Path(), help="Also draw it on a page of its own.")
@click.option("--tabulate", is_flag=True, help="Make the table instead: train all of a space.")
@click.option("--space", default="bbcu-table", show_default=True, help="Of --tabulate.")
@options.task
@click.option("--protocol", default="proxy", show_default=True, help="Of --tabulate.")
@click.option("--storage", help="Of --tabulate. [default: sqlite:///studies/sampler-table.db]")
@options.workers
@options.data
@options.device
@options.quiet
@options.as_json
def bench_sampler(
    table: str | None,
    seeds: int,
    budget: int,
    contenders: tuple[str, ...] | None,
    output: str | None,
    tabulate: bool,
    workers: int | None,
    quiet: bool,
    as_json: bool,
    **making: Any,
) -> int:
    """Simulate searches on a table of a whole space: nothing is trained.

    The table holds every design of the space as it was trained with two seeds; a simulated search
    is the real one, whose trainings are looked up. The exit code is 1 where the default sampler
    is not as much faster than random, or slower than the best peer.

    With --tabulate every design is trained, and kept as it ends: the same command goes on.
    """
    if tabulate:
        _tabulate(table, workers, quiet, as_json, **making)
        return 0

    from bbnas.bench.sampler.contest import judge, results
    from bbnas.bench.sampler.simulate import CONTENDERS, simulate_all, truth_of
    from bbnas.bench.sampler.table import default_table, read_table
    from bbnas.searching import available_cores

    found = read_table(table or default_table())

    def say(trace: Trace, done: int, total: int, left: float) -> None:
        if not quiet:
            words = f"{CONTENDERS[trace.contender].title}, seed {trace.seed}"
            end = f"{trace.volume[-1]:.3f} of the hypervolume"
            click.echo(f"{done}/{total} {words}: {end} | {duration(left)} left", err=True)

    names = contenders or tuple(name for name in CONTENDERS if name != "gp")
    traces = simulate_all(found, names, seeds, budget, workers or available_cores(), say)
    titles = {name: contender.title for name, contender in CONTENDERS.items()}
    rows, verdicts = results(traces, titles), judge(traces)
    passed = all(verdict.passed is not False for verdict in verdicts)
    truth = truth_of(found)
    words = (
        f"{len(found.rows)} designs of space {found.space.name}, {len(truth.front)} of them on "
        f"the front; {found.protocol.iterations:,} iterations each, {found.data_description}, "
        f"trained {found.about.get('date', 'on a day unknown')}; {seeds} searches of {budget} "
        "designs each"
    )
    if output is not None:
        from bbnas.bench.sampler.page import write_sampler

        write_sampler(output, f"{words}. Bands: the middle half of the searches.", traces, titles)
    if as_json:
        front = [
            {"design": e.design, "psnr": e.psnr, "ops": e.ops, "params": e.params}
            for e in truth.front
        ]
        print_json(
            {
                "table": words,
                "about": found.about,
                "protocol": found.protocol,
                "front": front,
                "knee": truth.knee.design,
                "results": rows,
                "verdicts": verdicts,
                "passed": passed,
                "traces": traces,
            }
        )
        return 0 if passed else 1
    _print(rows, verdicts, titles, words)
    click.echo(f"the true knee: {truth.knee.design.label()}, {truth.knee.psnr:.2f} dB")
    if output is not None:
        click.echo(f"wrote {output}")
    return 0 if passed else 1


def _print(
    rows: Sequence[Result], verdicts: Sequence[Verdict], titles: dict[str, str], words: str
) -> None:
    from bbnas.bench.sampler.efficiency import SHARES

    shares = [f"{100 * share:.0f} %" for share in SHARES]
    for what, title in (
        ("designs", "designs trained, be it in part, to a share of the true hypervolume"),
        ("seconds", "training seconds to a share of the true hypervolume"),
    ):
        print_table(
            ("", *shares, "of all" if what == "seconds" else "seeds"),
            [
                (
                    row.title,
                    *(_middle(getattr(row, what)[share]) for share in SHARES),
                    f"{row.spent:,.0f}" if what == "seconds" else row.seeds,
                )
                for row in rows
            ],
            f"{title}: median [95 % interval]",
        )
    print_table(
        ("", "BBCU-like", "PSNR below the knee's (dB)", "below the knee, costs weighed (dB)"),
        [(r.title, f"{100 * r.bbcu_like:.0f} %", r.psnr_loss, r.loss) for r in rows],
        "what is recommended in the end: means over the seeds",
    )
    print_table(
        ("training to 95 %", "× bbnas", "at least", ""),
        [
            (
                titles.get(v.against, v.against),
                f"{'≥ ' if v.bound else ''}{v.value:.2f}" if v.value == v.value else "–",
                v.at_least,
                v.word,
            )
            for v in verdicts
        ],
        "What it must show",
    )
    click.echo(words)


def _middle(found: Middle) -> str:
    """``31 [28, 40]``; what fewer than half of the searches reached is no number."""

    def number(value: float) -> str:
        return f"{value:,.0f}" if value < float("inf") else "∞"

    interval = f" [{number(found.low)}, {number(found.high)}]" if found.low == found.low else ""
    if found.median == float("inf"):
        return f"not reached ({found.reached} of {found.of}){interval}"
    return f"{number(found.median)}{interval}"


def _tabulate(
    table: str | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
    space: str,
    task: str,
    protocol: str,
    storage: str | None,
    data: str | None,
    device: str,
) -> None:
    from bbnas.protocol import load_protocol
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    chosen_task = get_task(task)
    chosen_space, chosen = load_space(space, chosen_task), load_protocol(protocol)

    from bbnas.bench.sampler.table import DEFAULT_TABLE, tabulate, write_table
    from bbnas.inference import resolve_device, skip_psnr
    from bbnas.searching import available_cores
    from bbnas.store import TABLE, Store, ready_url, storage_url

    dataset, place = load_images(data), str(resolve_device(device))
    about = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": " ".join(["bbnas", *sys.argv[1:]]),
    }
    with trainings_progress(quiet) as on_trained:
        made: Table = tabulate(
            chosen_space,
            chosen_task,
            dataset,
            chosen,
            Store(ready_url(TABLE) if storage is None else storage_url(storage), create=True),
            workers=workers or available_cores(),
            device=place,
            about=about,
            skip_psnr=skip_psnr(chosen_task, dataset.validation, chosen.validation_side),
            on_trained=on_trained,
        )
    path = write_table(made, table or DEFAULT_TABLE)
    size = path.stat().st_size
    if as_json:
        print_json({"table": path, "designs": len(made.rows), "bytes": size, "about": made.about})
    else:
        click.echo(f"{path}: {len(made.rows)} designs, {size:,} bytes")
