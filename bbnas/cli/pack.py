"""``bbnas pack``."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table


@click.command()
@click.argument("checkpoint", type=options.Existing())
@options.output("Packed model that is written, a .bbn file.", required=True)
@click.option("--explain", is_flag=True, help="Print a table of what each byte of the file is.")
@options.as_json
def pack(checkpoint: str, output: str, explain: bool, as_json: bool) -> None:
    """Pack a CHECKPOINT into a small file for the 1-bit engine.

    bbnas restore and bbnas profile take the file.
    """
    from bbnas.cost import count
    from bbnas.engine import compile_network, write_program
    from bbnas.engine import explain as account
    from bbnas.inference.checkpoint import load_checkpoint
    from bbnas.tasks import get_task

    network, info = load_checkpoint(checkpoint)
    task = get_task(info.recipe.task)
    program = compile_network(network, task)
    size = write_program(program, Path(output))
    cost = count(network.design, task)
    rows = list(account(program, cost))
    if as_json:
        content = [dict(zip(("content", "bytes", "note"), row, strict=True)) for row in rows]
        print_json({"output": output, "bytes": size, "params": cost.params, "content": content})
        return
    if explain:
        print_table(("content", "bytes", ""), rows, output)
    click.echo(
        f"{output}: {size:,} bytes ({cost.params * 4:,.0f} by the paper's Params)\n"
        f"next: bbnas restore IMAGES --model {output} -o FOLDER"
    )
