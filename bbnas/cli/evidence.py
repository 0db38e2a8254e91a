"""Commands on what can be believed: findings, fidelity, benefit."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table
from bbnas.cli.progress import trainings_progress
from bbnas.cli.studies import load_images
from bbnas.errors import UserError

if TYPE_CHECKING:
    from bbnas.analysis.findings import Finding


@click.command()
@click.argument("study")
@options.storage
@options.as_json
def findings(study: str, storage: str | None, as_json: bool) -> None:
    """Say what a STUDY tells of each choice, in dB, and what it does not tell.

    From designs that are equal but for the choice, or from a fit of all where those are few. What
    may be chance, with all comparisons of the study in mind, is not told.
    """
    from bbnas.analysis.findings import findings as find
    from bbnas.analysis.findings import summary as lines
    from bbnas.store import open_study

    found = open_study(study, storage)
    told = find(found)
    if as_json:
        plain = {"study": found.config.name, "candidates": len(found.candidates)}
        rows = {kind: [_finding(f) for f in getattr(told, kind)] for kind in ("told", "untold")}
        print_json(plain | rows | {"silent": told.silent})
        return
    for line in lines(told) or ["too few designs to say anything: extend the search"]:
        click.echo(f"- {line}")


def _finding(found: Finding) -> dict[str, Any]:
    e = found.evidence
    return {
        "axis": found.axis,
        "choice": found.choice,
        "reference": found.reference,
        "effect": e.effect,
        "low": e.low,
        "high": e.high,
        "p": e.p,
        "pairs": e.pairs,
        "source": e.source,
        "collapsed": found.collapsed,
        "words": found.words,
    }


@click.command()
@options.task
@click.option("--space", default="bbcu", show_default=True, help="A name, or a YAML file.")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    default=("proxy",),
    show_default=True,
    help="A name, or a YAML file, with changes: proxy,iterations=500. Several are compared.",
)
@click.option("--designs", type=click.IntRange(min=5), default=24, show_default=True)
@click.option("--long", help="The protocol taken for the truth. [default: the first, far longer]")
@click.option(
    "--long-factor",
    type=float,
    default=12.0,
    show_default=True,
    help="Times the training compute of the first.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Of every sixth design, to know the noise.",
)
@click.option("--seed", default=0, show_default=True, help="Of the draw, and the first training.")
@click.option("-o", "--output", type=click.Path(), help="Also write the table, as Markdown.")
@click.option("--storage", help="Database URL. [default: sqlite:///studies/fidelity.db]")
@options.workers
@options.data
@options.device
@options.quiet
@options.as_json
def fidelity(
    task: str,
    space: str,
    protocols: tuple[str, ...],
    designs: int,
    long: str | None,
    long_factor: float,
    seeds: int,
    seed: int,
    output: str | None,
    storage: str | None,
    workers: int | None,
    data: str | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure how well protocols of seconds rank designs as a far longer one does.

    Designs are drawn from the space, trained by all, and kept: the same command goes on where it
    was interrupted, or prints again what was found.
    """
    from bbnas.protocol import load_protocol
    from bbnas.space import load_space
    from bbnas.tasks import get_task

    chosen = get_task(task)
    drawn_from = load_space(space, chosen)
    proxies = [load_protocol(protocol) for protocol in dict.fromkeys(protocols)]
    truth = None if long is None else load_protocol(long)

    from bbnas.inference import resolve_device
    from bbnas.runs.fidelity import measure_fidelity
    from bbnas.search import available_cores
    from bbnas.store import FIDELITY, Store, ready_url, storage_url

    dataset, place = load_images(data), str(resolve_device(device))
    url = ready_url(FIDELITY) if storage is None else storage_url(storage)
    with trainings_progress(quiet) as on_trained:
        first, *others = found = measure_fidelity(
            drawn_from,
            chosen,
            dataset,
            proxies,
            Store(url, create=True),
            long=truth,
            designs=designs,
            long_factor=long_factor,
            seeds=seeds,
            seed=seed,
            workers=workers or available_cores(),
            device=place,
            on_trained=on_trained,
        )
    if output is not None:
        from bbnas.files import write_output
        from bbnas.reporting.fidelity import to_markdown

        command = shlex.join(["bbnas", *sys.argv[1:]])
        write_output(output, to_markdown(found, command))
    if as_json:
        about = {"task": task, "space": drawn_from.name, "long": first.long}
        own = {"protocol": first.protocol} | _plain_fidelity(first.result)
        rest = [{"protocol": f.protocol} | _plain_fidelity(f.result) for f in others]
        print_json(about | {"environment": first.environment} | own | {"others": rest})
        return
    from bbnas.analysis.fidelity import words

    for line in words(first):
        click.echo(line)
    if others:
        from bbnas.reporting.fidelity import compared

        table = compared(found)
        print_table(table.columns, table.rows, table.title)
    if output is not None:
        click.echo(f"wrote {output}")


