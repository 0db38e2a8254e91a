"""``bbnas models``: list, show, fetch, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table

if TYPE_CHECKING:
    from bbnas.models import Card


@click.group()
def models() -> None:
    """List, show, copy and check trained models of bbnas."""


@models.command("list")
@options.as_json
def models_list(as_json: bool) -> None:
    """List the models with their designs, bytes, hours of training and scores."""
    from bbnas.models import models as all_models

    found = all_models()
    if as_json:
        print_json({"models": [_content(name, each) for name, each in found.items()]})
        return
    rows = [
        (
            name,
            each.design.label(),
            f"{each.bytes:,}",
            f"{each.hours:.1f}",
            "\n".join(
                f"{task}: " + ", ".join(f"{images} {f.psnr:.2f}" for images, f in sets.items())
                for task, sets in each.scores.items()
            ),
        )
        for name, each in found.items()
    ]
    print_table(("model", "design", "bytes", "hours", "PSNR (dB)"), rows)
    click.echo("next: bbnas restore IMAGES --model NAME -o FOLDER")


@models.command("show")
@click.argument("name", type=options.MODEL)
@click.option("--recipe", is_flag=True, help="Print the recipe for bbnas train instead.")
@options.as_json
def models_show(name: str, recipe: bool, as_json: bool) -> None:
    """Print how model NAME was made, and its scores beside those of the paper."""
    from bbnas.models import card, names
    from bbnas.paper import beside_printed
    from bbnas.tasks import get_task

    name = names().get(name, name)
    found = card(name)
    if recipe:
        click.echo(found.recipe.to_yaml(), nl=False)
        return
    beside = {
        task: beside_printed(get_task(task), {images: f.psnr for images, f in sets.items()})
        for task, sets in found.scores.items()
    }
    if as_json:
        rows = {task: [row._asdict() for row in rows] for task, rows in beside.items()}
        print_json(_content(name, found) | {"beside_printed": rows})
        return
    protocol = found.protocol
    facts = (
        ("task", found.task),
        ("design", found.design.label()),
        (
            "training",
            (
                f"{found.iterations:,} of {protocol.iterations:,} iterations of {protocol.batch} "
                f"patches of {protocol.patch}², rate {protocol.learning_rate:g} "
                f"{protocol.schedule}"
            ),
        ),
        ("hours", f"{found.hours:.1f} on {found.environment.get('cpu', '?')}"),
        ("data", f"{found.data} ({found.fingerprint})"),
        ("date", found.date),
        ("bytes", f"{found.bytes:,}"),
        ("SHA-256", found.sha256),
    )
    print_table(("", name), facts)
    lines = [
        (
            task,
            row.images,
            f"{row.psnr:.2f}",
            f"{row.psnr - found.scores[task][row.images].baseline:+.2f}",
            "–" if row.printed is None else f"{row.row} {row.printed:.2f}",
            "–" if row.gap is None else f"{row.gap:+.2f}",
        )
        for task, rows in beside.items()
        for row in rows
    ]
    against = f"against {get_task(found.task).baseline}"
    columns = ("task", "set", "PSNR (dB)", against, "in print", "difference")
    print_table(columns, lines, labels=2)


@models.command("fetch")
@click.argument("name", type=options.MODEL)
@options.output("File that is written.", default="NAME.bbn")
def models_fetch(name: str, output: str | None) -> None:
    """Copy the file of model NAME, for another machine."""
    from bbnas.files import write_output
    from bbnas.models import model_file, names, verify

    verify(names().get(name, name))
    file = write_output(output or f"{name}.bbn", model_file(name).read_bytes())
    click.echo(f"{file}: {file.stat().st_size:,} bytes")


@models.command("verify")
@click.argument("names", nargs=-1, type=options.MODEL)
def models_verify(names: tuple[str, ...]) -> None:
    """Check the SHA-256 and the content of models NAMES, or of all."""
    from bbnas.models import models as all_models
    from bbnas.models import names as all_names
    from bbnas.models import verify

    for name in dict.fromkeys(all_names().get(name, name) for name in names) or all_models():
        verify(name)
        click.echo(f"{name}: as its card says")


@models.command("add")
@click.argument("name")
@click.argument("checkpoint", type=options.Existing())
@options.data_root
@click.option(
    "--folder", type=options.Output(), help="Folder of the models.  [default: (the package's)]"
)
def models_add(name: str, checkpoint: str, data_root: str | None, folder: str | None) -> None:
    """Pack and score CHECKPOINT as model NAME, for those who maintain bbnas."""
    from bbnas.models import FOLDER
    from bbnas.training.publishing import publish

    card = publish(name, checkpoint, data_root, folder or FOLDER)
    click.echo(f"{name}: {card.bytes:,} bytes; next: python docs/build.py models")


def _content(name: str, card: Card) -> dict[str, object]:
    return {"name": name, **card.model_dump(mode="json")}
