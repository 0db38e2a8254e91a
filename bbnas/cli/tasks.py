"""``bbnas tasks``."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table


@click.command()
@options.as_json
def tasks(as_json: bool) -> None:
    """List the tasks with their backbones and benchmark sets."""
    from bbnas.tasks import TASKS

    if as_json:
        print_json({"tasks": list(TASKS.values())})
        return
    rows = [
        (
            task.name,
            _DEGRADATIONS[task.degradation].format(
                f"{task.levels[0]}–{task.levels[1]}, scored at {task.level}"
                if task.blind
                else task.level
            ),
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