def _plain_fidelity(result: Mapping[str, Any]) -> dict[str, Any]:
    """Each interval as its figure, and beside it its ends."""
    plain = dict(result)
    for name in ("kendall_tau", "spearman_rho"):
        interval = plain[name]
        plain |= {name: interval["value"], f"{name}_interval": [interval["low"], interval["high"]]}
    return plain


@click.command()
@click.argument("study", required=False)
@click.option("--task", help="Measure a task under a protocol instead of a study's.")
@click.option("--protocol", help="A name, or a YAML file. [default: proxy]")
@options.storage
@options.data
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True)
@options.device
@options.quiet
@options.as_json
def benefit(
    study: str | None,
    task: str | None,
    protocol: str | None,
    storage: str | None,
    data: str | None,
    workers: int,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure VC and VP: what binarizing each part alone costs for what it saves.

    Of a STUDY, under its own protocol and images, or of a --task.
    """
    if (study is None) == (task is None):
        raise UserError("name either a STUDY or a --task, such as: bbnas benefit --task sr4")
    if study is not None and protocol is not None:
        raise UserError(f"--protocol {protocol}: a study is measured under its own; leave it out")

    from bbnas.analysis.benefit import benefit_frame, benefit_rows, study_benefit
    from bbnas.cost import printed
    from bbnas.protocol import load_protocol
    from bbnas.search import measure_benefit, measure_study_benefit
    from bbnas.store import Store, open_study, storage_url
    from bbnas.tasks import Part, get_task

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    if study is not None:
        found = open_study(study, storage)
        rows = study_benefit(found)
        title = f"study {found.config.name}: {found.config.protocol.name} protocol"
        if len(rows) < len(get_task(found.config.task).parts):
            store = Store(found.storage if storage is None else storage_url(storage))
            measured = measure_study_benefit(
                store,
                found.config.name,
                load_images(data),
                workers=workers,
                device=device,
                on_message=say,
            )
            rows = study_benefit(measured)
    else:
        chosen = get_task(task or "")
        by = load_protocol(protocol or "proxy")
        dataset = load_images(data)
        evaluations = measure_benefit(
            chosen, by, dataset, workers=workers, device=device, on_message=say
        )
        title = f"{chosen.title}, {by.name} protocol, {dataset.description}"
        reference = evaluations.pop("none")
        rows = benefit_rows(reference, {Part(part): e for part, e in evaluations.items()})
    if as_json:
        print_json({"measured": title, "parts": rows})
        return
    table = benefit_frame(rows).drop(columns=["ops_saved_m", "params_saved_k"])
    columns = (
        "part",
        "OPs_f (M)",
        "OPs_b (M)",
        "Params_f (K)",
        "Params_b (K)",
        "PSNR_f (dB)",
        "PSNR_b (dB)",
        "VC (1e-6 dB/M OPs)",
        "VP (1e-3 dB/K Params)",
        "rank",
    )
    for name in ("ops_f_m", "ops_b_m", "params_f_k", "params_b_k"):
        table[name] = [float(printed(value, 1)) for value in table[name]]
    print_table(columns, table.itertuples(index=False, name=None), title)
    click.echo("lower VC and VP: the part is more worth binarizing")
