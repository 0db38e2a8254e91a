"""``bbnas train``."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json
from bbnas.cli.progress import training_progress
from bbnas.signals import keeps


@click.command()
@click.argument("recipe", type=options.Existing())
@options.output("Folder of the checkpoints and the TensorBoard log.", "runs/RECIPE")
@click.option(
    "--data",
    type=click.Path(),
    metavar="DATA",
    show_default="the recipe's, or cc0",
    help=options.DATA_HELP,
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    help="Number of iterations, with the schedule shortened to it, such as 1000.",
)
@click.option(
    "--resume", is_flag=True, help="Resume from the last checkpoint in the output folder."
)
@options.device
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    show_default="1",
    help="Number of processes that train at the same time.",
)
@options.quiet
@options.as_json
def train(
    recipe: str,
    output: str | None,
    data: str | None,
    iterations: int | None,
    resume: bool,
    device: str,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train the design of a RECIPE in full.

    Checkpoints and a TensorBoard log go to a folder. Several workers share each batch: one on
    each GPU, or on CPU cores.
    """
    from bbnas.recipe import Recipe
    from bbnas.runs.train import train as train_recipe
    from bbnas.tasks import get_task
    from bbnas.training.full import kept

    parsed = Recipe.from_yaml(recipe)
    folder = Path(output or Path("runs") / Path(recipe).stem)
    keeps(lambda: f"{kept(folder)}{'; --resume continues' if folder.exists() else ''}")
    with training_progress(quiet) as on_event:
        info = train_recipe(
            parsed, folder, data, iterations, resume, device, on_event, workers=workers or 1
        )
    if as_json:
        print_json({"output": folder, **info.model_dump(mode="json")})
        return
    benchmark = get_task(parsed.task).benchmarks[0]
    psnr = "" if info.psnr is None else f", validation {info.psnr:.2f} dB"
    click.echo(
        f"{info.iteration:,} iterations{psnr}\nwrote {folder}\n"
        f"next: bbnas evaluate {folder / 'best.safetensors'} --benchmark {benchmark}"
    )
