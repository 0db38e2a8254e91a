"""``bbnas bench``: train, engine, sampler, tabulate, search, dashboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bbnas.cli import options
from bbnas.cli.bench_sampler import bench_sampler, bench_tabulate
from bbnas.cli.console import Names, print_json, print_table
from bbnas.signals import keeps
from bbnas.text import plain, share

F = TypeVar("F", bound=Callable[..., Any])


def _rounds(default: int) -> Callable[[F], F]:
    return click.option(
        "--rounds",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        help="Number of rounds in which all contestants take turns.",
    )


@click.group()
def bench() -> None:
    """Measure bbnas itself: training, engine, search, dashboard."""


bench.add_command(bench_sampler)
bench.add_command(bench_tabulate)


@bench.command("train")
@_rounds(20)
@options.as_json
def bench_train(rounds: int, as_json: bool) -> None:
    """Time a training step against plain PyTorch.

    Of one BBCU unit, of whole networks under the proxy protocol and, where there is a GPU, of
    BBCU-L under the paper's.
    """
    from bbnas.bench.training import bench_training

    keeps("nothing is kept")
    measured = bench_training(rounds)
    rows, steps = measured.units, measured.steps
    if as_json:
        print_json(
            {"machine": measured.machine, "rows": rows, "steps": steps, "gpu": measured.gpu}
        )
        return
    columns = ("width", "batch", "LQ side", "bbnas ms", "plain ms", "bare conv ms", "× faster")
    lines = [
        (r.width, r.batch, r.side, r.ours_ms, r.transcription_ms, r.convolution_ms, r.ratio)
        for r in rows
    ]
    print_table(columns, lines, f"one BBCU unit, forward and backward; {measured.machine}")
    print_table(
        ("preset", "width", "depth", f"{steps[0].kernels}, ms", "torch, ms", "× faster"),
        [(s.preset, s.width, s.depth, s.ours_ms, s.torch_ms, s.ratio) for s in steps],
        f"one step of the proxy, sr4, processor time; {measured.machine}",
    )
    if (gpu := measured.gpu) is None:
        click.echo("torch finds no GPU, so a step of the paper's protocol is not timed")
        return
    print_table(
        ("bbnas ms", "in bf16, ms", "plain loop, ms", "authors' units, ms", "× faster"),
        [(gpu.bbnas_ms, gpu.bf16_ms, gpu.plain_ms, gpu.authors_ms, gpu.authors_ms / gpu.bbnas_ms)],
        f"one step of {gpu.preset}, sr4, batch {gpu.batch}, patch {gpu.patch}; {gpu.gpu}",
    )


@bench.command("engine")
@click.option(
    "--cases",
    type=Names(),
    show_default="all",
    help="Cases that are timed, of unit,bbcu-l,bbcu-m,dncnn.",
)
@_rounds(5)
@options.lq
@options.output("HTML page of a chart that is written as well.")
@options.inline
@options.quiet
@options.as_json
def bench_engine(
    cases: tuple[str, ...] | None,
    rounds: int,
    lq: tuple[int, int],
    output: str | None,
    inline: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Time packed models against other runtimes.

    Against full-precision runtimes and OpenVINO's 1-bit convolution. The exit code is 1 where the
    engine is slower than its bounds allow.
    """
    from bbnas.bench.engine import CASES, tables, write_page
    from bbnas.bench.engine import bench_engine as measure

    keeps("nothing is kept")

    def say(case: str) -> None:
        if not quiet:
            click.echo(f"measuring {CASES[case].title}", err=True)

    measured = measure(cases or tuple(CASES), rounds, lq, say)
    if output is not None:
        write_page(measured, output, inline=inline)
    if as_json:
        print_json(plain(measured))
        return 0 if measured.passed else 1
    for title, columns, rows in tables(measured):
        print_table(columns, rows, title)
    click.echo(measured.words)
    if output is not None:
        click.echo(f"wrote {output}")
    return 0 if measured.passed else 1


@bench.command("search")
@click.option(
    "--studies",
    type=click.IntRange(min=100),
    multiple=True,
    default=(100, 1000, 10_000),
    show_default=True,
    help="Candidates of the study in which the search goes on; may be given several times.",
)
@click.option(
    "--worker-counts",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 2),
    show_default=True,
    help="Number of workers, 1 in this process and more by Ray; may be given several times.",
)
@options.sampler
@click.option(
    "--efficient",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Number of workers whose efficiency with candidates of one second is measured.",
)
@click.option("--database", help="URL of an empty database; a temporary SQLite file by default.")
@options.quiet
@options.as_json
def bench_search(
    studies: tuple[int, ...],
    worker_counts: tuple[int, ...],
    sampler: str,
    efficient: int,
    database: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Time what a search takes beside training.

    Training is replaced by a formula, or by a sleep, so all figures are of bbnas itself. The exit
    code is 1 where a limit is exceeded.
    """
    from bbnas.bench.search import bench_search as measure

    keeps("nothing is kept")
    measured = measure(
        studies,
        worker_counts,
        database,
        sampler,
        efficient,
        lambda text: None if quiet else click.echo(text, err=True),
    )
    if as_json:
        print_json(plain(measured))
        return 0 if measured.passed else 1
    columns = ("candidates", "workers", "an outcome, ms", "sampler", "database", "rest", "CPU")
    lines = [
        (o.candidates, o.workers, o.each_ms, o.sampler_ms, o.database_ms, o.rest_ms, o.busy_ms)
        for o in measured.overheads
    ]
    title = f"beside training, which is simulated; {measured.storage}, {measured.machine}"
    print_table(columns, lines, title)
    rows = [(limit.what, limit.measured, limit.most, limit.unit) for limit in measured.limits]
    print_table(("", "measured", "at most", "unit"), rows, f"sampler {measured.sampler}")
    if measured.workers:
        click.echo(
            f"efficiency of {measured.workers} workers: {share(measured.efficiency)}, "
            f"{measured.pace:.1f} outcomes a second"
        )
    return 0 if measured.passed else 1


@bench.command("dashboard")
@click.option(
    "--candidates",
    type=click.IntRange(min=10),
    default=10_000,
    show_default=True,
    help="Number of candidates of the simulated study.",
)
@options.quiet
@options.as_json
def bench_dashboard(candidates: int, quiet: bool, as_json: bool) -> int:
    """Time the dashboard on a large simulated study.

    In Chromium, driven by Playwright (bbnas[dev]). The exit code is 1 where a limit is exceeded.
    """
    from bbnas.bench.dashboard import bench_dashboard as measure

    keeps("nothing is kept")
    measured = measure(candidates, lambda text: None if quiet else click.echo(text, err=True))
    if as_json:
        print_json(plain(measured))
        return 0 if measured.passed else 1
    rows = [(limit.what, limit.measured, limit.most, limit.unit) for limit in measured.limits]
    print_table(
        ("", "measured", "at most", "unit"),
        rows,
        f"dashboard of {measured.candidates:,} simulated candidates; {measured.machine}",
    )
    return 0 if measured.passed else 1
