"""The command benefit: VC and VP of each part."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import load_images, print_json, print_table
from bbnas.errors import UserError


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
    from bbnas.runs.benefit import measure_benefit, measure_study_benefit
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
