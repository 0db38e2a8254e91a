"""The command export: the recipe of the recommended design."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json
from bbnas.errors import UserError


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
