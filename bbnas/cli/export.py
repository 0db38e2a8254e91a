"""``bbnas export``."""

from __future__ import annotations

from pathlib import Path

import click

from bbnas.cli import options
from bbnas.cli.console import print_json
from bbnas.errors import UserError


@click.command()
@click.argument("study", type=options.STUDY)
@options.storage()
@options.pick
@options.limits
@options.data
@options.output("Recipe that is written, a YAML file.", "recipes/STUDY.yaml")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
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
    """Write the recipe of the recommended design of a STUDY.

    bbnas train trains it in full, by the paper's protocol.
    """
    from bbnas.analysis.export import export as export_recipe
    from bbnas.files import write_output
    from bbnas.store import open_study

    found = open_study(study, storage)
    recipe = export_recipe(found, pick, max_ops, max_params, max_latency, data)
    path = Path(output or f"recipes/{found.config.name}.yaml")
    if path.exists() and not force:
        raise UserError(f"{path} exists: replace it with --force, or name another with -o")
    write_output(path, recipe.to_yaml())
    if as_json:
        print_json({"path": path, "recipe": recipe})
    else:
        click.echo(f"{recipe.design.label()}\nwrote {path}\nnext: bbnas train {path}")
