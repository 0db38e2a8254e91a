"""Commands on networks: train, evaluate, restore, bench."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import Names, Size, plain, print_json, print_table
from bbnas.cli.progress import training_progress
from bbnas.cli.sampler import bench_sampler
from bbnas.errors import UserError
from bbnas.files import write_output


@click.command()
@click.argument("recipe", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Folder. [default: runs/NAME of RECIPE]")
@click.option("--data", help="Folder of images to train on, instead of the recipe's.")
@click.option("--iterations", type=click.IntRange(min=1), help="Shorten the schedule to these.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint.")
@options.device
@options.quiet
@options.as_json
def train(
    recipe: str,
    output: str | None,
    data: str | None,
    iterations: int | None,
    resume: bool,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train a RECIPE in full; checkpoints and a TensorBoard log go to a folder."""
    from bbnas.recipe import Recipe
    from bbnas.tasks import get_task
    from bbnas.training import train as train_recipe

    parsed = Recipe.from_yaml(recipe)
    folder = Path(output or Path("runs") / Path(recipe).stem)
    with training_progress(quiet or as_json) as on_event:
        info = train_recipe(parsed, folder, data, iterations, resume, device, on_event)
    if as_json:
        print_json({"output": folder, **info.model_dump(mode="json")})
        return
    benchmark = get_task(parsed.task).benchmarks[0]
    psnr = "" if info.psnr is None else f", validation {info.psnr:.2f} dB"
    click.echo(
        f"{info.iteration:,} iterations{psnr}\nwrote {folder}; score it with: "
        f"bbnas evaluate {folder / 'best.safetensors'} --benchmark {benchmark}"
    )


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


@click.command()
@click.argument("checkpoint", type=click.Path())
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="A folder, or one file.")
@click.option("--tile", type=click.IntRange(min=16), help="Restore in tiles of so many pixels.")
@options.device
@options.as_json
def restore(
    checkpoint: str,
    images: tuple[str, ...],
    output: str,
    tile: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Restore IMAGES (files or folders, any size) with a trained CHECKPOINT or a packed .bbn."""
    from bbnas.inference import Restored, restore_files

    size = {} if tile is None else {"tile": tile}
    done: list[Restored] = []
    failed: list[Restored] = []
    for item in restore_files(checkpoint, images, output, device, **size):
        (failed if item.output is None else done).append(item)
        if item.output is None:
            click.echo(f"skipped: {item.error}", err=True)
        elif not as_json:
            click.echo(f"{item.source} -> {item.output}")
    if as_json:
        print_json(
            {"restored": [i._asdict() for i in done], "skipped": [i._asdict() for i in failed]}
        )
    if failed:
        raise UserError(f"{len(failed)} of {len(done) + len(failed)} images were skipped")


@click.group()
def bench() -> None:
    """Measurements of bbnas itself."""


bench.add_command(bench_sampler)


@bench.command("train")
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True)
@options.as_json
def bench_train(rounds: int, as_json: bool) -> None:
    """Time a BBCU unit against a plain PyTorch transcription, and a step of the proxy by both."""
    from bbnas.bench.proxy_step import bench_step
    from bbnas.bench.unit import bench_train as measure

    rows, steps = list(measure(rounds=rounds)), list(bench_step(rounds=rounds))
    if as_json:
        print_json({"rows": rows, "steps": steps})
        return
    columns = ("width", "batch", "LQ side", "bbnas ms", "plain ms", "bare conv ms", "× faster")
    lines = [
        (r.width, r.batch, r.side, r.ours_ms, r.transcription_ms, r.convolution_ms, r.ratio)
        for r in rows
    ]
    print_table(columns, lines, "one BBCU unit, forward and backward, one thread")
    print_table(
        ("preset", "width", "depth", f"{steps[0].kernels}, ms", "torch, ms", "× faster"),
        [(s.preset, s.width, s.depth, s.ours_ms, s.torch_ms, s.ratio) for s in steps],
        "one step of the proxy, sr4, processor time, one thread",
    )


@bench.command("engine")
@click.option("--cases", type=Names(), help="Of unit,bbcu-l,bbcu-m,dncnn. [default: all]")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--lq", type=Size(), default="320x180", show_default=True, help="The LQ image.")
@click.option("--html", type=click.Path(), help="Also draw it on a page of its own.")
@options.quiet
@options.as_json
def bench_engine(
    cases: tuple[str, ...] | None,
    rounds: int,
    lq: tuple[int, int],
    html: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Time packed models against full-precision runtimes and OpenVINO's 1-bit convolution.

    The exit code is 1 where the engine is not as many times faster as it is meant to be.
    """
    from bbnas.bench.engine import BOUNDS, CASES, COLUMNS, draw, ratio_of
    from bbnas.bench.engine import bench_engine as measure

    def say(case: str) -> None:
        if not quiet and not as_json:
            click.echo(f"measuring {CASES[case].title}", err=True)

    found = measure(cases or tuple(CASES), rounds, lq, say)
    if html is not None:
        from bbnas.reporting.plain import write_figures

        write_figures(html, "Latency of the engine and its peers", found.words, draw(found))
    if as_json:
        print_json(plain(found))
        return 0 if found.passed else 1
    for case in dict.fromkeys(timing.case for timing in found.times):
        times = [t for t in found.times if t.case == case and t.contestant not in BOUNDS]
        ours = {t.threads: t for t in times if t.contestant == "bbnas"}
        print_table(
            ("", "threads", "ms", "× bbnas", "kernels"),
            [
                (t.contestant, t.threads, t.median_ms, ratio_of(t, ours[t.threads]), t.kernels)
                for t in times
            ],
            CASES[case].title,
        )
    rows = [
        (v.case, v.ours, v.threads, v.peer, v.ratio, float(v.at_least), v.word)
        for v in found.verdicts
    ]
    print_table(COLUMNS, rows, "What it must show")
    click.echo(found.words)
    if html is not None:
        click.echo(f"wrote {html}")
    return 0 if found.passed else 1
