"""``bbnas restore``."""

from __future__ import annotations

import sys

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, tell_skipped
from bbnas.cli.progress import restore_progress
from bbnas.errors import UserError
from bbnas.signals import keeps


@click.command()
@click.argument("images", nargs=-1, required=True, type=options.Existing())
@options.output("Folder of the restored images, or the file of one.", required=True)
@click.option(
    "--model",
    type=options.MODEL,
    help="A model of bbnas models list, a packed .bbn, or a checkpoint.  [default: (sr4)]",
)
@click.option(
    "--tile",
    type=click.IntRange(min=16),
    help="Side of the tiles that large images are restored in, in LQ pixels, such as 256.",
)
@options.device
@options.quiet
@options.as_json
def restore(
    images: tuple[str, ...],
    output: str,
    model: str | None,
    tile: int | None,
    device: str,
    quiet: bool,
    as_json: bool,
) -> None:
    """Restore IMAGES with a trained model.

    IMAGES are files or folders, of any size. A folder holds what --data would read, and
    low-resolution copies; what is left out is named.
    """
    from bbnas.inference import Restored
    from bbnas.inference import restore as restore_images
    from bbnas.models import DEFAULT, model_file
    from bbnas.tiling import TILE

    if model is None:
        model = DEFAULT
        click.echo(f"model {DEFAULT}; bbnas models list shows others", err=True)
    file = model_file(model)
    if not file.exists():
        raise UserError(f"--model {model}: neither a file nor a model of bbnas models list")

    keeps(f"the images that are in {output} already are kept; the same command does all again")

    def show(item: Restored) -> None:
        # By print: click would write across the panel of the progress.
        if item.error:
            print(f"skipped: {item.error}", file=sys.stderr)
        elif item.output is not None and not as_json:
            note = f" ({item.note})" if item.note else ""
            print(f"{item.source} -> {item.output}{note}")

    with restore_progress(quiet) as on_progress:
        restored = restore_images(file, images, output, device, tile or TILE, show, on_progress)
    done = [item for item in restored if item.output is not None]
    failed = [item for item in restored if item.error]
    left_out = [item for item in restored if item.output is None and not item.error]
    if as_json:
        print_json(
            {
                "restored": [item._asdict() for item in done],
                "skipped": [item._asdict() for item in failed],
                "left_out": [item._asdict() for item in left_out],
            }
        )
    if left_out:
        tell_skipped([(str(item.source), item.note) for item in left_out])
    if failed:
        raise UserError(f"{len(failed)} of {len(done) + len(failed)} images were skipped")
