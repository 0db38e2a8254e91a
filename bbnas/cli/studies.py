"""Commands on studies: search, report, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bbnas.cli import options
from bbnas.cli.console import Names, print_json, print_table
from bbnas.cli.progress import duration, search_progress
from bbnas.errors import UserError

if TYPE_CHECKING:
    from bbnas.data import Dataset
    from bbnas.evaluation import Evaluation, MeasuredFidelity
    from bbnas.search import SearchResult
    from bbnas.study import Study

# So many points of a front are a table that is still read.
FRONT_ROWS = 12
SKIPPED_NAMES = 20


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
    "--refine/--no-refine",
    default=True,
    help="Every second design differs in one choice from the knee so far.",
)
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
    seed: int,
    data: str | None,
    device: str,
    protocol: str,
    baselines: tuple[str, ...] | None,
    lq: tuple[int, int],
    threads: int,
    confirm: int | None,
    early_stopping: bool | None,
    quiet: bool,
    as_json: bool,
    **others: Any,
) -> int:
    """Search a design space; the same command again resumes.

    The budget counts the distinct designs of the study, so a larger one extends it.
    """
    from bbnas.protocol import load_protocol
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    chosen_task = get_task(task)
    chosen_space = load_space(space, chosen_task)
    chosen_protocol = load_protocol(protocol)

    from bbnas.inference import resolve_device
    from bbnas.presets import presets
    from bbnas.runs.confirm import confirmed_by_default
    from bbnas.search import search as run_search
    from bbnas.search import summary

    if "latency" in (others["objectives"] or ()) or others["max_latency"] is not None:
        from bbnas.engine.latency import setting

        others["latency"] = setting(lq, threads)
    if baselines:
        others["baselines"] = presets(chosen_task) if baselines == ("all",) else baselines
    with search_progress(quiet) as on_event:
        result = run_search(
            chosen_space,
            chosen_task,
            load_images(data),
            chosen_protocol,
            budget,
            name=name or f"{chosen_space.name}-{chosen_task.name}-s{seed}",
            seed=seed,
            confirm=confirmed_by_default(budget) if confirm is None else confirm,
            early_stopping=not chosen_space.axes.method
            if early_stopping is None
            else early_stopping,
            device=str(resolve_device(device)),
            on_event=on_event,
            **{key: value for key, value in others.items() if value is not None},
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


def load_images(data: str | None) -> Dataset:
    """The photographs in a folder, or the embedded ones; what was skipped is named."""
    from bbnas.data import load_dataset

    dataset = load_dataset(data)
    if dataset.skipped:
        named = [f"{name} ({reason})" for name, reason in dataset.skipped[:SKIPPED_NAMES]]
        more = len(dataset.skipped) - len(named)
        files = ", ".join([*named, f"{more} more"] if more else named)
        click.echo(f"skipped {len(dataset.skipped)} of the files in {data}: {files}", err=True)
    return dataset


@click.command()
@click.argument("study")
@options.storage
@click.option("-o", "--output", type=click.Path(), help="[default: reports/STUDY.html]")
@click.option("--csv", type=click.Path(), help="Also write every candidate to this file.")
@click.option("--pick", default="knee", show_default=True, help="knee, best-psnr or 'trial N'.")
@options.limits
@click.option(
    "--pictures/--no-pictures",
    default=True,
    help="Train the recommended design once more by the proxy, to show what it restores.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Train the recommended design with so many other seeds, to know the seed noise.",
)
@click.option(
    "--latency", is_flag=True, help="Measure the latency of every candidate that has none."
)
@options.latency_setting
@click.option("--data", help="The study's folder of images. [default: the embedded photographs]")
@options.device
@options.as_json
def report(
    study: str,
    storage: str | None,
    output: str | None,
    csv: str | None,
    pick: str,
    max_ops: float | None,
    max_params: float | None,
    max_latency: float | None,
    latency: bool,
    lq: tuple[int, int],
    threads: int,
    pictures: bool,
    repeats: int,
    data: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Write the report of a STUDY: one HTML file that opens anywhere.

    STUDY is a name, or the path of a database.
    """
    from bbnas.analysis import recommend
    from bbnas.analysis.pareto import useful
    from bbnas.reporting import write_csv, write_report
    from bbnas.runs.repeats import measure_repeats
    from bbnas.store import Store, open_study, storage_url

    found = open_study(study, storage)
    if latency:
        found = _with_latencies(found, storage, lq, threads)
    written = {}
    if csv is not None:
        written["csv"] = write_csv(found, csv)
    chosen = None
    if any(useful(found.config, c.evaluation) and not c.baseline for c in found.candidates):
        chosen = recommend(found, pick, max_ops, max_params, max_latency)
    shown, others = None, []
    if (pictures or repeats) and chosen is not None:
        dataset = load_images(data)
        if dataset.fingerprint == found.config.data:
            design = chosen.candidate.evaluation.design
            store = Store(found.storage if storage is None else storage_url(storage))
            others = measure_repeats(store, found, design, dataset, repeats, device=device)
            if pictures:
                from bbnas.runs.pictures import restored_crops

                shown = restored_crops(found, chosen.candidate, dataset, device)
        else:
            click.echo(
                f"no restored crops and no seed noise: the study is of "
                f"{found.config.data_description}; name its folder by --data",
                err=True,
            )
    path = Path(output or f"reports/{found.config.name}.html")
    trust = _known_fidelity(found)
    written["report"] = write_report(found, path, shown, others, chosen, trust)
    if as_json:
        print_json(written)
    else:
        click.echo(f"wrote {' and '.join(str(file) for file in written.values())}")


