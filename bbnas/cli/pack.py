"""The command pack: a checkpoint as one small file."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table


@click.command()
@click.argument("checkpoint", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="The model, a .bbn file.")
@click.option("--explain", is_flag=True, help="Account for each byte of the file.")
@options.as_json
def pack(checkpoint: str, output: str, explain: bool, as_json: bool) -> None:
    """Pack a trained CHECKPOINT into one small file that runs by 1-bit operations."""
    from bbnas.cost import count
    from bbnas.engine import compile_network, write_program
    from bbnas.engine import explain as account
    from bbnas.inference.checkpoint import load_checkpoint

    network, info = load_checkpoint(checkpoint)
    program = compile_network(network, info.recipe.task)
    size = write_program(program, Path(output))
    cost = count(network.design, info.recipe.task)
    rows = list(account(program, cost))
    if as_json:
        content = [dict(zip(("content", "bytes", "note"), row, strict=True)) for row in rows]
        print_json({"output": output, "bytes": size, "params": cost.params, "content": content})
        return
    if explain:
        print_table(("content", "bytes", ""), rows, output)
    click.echo(
        f"{output}: {size:,} bytes ({cost.params * 4:,.0f} by the paper's Params); "
        f"restore with: bbnas restore {output} IMAGES -o FOLDER"
    )
