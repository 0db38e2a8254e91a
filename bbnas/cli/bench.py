"""The command bench: measurements of bbnas itself."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.bench_sampler import bench_sampler
from bbnas.cli.console import Names, Size, plain, print_json, print_table


@click.group()
def bench() -> None:
    """Measurements of bbnas itself."""


bench.add_command(bench_sampler)


@bench.command("train")
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True)
@options.as_json
def bench_train(rounds: int, as_json: bool) -> None:
    """Time a BBCU unit against a plain PyTorch transcription, and a step of the proxy by both."""
    from bbnas.bench.proxy_step import bench_step
    from bbnas.bench.unit import bench_train as measure

    rows, steps = list(measure(rounds=rounds)), list(bench_step(rounds=rounds))
    if as_json:
        print_json({"rows": rows, "steps": steps})
        return
    columns = ("width", "batch", "LQ side", "bbnas ms", "plain ms", "bare conv ms", "× faster")
    lines = [
        (r.width, r.batch, r.side, r.ours_ms, r.transcription_ms, r.convolution_ms, r.ratio)
        for r in rows
    ]
    print_table(columns, lines, "one BBCU unit, forward and backward, one thread")
    print_table(
        ("preset", "width", "depth", f"{steps[0].kernels}, ms", "torch, ms", "× faster"),
        [(s.preset, s.width, s.depth, s.ours_ms, s.torch_ms, s.ratio) for s in steps],
        "one step of the proxy, sr4, processor time, one thread",
    )


@bench.command("engine")
@click.option("--cases", type=Names(), help="Of unit,bbcu-l,bbcu-m,dncnn. [default: all]")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--lq", type=Size(), default="320x180", show_default=True, help="The LQ image.")
@click.option("--html", type=click.Path(), help="Also draw it on a page of its own.")
@options.quiet
@options.as_json
def bench_engine(
    cases: tuple[str, ...] | None,
    rounds: int,
    lq: tuple[int, int],
    html: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Time packed models against full-precision runtimes and OpenVINO's 1-bit convolution.

    The exit code is 1 where the engine is not as many times faster as it is meant to be.
    """
    from bbnas.bench.engine import BOUNDS, CASES, COLUMNS, draw, ratio_of
    from bbnas.bench.engine import bench_engine as measure

    def say(case: str) -> None:
        if not quiet and not as_json:
            click.echo(f"measuring {CASES[case].title}", err=True)

    found = measure(cases or tuple(CASES), rounds, lq, say)
    if html is not None:
        from bbnas.reporting.plain import write_figures

        write_figures(html, "Latency of the engine and its peers", found.words, draw(found))
    if as_json:
        print_json(plain(found))
        return 0 if found.passed else 1
    for case in dict.fromkeys(timing.case for timing in found.times):
        times = [t for t in found.times if t.case == case and t.contestant not in BOUNDS]
        ours = {t.threads: t for t in times if t.contestant == "bbnas"}
        print_table(
            ("", "threads", "ms", "× bbnas", "kernels"),
            [
                (t.contestant, t.threads, t.median_ms, ratio_of(t, ours[t.threads]), t.kernels)
                for t in times
            ],
            CASES[case].title,
        )
    rows = [
        (v.case, v.ours, v.threads, v.peer, v.ratio, float(v.at_least), v.word)
        for v in found.verdicts
    ]
    print_table(COLUMNS, rows, "What it must show")
    click.echo(found.words)
    if html is not None:
        click.echo(f"wrote {html}")
    return 0 if found.passed else 1
