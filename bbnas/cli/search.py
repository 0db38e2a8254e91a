"""The command search: explore a design space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import Names, load_images, print_json, print_table
from bbnas.cli.progress import duration, search_progress
from bbnas.errors import UserError

if TYPE_CHECKING:
    from bbnas.evaluation import Evaluation
    from bbnas.searching import SearchResult
    from bbnas.study import Guide


# So many points of a front are a table that is still read.
FRONT_ROWS = 12


@click.command()
@click.option("--space", default="bbcu", show_default=True, help="A name, or a YAML file.")
@options.task
@click.option("--budget", default=200, show_default=True, help="Distinct designs in the study.")
@click.option("--name", help="The study. [default: SPACE-TASK-sSEED]")
@options.storage
@click.option("--sampler", help="ehvi, tpe, nsga2, random … [default: ehvi]")
@click.option("--seed", default=0, show_default=True)
@options.workers
@options.data
@options.device
@click.option("--protocol", default="proxy", show_default=True, help="A name, or a YAML file.")
@click.option(
    "--objectives", type=Names(), help="Of psnr, ops, params, latency. [default: psnr,ops,params]"
)
@options.limits
@options.latency_setting
@click.option(
    "--baselines",
    type=Names(),
    is_flag=False,
    flag_value="all",
    help="Evaluate these presets first, marked as such; without a value, all that fit the task.",
)
@click.option("--guide", help="vcvp: binarize parts in the order of VC and VP; none: any subset.")
@click.option(
    "--confirm",
    type=click.IntRange(min=0),
    help="Train so many of the best, two at least, again, twelve times longer, before one is "
    "recommended; 0: none. [default: a thirtieth of the budget, at most 6]",
)
@click.option(
    "--early-stopping/--no-early-stopping",
    default=None,
    help="Stop a candidate at a rung where others that cost no more are ahead. [default: yes, "
    "unless the space is one of methods, which are to be compared]",
)
@options.quiet
@options.as_json
def search(
    space: str,
    task: str,
    budget: int,
    name: str | None,
    storage: str | None,
    sampler: str | None,
    seed: int,
    workers: int | None,
    data: str | None,
    device: str,
    protocol: str,
    objectives: tuple[str, ...] | None,
    max_ops: float | None,
    max_params: float | None,
    max_latency: float | None,
    lq: tuple[int, int],
    threads: int,
    baselines: tuple[str, ...] | None,
    guide: Guide | None,
    confirm: int | None,
    early_stopping: bool | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Search a design space; the same command again resumes.

    The budget counts the distinct designs of the study, so a larger one extends it.
    """
    from bbnas.presets import load_design, presets
    from bbnas.protocol import load_protocol
    from bbnas.space import load_space
    from bbnas.study import DEFAULT_OBJECTIVES, StudyConfig
    from bbnas.tasks import get_task

    chosen_task = get_task(task)
    chosen_space = load_space(space, chosen_task)
    chosen_protocol = load_protocol(protocol)
    named = {}
    if baselines:
        fitting = presets(chosen_task)
        named = (
            fitting
            if baselines == ("all",)
            else {baseline: load_design(baseline, chosen_task) for baseline in baselines}
        )

    from bbnas.inference import resolve_device
    from bbnas.runs.executors import TrainingEvaluator
    from bbnas.searching import search as run_search
    from bbnas.searching import summary

    place = str(resolve_device(device))
    evaluator = TrainingEvaluator(chosen_task, chosen_protocol, load_images(data), place)
    wanted = objectives or DEFAULT_OBJECTIVES
    latency = None
    if "latency" in wanted or max_latency is not None:
        from bbnas.engine.latency import setting

        latency = setting(lq, threads)
    config = StudyConfig.of(
        evaluator,
        chosen_space,
        name=name,
        seed=seed,
        objectives=wanted,
        sampler=sampler or "ehvi",
        guide=guide or "none",
        early_stopping=early_stopping,
        max_ops=max_ops,
        max_params=max_params,
        max_latency=max_latency,
        latency=latency,
    )
    with search_progress(quiet) as on_event:
        result = run_search(
            config,
            evaluator,
            budget,
            storage=storage,
            workers=workers,
            baselines=named,
            confirm=confirm,
            on_event=on_event,
        )
    if as_json:
        print_json(summary(result.study, result))
    else:
        _print_search(result, budget)
    return 130 if result.interrupted else 0


def _print_search(result: SearchResult, budget: int) -> None:
    from bbnas.analysis import front, methods_frame, rank_methods, recommend
    from bbnas.text import plural

    study, name = result.study, result.study.config.name
    points = front(study)
    if points:
        step = max(1, -(-len(points) // FRONT_ROWS))
        shown = points[::-1][::step][::-1]
        timed = study.latency is not None
        rows = [(*_figures(c.evaluation, timed), c.evaluation.design.label()) for c in shown]
        title = f"front: {len(shown)} of {plural(len(points), 'point')}"
        columns = ["PSNR (dB)", "SSIM", "OPs (G)", "Params (K)", "latency (ms)", "design"]
        if not timed:
            columns.remove("latency (ms)")
        print_table(columns, rows, title)
        if study.latency is not None:
            click.echo(f"latency: {study.latency.words()}")
    if ranking := rank_methods(study):
        table = methods_frame(ranking)
        rows = list(table.itertuples(index=False, name=None))
        title = "methods at equal parts, width and depth: PSNR (dB), one run each"
        print_table(tuple(table.columns), rows, title)
    try:
        chosen = recommend(study)
    except UserError as error:  # the search itself went well
        click.echo(f"nothing is recommended: {error}")
    else:
        click.echo(f"recommended: {chosen.candidate.evaluation.design.label()}")
        for reason in chosen.reasons:
            click.echo(f"  - {reason}")
    counts = result.counts
    click.echo(
        f"study {name} in {study.storage}: {plural(counts.done, 'design')} evaluated "
        f"({result.trained} now, {duration(result.seconds)}; {counts.stopped} stopped early, "
        f"{counts.failed} diverged or failed, "
        f"{counts.duplicates} duplicate and {counts.rejected} over a limit)"
    )
    if result.note:
        click.echo(result.note)
    if result.interrupted:
        click.echo(f"interrupted at {counts.done} of {budget}: the same command goes on from here")
    elif result.complete:
        click.echo(f"complete: extend it by a larger --budget, or go on with: bbnas report {name}")


def _figures(found: Evaluation, timed: bool) -> tuple[float | str, ...]:
    figures = (found.psnr, f"{found.ssim:.4f}", found.ops / 1e9, found.params / 1e3)
    return (*figures, found.latency * 1e3) if timed else figures
