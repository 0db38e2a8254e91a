"""``bbnas evaluate``."""

from __future__ import annotations

import csv
import io

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.files import write_output
from bbnas.signals import keeps


@click.command()
@click.argument("checkpoint", type=options.CheckpointOrName())
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    required=True,
    help="Benchmark set: a name such as Set5, a folder of HQ images, LQ_DIR:HQ_DIR, or all; may "
    "be repeated.",
)
@click.option(
    "--task",
    type=options.TASK,
    show_default="the checkpoint's",
    help="Restoration task of bicubic, identity or a preset, such as sr4; of a blind checkpoint "
    "the level, such as denoise50.",
)
@click.option(
    "--weights", type=options.Existing(), help="Weights of a preset: a safetensors state dict."
)
@click.option(
    "--against",
    type=options.CheckpointOrName(),
    help="Checkpoint, model or baseline to compare with, image by image.",
)
@options.data_root
@options.csv
@click.option(
    "--save-images",
    type=options.Output(),
    help="Folder that the restored images are written to as PNG.",
)
@options.device
@options.as_json
def evaluate(
    checkpoint: str,
    benchmarks: tuple[str, ...],
    task: str | None,
    weights: str | None,
    against: str | None,
    data_root: str | None,
    csv_file: str | None,
    save_images: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Score a CHECKPOINT on benchmark sets: PSNR and SSIM.

    Of each image, and their means. Instead of a checkpoint: a packed .bbn, a model of bbnas
    models list, bicubic (super-resolution), identity (denoising, deblocking), or a preset with
    --weights.
    """
    from bbnas.inference import Score, difference, evaluate_checkpoint
    from bbnas.inference.evaluating import load_subject
    from bbnas.tasks import get_task

    chosen = None if task is None else get_task(task)
    scored = load_subject(checkpoint, chosen, weights).task
    if against is not None:
        load_subject(against, scored)  # a wrong name is told before the work

    def show(benchmark: str, rows: list[Score]) -> None:
        lines = [(row.name, f"{row.psnr:.2f}", f"{row.ssim:.4f}") for row in rows]
        title = f"{checkpoint} on {benchmark}, {scored.title}: {scored.metric}"
        print_table(("image", "PSNR (dB)", "SSIM"), lines, title)

    kept = f", but the images that are in {save_images} already" if save_images else ""
    keeps(f"no score is kept{kept}")
    scores = evaluate_checkpoint(
        checkpoint,
        benchmarks,
        chosen,
        weights,
        device,
        data_root,
        save_images,
        on_benchmark=None if as_json else show,
    )
    gains = {}
    if against is not None:
        others = evaluate_checkpoint(against, benchmarks, scored, None, device, data_root)
        gains = {name: difference(rows, others[name]) for name, rows in scores.items()}
        if len(scores) > 1:
            gains["all images"] = difference(
                [row for rows in scores.values() for row in rows],
                [row for rows in others.values() for row in rows],
            )
        if not as_json:
            lines = [
                (name, gain.images, f"{gain.psnr:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}")
                for name, gain in gains.items()
            ]
            columns = ("benchmark", "images", "difference (dB)", "95 % interval over images")
            print_table(columns, lines, f"{checkpoint} less {against}, PSNR")
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
        compared = {name: gain._asdict() for name, gain in gains.items()}
        told = {"against": against, "difference": compared} if gains else {}
        print_json(measured | single | {"benchmarks": found} | told)
