"""Commands on what need not be trained: tasks, spaces, designs and their cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table

if TYPE_CHECKING:
    from bbnas.space import Space


@click.group()
def space() -> None:
    """The design spaces that a search may draw from."""


@space.command("list")
@options.task
@options.as_json
def space_list(task: str, as_json: bool) -> None:
    """List the built-in spaces."""
    from bbnas.resources import builtin

    spaces = [_space(name, task) for name in builtin("search_spaces")]
    if as_json:
        keys = ("name", "description", "key")
        rows = [{key: getattr(s, key) for key in keys} | {"designs": s.count()} for s in spaces]
        print_json({"spaces": rows})
    else:
        rows_ = [(s.name, s.count(), s.description) for s in spaces]
        print_table(("space", "distinct designs", "description"), rows_)


@space.command("show")
@click.argument("name")
@options.task
@options.as_json
def space_show(name: str, task: str, as_json: bool) -> None:
    """Print the axes of a space (a built-in NAME or a YAML file) and its size.

    Parts and depth are those of the task's backbone.
    """
    found = _space(name, task)
    if as_json:
        print_json(found.to_dict() | {"designs": found.count(), "key": found.key})
        return
    rows = [(axis, len(values), ", ".join(values)) for axis, values in found.describe().items()]
    print_table(("axis", "values", "choices"), rows, f"{found.name}: {found.description}")
    click.echo(
        f"{found.count():,} distinct designs (designs that build the same network count once)"
    )


def _space(name: str, task: str) -> Space:
    """The space as a search of the task draws from it."""
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    restored = get_task(task)
    return load_space(name, restored)


@click.command()
@options.as_json
def tasks(as_json: bool) -> None:
    """List the tasks: degradation, backbone, metric and benchmark sets."""
    from bbnas.tasks import TASKS

    if as_json:
        print_json({"tasks": list(TASKS.values())})
        return
    rows = [
        (
            task.name,
            _DEGRADATIONS[task.degradation].format(task.level),
            task.backbone.title,
            task.metric,
            ", ".join(task.benchmarks),
        )
        for task in TASKS.values()
    ]
    print_table(("task", "degradation", "backbone", "metric", "benchmarks"), rows)


_DEGRADATIONS = {
    "bicubic": "bicubic ÷{}",
    "noise": "Gaussian noise, σ = {}",
    "jpeg": "JPEG on Y, quality {}",
}


@click.group()
def design() -> None:
    """Single designs: the presets of the paper, or YAML files."""


@design.command("list")
@options.task
@options.as_json
def design_list(task: str, as_json: bool) -> None:
    """List the presets that fit a task, with what they cost."""
    from bbnas.presets import presets
    from bbnas.tasks import get_task

    restored = get_task(task)

    from bbnas.cost import ops_and_params, printed

    found = presets(restored)
    costs = {name: ops_and_params(d, restored) for name, d in found.items()}
    if as_json:
        rows = [
            {
                "name": name,
                "key": d.key,
                "label": d.label(),
                "ops": costs[name].ops,
                "params": costs[name].params,
            }
            for name, d in found.items()
        ]
        print_json({"task": task, "presets": rows})
        return
    rows_ = [
        (
            name,
            d.label(),
            float(printed(costs[name].ops, 1e9)),
            float(printed(costs[name].params, 1e3)),
        )
        for name, d in found.items()
    ]
    columns = ("preset", "design", "OPs (G)", "Params (K)")
    print_table(columns, rows_, f"{restored.name}: {restored.title}, LQ 320×180")


@design.command("show")
@click.argument("name")
@options.task
@options.as_json
def design_show(name: str, task: str, as_json: bool) -> None:
    """Print a design (a preset's NAME or a YAML file) in canonical form, with its key."""
    from bbnas.presets import load_design
    from bbnas.tasks import get_task

    restored = get_task(task)
    found = load_design(name, restored)
    if as_json:
        print_json({"key": found.key, "label": found.label(), "design": found.to_dict()})
    else:
        click.echo(f"# {found.label()}\n# key {found.key}\n{found.to_yaml()}", nl=False)


@click.command()
@click.argument("design")
@options.task
@click.option("--latency", is_flag=True, help="Measure its time on this machine too.")
@options.latency_setting
@options.as_json
def cost(
    design: str, task: str, latency: bool, lq: tuple[int, int], threads: int, as_json: bool
) -> None:
    """Print the operations and parameters of a DESIGN (a preset or a YAML file) by part."""
    from bbnas.presets import load_design
    from bbnas.tasks import get_task

    restored = get_task(task)
    chosen = load_design(design, restored)

    from bbnas.cost import count, printed

    found = count(chosen, restored, lq)
    timed = None
    if latency:
        from bbnas.engine.latency import Stopwatch, program_of, setting

        timed = Stopwatch(setting(lq, threads)).measure(program_of(chosen, restored))
    if as_json:
        content = {"design": design, "task": task, "key": chosen.key} | found.to_dict()
        print_json(content | ({} if timed is None else {"latency": timed}))
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
        f"{printed(found.honest_ops, 1e9)} G OPs, {found.honest_params / 1e3:.0f} K Params with "
        "every parameter and the element-wise work; "
        f"{found.packed_bytes / 1024:.0f} KiB packed"
    )
    if timed is not None:
        from bbnas.text import milliseconds, plural

        click.echo(
            f"{milliseconds(timed.seconds)} (± {timed.spread:.1%} over {plural(timed.runs, 'run')}"
            f") on {timed.setting.words()}: {timed.ratio:.3g} times the reference workload run "
            f"beside it, which takes {milliseconds(timed.reference)} undisturbed"
        )
    for operator, times in found.unknown.items():
        click.echo(f"not counted: {operator}, {times} times", err=True)
