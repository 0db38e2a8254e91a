"""``bbnas cost``."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table


@click.command()
@click.argument("design", type=options.DESIGN)
@options.task
@click.option("--latency", is_flag=True, help="Measure the latency on this machine as well.")
@options.latency_setting
@options.as_json
def cost(
    design: str, task: str, latency: bool, lq: tuple[int, int], threads: int, as_json: bool
) -> None:
    """Count the operations and parameters of a DESIGN.

    By part. DESIGN is one of bbnas design list, or a YAML file.
    """
    from bbnas.presets import load_design
    from bbnas.tasks import get_task

    restored = get_task(task)
    chosen = load_design(design, restored)

    from bbnas.cost import CHALLENGE_OPS, count, printed
    from bbnas.environment import today

    found = count(chosen, restored, lq)
    timed, mac = None, 0.0
    if latency:
        from bbnas.engine.latency import Stopwatch, program_of, setting

        watch = Stopwatch(setting(lq, threads))
        timed = watch.measure(program_of(chosen, restored))
        mac = watch.full_precision_mac()
    if as_json:
        content = {"design": design, "task": task, "key": chosen.key} | found.to_dict()
        content["ops_challenge"] = found.ops_at(CHALLENGE_OPS)
        if timed is not None:
            content |= {"latency": timed, "date": today(), "ops_measured": timed.seconds / mac}
        print_json(content)
        return
    rows = [
        (
            name,
            float(printed(part.macs_fp, 1e6)),
            float(printed(part.macs_binary, 1e6)),
            float(printed(part.ops, 1e6)),
            float(printed(part.params, 1e3)),
            float(printed(part.elementwise, 1e6)),
            float(printed(part.honest_ops, 1e6)),
            float(printed(part.honest_params, 1e3)),
            part.packed_bytes,
        )
        for name, part in [*found.parts.items(), ("total", found)]
    ]
    columns = (
        "part",
        "32-bit MACs (M)",
        "1-bit MACs (M)",
        "OPs (M)",
        "Params (K)",
        "element-wise (M)",
        "all OPs (M)",
        "all Params (K)",
        "packed (bytes)",
    )
    title = f"{design}, {restored.title}, LQ {lq[0]}×{lq[1]}: {chosen.label()}"
    print_table(columns, rows, title)
    click.echo(
        f"{printed(found.ops, 1e9)} G OPs, {found.params / 1e3:.0f} K Params in the paper's "
        "convention (convolutions alone; 1-bit MACs / 64, 1-bit weights / 32)\n"
        f"{printed(found.ops_at(CHALLENGE_OPS), 1e9)} G OPs in the 2023 challenge's convention "
        f"(1-bit MACs / {CHALLENGE_OPS})\n"
        f"{printed(found.honest_ops, 1e9)} G OPs, {found.honest_params / 1e3:.0f} K Params with "
        "every parameter and the element-wise work; "
        f"{found.packed_bytes / 1024:.0f} KiB packed"
    )
    if timed is not None:
        from bbnas.text import milliseconds, plural

        click.echo(
            f"{milliseconds(timed.seconds)} (± {timed.spread:.1%} over {plural(timed.runs, 'run')}"
            f") on {timed.setting.words()}, {today()}: {timed.ratio:.3g} times the reference "
            f"workload run beside it, which takes {milliseconds(timed.reference)} undisturbed\n"
            f"{printed(timed.seconds / mac, 1e9)} G OPs as measured here: the full-precision MACs "
            "that 64→64 convolutions of the engine do in that time"
        )
    for operator, times in found.unknown.items():
        click.echo(f"not counted: {operator}, {times} times", err=True)
