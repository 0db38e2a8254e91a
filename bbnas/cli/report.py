"""The command report: a study as one HTML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import load_images, print_json

if TYPE_CHECKING:
    from bbnas.evaluation import MeasuredFidelity
    from bbnas.study import Study


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
