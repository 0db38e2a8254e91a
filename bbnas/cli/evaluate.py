"""The command evaluate: PSNR and SSIM on benchmarks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.errors import UserError
from bbnas.files import write_output


@click.command()
@click.argument("checkpoint", type=click.Path())
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    required=True,
    help="A name such as Set5, or a folder of HQ images, several times if need be; or all.",
)
@click.option("--task", help="Of 'bicubic', 'identity' or a preset.")
@click.option("--weights", type=click.Path(), help="Of a preset: a safetensors state dict.")
@click.option("--data-root", type=click.Path(), help="Holds benchmarks. [default: $BBNAS_DATA]")
@click.option("--csv", "csv_file", type=click.Path(), help="Write the rows to this file as well.")
@click.option("--save-images", type=click.Path(), help="Folder for the restored images, as PNG.")
@options.device
@options.as_json
def evaluate(
    checkpoint: str,
    benchmarks: tuple[str, ...],
    task: str | None,
    weights: str | None,
    data_root: str | None,
    csv_file: str | None,
    save_images: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Print PSNR and SSIM of a CHECKPOINT on each image of benchmarks, and their means.

    Instead of a checkpoint: 'bicubic' (super-resolution), 'identity' (denoising, deblocking), or
    a preset with --weights.
    """
    from bbnas.inference import Score, evaluate_checkpoint
    from bbnas.inference.evaluating import load_subject

    if csv_file is not None and not Path(csv_file).parent.is_dir():
        raise UserError(f"--csv {csv_file}: no such folder; make it, or name another file")
    scored = load_subject(checkpoint, task, weights).task

    def show(benchmark: str, rows: list[Score]) -> None:
        lines = [(row.name, f"{row.psnr:.2f}", f"{row.ssim:.4f}") for row in rows]
        title = f"{checkpoint} on {benchmark}, {scored.title}: {scored.metric}"
        print_table(("image", "PSNR (dB)", "SSIM"), lines, title)

    scores = evaluate_checkpoint(
        checkpoint,
        benchmarks,
        task,
        weights,
        device,
        data_root,
        save_images,
        on_benchmark=None if as_json else show,
    )
    if csv_file is not None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(("benchmark", "image", "psnr", "ssim"))
        writer.writerows((name, *row) for name, rows in scores.items() for row in rows)
        write_output(csv_file, text.getvalue())
    if as_json:
        found = []
        for name, (*rows, mean) in scores.items():
            images = [row._asdict() for row in rows]
            found.append(
                {"benchmark": name, "images": images, "psnr": mean.psnr, "ssim": mean.ssim}
            )
        measured = {"checkpoint": checkpoint, "task": scored.name, "metric": scored.metric}
        # One benchmark is what most ask for: its figures without a list.
        single = found[0] if len(found) == 1 else {}
        print_json(measured | single | {"benchmarks": found})
