"""The command restore: images by a trained network."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import print_json
from bbnas.errors import UserError


@click.command()
@click.argument("checkpoint", type=click.Path())
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="A folder, or one file.")
@click.option("--tile", type=click.IntRange(min=16), help="Restore in tiles of so many pixels.")
@options.device
@options.as_json
def restore(
    checkpoint: str,
    images: tuple[str, ...],
    output: str,
    tile: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Restore IMAGES (files or folders, any size) with a trained CHECKPOINT or a packed .bbn."""
    from bbnas.inference import Restored, restore_files

    size = {} if tile is None else {"tile": tile}
    done: list[Restored] = []
    failed: list[Restored] = []
    for item in restore_files(checkpoint, images, output, device, **size):
        (failed if item.output is None else done).append(item)
        if item.output is None:
            click.echo(f"skipped: {item.error}", err=True)
        elif not as_json:
            click.echo(f"{item.source} -> {item.output}")
    if as_json:
        print_json(
            {"restored": [i._asdict() for i in done], "skipped": [i._asdict() for i in failed]}
        )
    if failed:
        raise UserError(f"{len(failed)} of {len(done) + len(failed)} images were skipped")
