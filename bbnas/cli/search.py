"""``bbnas search``."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.candidates import print_candidates, print_front
from bbnas.cli.console import Duration, Names, load_images, print_json, print_table
from bbnas.cli.dashboard import PORT, beside
from bbnas.cli.progress import search_progress
from bbnas.errors import UserError
from bbnas.signals import keeps
from bbnas.text import duration, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bbnas.analysis.worth import Worth
    from bbnas.searching import SearchResult
    from bbnas.study import Guide, Study
    from bbnas.tasks import Task

# Most candidates that are printed as statistically indistinguishable from the recommended one.
TIE_ROWS = 5


@click.command()
@options.space
@options.task
@click.option(
    "--budget",
    type=int,
    default=200,
    show_default=True,
    help="Number of distinct designs in the study; a larger one extends it.",
)
@click.option("--name", metavar="NAME", show_default="SPACE-TASK-sSEED", help="Name of the study.")
@options.storage()
@click.option(
    "--storage-patience",
    type=Duration(),
    default="10min",
    show_default=True,
    help="Longest time that a database is waited for whose server goes away or whose file another "
    "program locks.",
)
@click.option(
    "--artifacts",
    metavar="PLACE",
    show_default="beside the database, or in it if a server keeps it",
    help="Folder or URL, such as s3://bucket/folder, for trainings that are paused.",
)
@options.sampler
@options.seed
@options.workers
@options.cluster
@options.data
@options.device
@options.protocol
@click.option(
    "--objectives",
    type=Names(),
    default="psnr,ops,params",
    show_default=True,
    help="Quantities that are traded off, of psnr,ops,params,latency.",
)
@options.limits
@options.latency_setting
@click.option(
    "--latency-from",
    type=options.Existing(),
    help="File that bbnas measure wrote on another machine: latencies are forecast for it.",
)
@click.option(
    "--baselines",
    type=Names(),
    is_flag=False,
    flag_value="all",
    help="Presets that are evaluated first, such as bbcu-m,srresnet; without a value, all that "
    "fit the task.",
)
@click.option(
    "--guide",
    metavar="GUIDE",
    default="none",
    show_default=True,
    help="Rule for the 1-bit parts: vcvp adds them in the order of VC and VP, none allows any.",
)
@click.option(
    "--refine/--no-refine",
    default=None,
    show_default="refine",
    help="Propose a neighbour of the knee every second time (ehvi alone).",
)
@click.option(
    "--benefit/--no-benefit",
    default=True,
    show_default=True,
    help="Train full precision and each part binarized alone at the end, for VC and VP.",
)
@click.option(
    "--confirm",
    type=click.IntRange(min=0),
    show_default="a thirtieth of the budget, at most 6",
    help="Number of best candidates that are trained again, twelve times longer, before one is "
    "recommended: 0, or 2 or more.",
)
@click.option(
    "--early-stopping/--no-early-stopping",
    default=None,
    show_default="early stopping, but for a space of methods",
    help="Stop a training that falls behind designs of the same cost.",
)
@click.option(
    "--dashboard",
    "dashboard_port",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=PORT,
    metavar="[PORT]",
    help=f"Show the search as a page on this machine, at port {PORT} unless given; it ends with "
    "the search.",
)
@options.quiet
@options.as_json
def search(
    space: str,
    task: str,
    budget: int,
    name: str | None,
    storage: str | None,
    storage_patience: float,
    artifacts: str | None,
    sampler: str,
    seed: int,
    workers: int | None,
    ray_address: str | None,
    cpus_per_worker: float,
    gpus_per_worker: float | None,
    candidate_timeout: float | None,
    candidate_memory: float | None,
    max_retries: int,
    same_kernels: bool,
    insecure_ray: bool,
    data: str | None,
    device: str,
    protocol: str,
    objectives: tuple[str, ...],
    max_ops: float | None,
    max_params: float | None,
    max_latency: float | None,
    lq: tuple[int, int],
    threads: int,
    latency_from: str | None,
    baselines: tuple[str, ...] | None,
    guide: Guide,
    refine: bool | None,
    benefit: bool,
    confirm: int | None,
    early_stopping: bool | None,
    dashboard_port: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Search a design space and recommend a design.

    Every evaluation is kept as it ends: the same command resumes, whatever ended it.
    """
    from bbnas.presets import load_design, presets
    from bbnas.protocol import load_protocol
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    chosen_task = get_task(task)
    chosen_space = load_space(space, chosen_task)
    chosen_protocol = load_protocol(protocol)
    if baselines == ("all",):
        first = dict(presets(chosen_task))
    else:
        first = {preset: load_design(preset, chosen_task) for preset in baselines or ()}

    from bbnas.environment import taken_on, today
    from bbnas.inference.device import workers_device
    from bbnas.runs.executors import TrainingEvaluator, usual_workers
    from bbnas.runs.placement import Placement
    from bbnas.searching import search as run_search
    from bbnas.searching import summary
    from bbnas.store import default_url, storage_url
    from bbnas.study import StudyConfig

    placement = Placement(
        address=ray_address,
        cpus=cpus_per_worker,
        gpus=gpus_per_worker,
        timeout=candidate_timeout,
        memory=candidate_memory,
        max_retries=max_retries,
        insecure=insecure_ray,
        same_kernels=same_kernels,
    )
    latency, target = None, None
    if "latency" in objectives or max_latency is not None:
        if latency_from is None:
            from bbnas.engine.latency import setting

            latency = setting(lq, threads)
        else:
            from bbnas.device import read_device
            from bbnas.engine.forecast import forecast_setting

            target = read_device(Path(latency_from))
            latency = forecast_setting(target)
    elif latency_from is not None:
        raise UserError(
            "--latency-from: nothing here asks for latency; add --objectives psnr,latency or "
            "--max-latency"
        )
    # The nodes of a cluster may have GPUs where this machine has none.
    place = workers_device(device) if ray_address is None else "cpu"
    evaluator = TrainingEvaluator(chosen_task, chosen_protocol, load_images(data), place)
    config = StudyConfig.of(
        evaluator,
        chosen_space,
        name=name,
        seed=seed,
        objectives=objectives,
        sampler=sampler,
        sampler_options=None if refine is None else {"refine": refine},
        guide=guide,
        early_stopping=early_stopping,
        max_ops=max_ops,
        max_params=max_params,
        max_latency=max_latency,
        latency=latency,
    )
    keeps("every design that was trained is kept; the same command resumes")
    database = default_url(config.name) if storage is None else storage_url(storage)
    with (
        beside(database, dashboard_port, data),
        search_progress(quiet) as on_event,
        redirect_stdout(sys.stderr),  # what Ray says of its processes is no result
    ):
        result = run_search(
            config,
            evaluator,
            budget,
            storage=storage,
            storage_patience=storage_patience,
            artifacts=artifacts,
            workers=workers,
            placement=placement,
            baselines=first,
            benefit=benefit,
            confirm=confirm,
            device=target,
            on_event=on_event,
        )
    if result.interrupted:
        done = f"{result.counts.done} of {plural(budget, 'design')}"
        keeps(f"{done} are kept in {result.study.storage}; the same command resumes")
        raise KeyboardInterrupt
    if ray_address is None:
        machine = taken_on(workers or usual_workers(evaluator), "worker")
    else:
        machine = f"Ray cluster {ray_address}, {today()}"
    beside_rivals = _worth(result.study, chosen_task)
    if as_json:
        print_json(
            summary(result.study, result) | {"machine": machine, "worth": beside_rivals or None}
        )
    else:
        _print(result, storage, machine, [one.sentence for one in beside_rivals])