def _known_fidelity(study: Study) -> MeasuredFidelity | None:
    """What ``bbnas fidelity`` found of the study's protocol here."""
    from bbnas.store import FIDELITY, Store, default_url
    from bbnas.store.fidelities import find_fidelity

    url = default_url(FIDELITY)
    if not Path(url.removeprefix("sqlite:///")).exists():
        return None
    config = study.config
    return find_fidelity(Store(url), config.task, config.protocol, config.data)


def _with_latencies(study: Study, storage: str | None, lq: tuple[int, int], threads: int) -> Study:
    """``study`` with every candidate's latency, measured where the database has none."""
    from bbnas.engine.latency import setting
    from bbnas.search.prices import Clock
    from bbnas.store import Store, storage_url

    store = Store(study.storage if storage is None else storage_url(storage), create=True)
    where = study.latency or setting(lq, threads)
    clock = Clock(store, study.config.task, where)
    with click.progressbar(
        study.candidates, label="latency", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as candidates:
        for candidate in candidates:
            clock(candidate.evaluation.design)
    return store.load_study(study.config.name, where)


@click.command()
@click.argument("study")
@options.storage
@click.option("--pick", default="knee", show_default=True, help="knee, best-psnr or 'trial N'.")
@options.limits
@click.option("--data", help="Folder of images to train on. [default: the embedded photographs]")
@click.option("-o", "--output", type=click.Path(), help="[default: recipes/STUDY.yaml]")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@options.as_json
def export(
    study: str,
    storage: str | None,
    pick: str,
    max_ops: float | None,
    max_params: float | None,
    max_latency: float | None,
    data: str | None,
    output: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write the recipe that trains the recommended design of a STUDY in full."""
    from bbnas.analysis.export import export as export_recipe
    from bbnas.files import write_output
    from bbnas.store import open_study

    found = open_study(study, storage)
    recipe = export_recipe(found, pick, max_ops, max_params, max_latency, data)
    path = Path(output or f"recipes/{found.config.name}.yaml")
    if path.exists() and not force:
        raise UserError(f"{path} exists: replace it by --force, or name another by -o")
    write_output(path, recipe.to_yaml())
    if as_json:
        print_json({"path": path, "recipe": recipe})
    else:
        click.echo(f"{recipe.design.label()}\nwrote {path}; train it by: bbnas train {path}")
