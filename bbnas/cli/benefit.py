"""``bbnas benefit``."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import load_images, print_json, print_table
from bbnas.cli.progress import trainings_progress
from bbnas.errors import UserError


@click.command()
@click.argument("study", required=False, type=options.STUDY)
@click.option(
    "--task",
    type=options.TASK,
    help="Restoration task to measure instead of a STUDY, such as sr4.",
)
@click.option(
    "--protocol", type=options.PROTOCOL, show_default="proxy", help=options.PROTOCOL_HELP
)
@options.storage()
@options.data
@options.workers
@options.device
@options.quiet
@options.as_json
def benefit(
    study: str | None,
    task: str | None,
    protocol: str | None,
    storage: str | None,
    data: str | None,
    workers: int | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure the cost in PSNR of binarizing each part alone.

    VC and VP are the loss in PSNR per OPs and per Params saved. Of a STUDY, under its own protocol
    and images, or of a --task.
    """
    if (study is None) == (task is None):
        raise UserError("name either a STUDY or a --task, such as: bbnas benefit --task sr4")
    if study is not None and protocol is not None:
        raise UserError(
            f"--protocol {protocol}: a study is measured under its own protocol; leave it out"
        )

    from bbnas.analysis.benefit import benefit_frame, benefit_rows, study_benefit
    from bbnas.cost import printed
    from bbnas.data import embedded_name
    from bbnas.inference.device import workers_device
    from bbnas.protocol import load_protocol
    from bbnas.runs.benefit import benefit_requests
    from bbnas.runs.executors import TrainingEvaluator
    from bbnas.runs.train_all import study_evaluator, train_all
    from bbnas.store import open_store, open_study
    from bbnas.tasks import Part, get_task

    place = workers_device(device)
    if study is not None:
        opened = open_study(study, storage)
        config = opened.config
        rows = study_benefit(opened)
        title = f"study {config.name}: {config.protocol.name} protocol"
        if len(rows) < len(get_task(config.task).parts):
            images = load_images(data or embedded_name(config.data))
            evaluator = study_evaluator(config, images, place)
            store = open_store(storage, opened.storage)
            requests = benefit_requests(evaluator.task, config.protocol, config.space)
            with trainings_progress(quiet, store) as on_done:
                train_all(
                    requests, evaluator, store, study=config.name, workers=workers, on_done=on_done
                )
            rows = study_benefit(store.load_study(config.name))
    else:
        chosen = get_task(task or "")
        evaluator = TrainingEvaluator(
            chosen, load_protocol(protocol or "proxy"), load_images(data), place
        )
        by = evaluator.protocol
        title = f"{chosen.title}, {by.name} protocol, {evaluator.data_description}"
        with trainings_progress(quiet, None) as on_done:
            evaluations = train_all(
                benefit_requests(chosen, by), evaluator, None, workers=workers, on_done=on_done
            )
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
    click.echo("the lower VC and VP, the more a part is worth binarizing")
