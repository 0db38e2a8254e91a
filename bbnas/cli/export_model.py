"""The command export-model: a checkpoint for OpenVINO or ONNX."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import plain, print_json


@click.command("export-model")
@click.argument("checkpoint", type=click.Path())
@click.option("--format", "form", required=True, type=click.Choice(["openvino", "onnx"]))
@click.option("-o", "--output", required=True, type=click.Path(), help="A .xml or .onnx file.")
@options.as_json
def export_model(checkpoint: str, form: str, output: str, as_json: bool) -> None:
    """Write a trained CHECKPOINT as a model for OpenVINO (1-bit) or ONNX (floating point).

    Its input lq and output hq are float32 (N, C, H, W) in 0..1.
    """
    from bbnas.engine import compile_network
    from bbnas.engine.export import export_program
    from bbnas.inference.checkpoint import load_checkpoint

    network, info = load_checkpoint(checkpoint)
    exported = export_program(compile_network(network, info.recipe.task), form, Path(output))
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
