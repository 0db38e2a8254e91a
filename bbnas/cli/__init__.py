"""The ``bbnas`` command: it parses, calls and prints.

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
from bbnas.cli.compare import compare
from bbnas.cli.console import guarded
from bbnas.cli.cost import cost
from bbnas.cli.dashboard import dashboard
from bbnas.cli.data import data
from bbnas.cli.design import design
from bbnas.cli.doctor import doctor
from bbnas.cli.evaluate import evaluate
from bbnas.cli.export import export
from bbnas.cli.export_model import export_model
from bbnas.cli.fidelity import fidelity
from bbnas.cli.findings import findings
from bbnas.cli.import_ import import_
from bbnas.cli.measure import measure
from bbnas.cli.models import models
from bbnas.cli.pack import pack
from bbnas.cli.paper import paper
from bbnas.cli.profile import profile
from bbnas.cli.report import report
from bbnas.cli.restore import restore
from bbnas.cli.rivals import rivals
from bbnas.cli.search import search
from bbnas.cli.space import space
from bbnas.cli.store import store
from bbnas.cli.studies import studies
from bbnas.cli.tasks import tasks
from bbnas.cli.train import train
from bbnas.cli.workers import workers

# The commands under their headings in ``bbnas --help``, in the order of use.
GROUPS = {
    "Search": (search, studies, workers, dashboard, report, compare, findings, export, store),
    "Network": (models, restore, train, import_, evaluate, pack, export_model),
    "Measure and compare": (rivals, fidelity, benefit, cost, profile, measure, paper, ablation),
    "Look up": (tasks, space, design, data),
    "Machine": (bench, doctor),
}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for bad input, 1 for a fault."""
    words = list(sys.argv[1:] if args is None else args)
    # Wherever it stands: the hint to add it is read after a command was typed.
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    return guarded(lambda: cli.main(words, prog_name="bbnas", standalone_mode=False), debug)


# \b keeps click from wrapping the lines below it.
HELP = """Find small 1-bit networks that restore images, train them and run them.

\b
Two commands to start:
  bbnas search                train 200 designs for super-resolution by a short protocol
  bbnas report bbcu-sr4-s0    write what was found as a page
"""


class _Grouped(click.Group):
    """Lists its commands under headings."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                limit = formatter.width - 6 - width
                rows = [(str(c.name).ljust(width), c.get_short_help_str(limit)) for c in commands]
                formatter.write_dl(rows)


@click.group(
    cls=_Grouped,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Shell completion: eval "$(_BBNAS_COMPLETE=bash_source bbnas)"',
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")
def cli() -> None: ...


for _commands in GROUPS.values():
    for _command in _commands:
        cli.add_command(_command)
