"""``bbnas export-model``."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json
from bbnas.text import plain


@click.command("export-model")
@click.argument("checkpoint", type=options.Existing())
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["openvino", "onnx"]),
    help="Format of the model: openvino keeps 1-bit convolutions, onnx is in floating point.",
)
@options.output("Model that is written, a .xml or .onnx file.", required=True)
@options.as_json
def export_model(checkpoint: str, form: str, output: str, as_json: bool) -> None:
    """Write a CHECKPOINT as a model for OpenVINO or ONNX.

    Its input lq and output hq are float32 (N, C, H, W) from 0 to 1.
    """
    from bbnas.engine import compile_network
    from bbnas.engine.export import export_program
    from bbnas.inference.checkpoint import load_checkpoint
    from bbnas.tasks import get_task

    network, info = load_checkpoint(checkpoint)
    program = compile_network(network, get_task(info.recipe.task))
    exported = export_program(program, form, Path(output))
    if as_json:
        print_json({"output": output, "format": form, **plain(exported)})
        return
    for path, size in exported.files.items():
        click.echo(f"{path}: {size:,} bytes")
    layers = f"{exported.one_bit_layers} of {exported.binary_layers} binary convolutions are 1-bit"
    if form == "openvino":
        click.echo(f"{layers}; call model.reshape([1, C, H, W]) before compile_model")
    else:
        click.echo(f"{layers}: ONNX has no such operation, they are in floating point")
