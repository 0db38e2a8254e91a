"""``bbnas design``: list, show."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table


@click.group()
def design() -> None:
    """List and show designs: presets of the paper, YAML files."""


@design.command("list")
@options.task
@options.as_json
def design_list(task: str, as_json: bool) -> None:
    """List the presets that fit a task, with OPs and Params."""
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
@click.argument("name", type=options.DESIGN)
@options.task
@options.as_json
def design_show(name: str, task: str, as_json: bool) -> None:
    """Print design NAME in canonical form, with its key.

    NAME is one of bbnas design list, or a YAML file.
    """
    from bbnas.presets import load_design
    from bbnas.tasks import get_task

    found = load_design(name, get_task(task))
    if as_json:
        print_json({"key": found.key, "label": found.label(), "design": found.to_dict()})
    else:
        click.echo(f"# {found.label()}\n# key {found.key}\n{found.to_yaml()}", nl=False)
