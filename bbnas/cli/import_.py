"""``bbnas import``."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import print_json


@click.command("import")
@click.argument("file", type=options.Existing())
@click.option(
    "--as",
    "preset",
    type=options.DESIGN,
    required=True,
    help="Design of the network: a preset such as bbcu-m, or a YAML file.",
)
@options.task
@options.output("Checkpoint that is written, a .safetensors file.", required=True)
@options.as_json
def import_(file: str, preset: str, task: str, output: str, as_json: bool) -> None:
    """Make a checkpoint from a FILE of others' code.

    FILE is a state dict of the code of BBCU's authors, of BasicSR or of KAIR: of torch.save, or
    safetensors. Width and depth are those of its tensors.
    """
    from bbnas.inference.importing import import_checkpoint
    from bbnas.tasks import get_task

    chosen = get_task(task)
    info = import_checkpoint(file, preset, chosen, output)
    design = info.recipe.design
    if as_json:
        print_json(
            {"output": output, "task": task, "design": design.to_dict(), "origin": info.origin}
        )
        return
    click.echo(
        f"{output}: {design.label()}, {chosen.title}, from {info.origin}\n"
        f"next: bbnas evaluate {output} --benchmark {chosen.benchmarks[0]}"
    )
