"""The ``bbnas`` command: thin, it parses, calls and prints.

Rooms are imported inside the commands, so that ``--help`` does not wait for torch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from bbnas import __version__
from bbnas.cli.ablation import ablation
from bbnas.cli.bench import bench
from bbnas.cli.benefit import benefit
from bbnas.cli.console import guarded
from bbnas.cli.cost import cost
from bbnas.cli.data import data
from bbnas.cli.design import design
from bbnas.cli.doctor import doctor
from bbnas.cli.evaluate import evaluate
from bbnas.cli.export import export
from bbnas.cli.export_model import export_model
from bbnas.cli.fidelity import fidelity
from bbnas.cli.findings import findings
from bbnas.cli.pack import pack
from bbnas.cli.paper import paper
from bbnas.cli.profile import profile
from bbnas.cli.report import report
from bbnas.cli.restore import restore
from bbnas.cli.search import search
from bbnas.cli.space import space
from bbnas.cli.tasks import tasks
from bbnas.cli.train import train


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for bad input, 1 for a fault."""
    words = list(sys.argv[1:] if args is None else args)
    # Wherever it stands: the hint to add it is read after a command was typed.
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    return guarded(lambda: cli.main(words, prog_name="bbnas", standalone_mode=False), debug)


class _InOrder(click.Group):
    """Lists commands in the order of use, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")
def cli() -> None:
    """Design-space exploration for binary image-restoration networks.

    search → report → export → train → evaluate → restore
    """


for _command in (
    search,
    report,
    findings,
    export,
    train,
    evaluate,
    restore,
    pack,
    export_model,
    benefit,
    fidelity,
    cost,
    profile,
    paper,
    ablation,
    tasks,
    space,
    design,
    data,
    bench,
    doctor,
):
    cli.add_command(_command)