def _worth(study: Study, task: Task) -> list[Worth]:
    """The study's 1-bit networks beside rivals, if bbnas rivals measured some."""
    from bbnas.analysis.worth import worth
    from bbnas.rivals import rivals_of

    config = study.config
    found = rivals_of(config.name, task, config.data, lambda text: click.echo(text, err=True))
    return [] if found is None else worth(found)


def _print(result: SearchResult, storage: str | None, machine: str, worth: Sequence[str]) -> None:
    from bbnas.analysis import methods_frame, rank_methods, recommend
    from bbnas.analysis.reasons import passed_over
    from bbnas.reporting.measured import times_words
    from bbnas.reporting.summary import summary as rows_of

    study, counts = result.study, result.counts
    try:
        recommendation, reason = recommend(study), ""
    except UserError as error:  # the search itself went well
        recommendation, reason = None, str(error)
    chosen = None if recommendation is None else recommendation.candidate
    print_front(study, recommendation)
    if study.latency is not None:
        click.echo(f"latency: {study.latency.words()}")
    if ranking := rank_methods(study):
        table = methods_frame(ranking)
        title = "methods at equal parts, width and depth: PSNR (dB), one run each"
        print_table(tuple(table.columns), table.itertuples(index=False, name=None), title)
    if recommendation is None or chosen is None:
        click.echo(f"nothing is recommended: {reason}")
    else:
        named = f"trial {chosen.number}: {chosen.evaluation.design.label()}"
        rows = [("recommended", named), *rows_of(study, recommendation)]
        if recommendation.passed is not None:
            rows.append(("not chosen", passed_over(recommendation.passed)))
        print_table(("", ""), rows, "recommendation")
        if ties := recommendation.ties:
            number = f"{min(len(ties), TIE_ROWS)} of {plural(len(ties), 'candidate')}"
            title = f"statistically indistinguishable from it: {number}"
            print_candidates(ties[:TIE_ROWS], title, recommendation)
    click.echo(
        f"study {study.config.name} in {study.storage}: {plural(counts.done, 'design')}, "
        f"{result.trained} now in {duration(result.seconds)} "
        f"({machine})\n"
        f"in all {times_words(study)}\n"
        f"{counts.stopped} stopped early, {counts.failed} diverged or failed; beside them "
        f"{counts.duplicates} proposed again and {counts.rejected} over a limit, not trained"
    )
    if result.note:
        click.echo(result.note)
    for sentence in worth:
        click.echo(sentence)
    if result.complete:
        at = options.at(storage)
        name = study.config.name
        click.echo(
            f"next: bbnas report {name}{at} or bbnas dashboard {name}{at}, or a larger --budget"
        )
        if not worth:
            click.echo(
                f"      bbnas rivals {name}{at} tells whether an ordinary network does as well"
            )
