"""Options that several commands share: one name, one default and one meaning in all of them.

| option | value | default |
|---|---|---|
| ``--task`` | a task (bbnas tasks) | sr4; none where a study or a checkpoint knows its own |
| ``--space`` | a design space: a name or a YAML file | bbcu |
| ``--protocol`` | a training protocol: a name or a YAML file, with changes | proxy |
| ``--data`` | a folder, LQ_DIR:HQ_DIR, or embedded photographs (cc0, skimage) | cc0 |
| ``--data-root`` | the folder that holds the benchmark sets | $BBNAS_DATA |
| ``--storage`` | a database: a URL or a SQLite file | $BBNAS_STORAGE, or studies/, runs/ |
| ``--seed`` | a number | 0 |
| ``--workers`` | processes that train at the same time | all cores, or 4 for each GPU |
| ``--device`` | where a network runs | auto |
| ``--ray-address`` | the Ray cluster that workers run on, with limits on each of them | none |
| ``--lq``, ``--threads`` | what latency and costs are measured on | 320x180, 1 |
| ``--max-ops``, ``--max-params``, ``--max-latency`` | limits on the cost of a design | none |
| ``--pick`` | which candidate of a study | knee |
| ``-o``, ``--output`` | the file or folder that is written | told by the command |
| ``--csv`` | a file that the table is written to as well | none |
| ``--inline`` | an HTML page that holds plotly.js, instead of a file beside it | |
| ``-q``, ``--quiet`` | no progress on standard error | |
| ``--json`` | one JSON object on standard output instead of tables | |

A search, a benefit, a fidelity and an ablation resume by the same command; a training in full
resumes by ``--resume``. A recipe is edited by hand, so ``export`` replaces one by ``--force``
alone; everything else that a command writes, the same command writes again, and replaces.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from bbnas.cli.console import Count, Duration, Size
from bbnas.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])


class NameType(click.ParamType[str]):
    """A name that a shell completes, or, with ``files``, the path of a file."""

    def __init__(self, name: str, names: Callable[[], Iterable[str]], files: bool = True) -> None:
        self.name, self.names, self.files = name, names, files

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        known = [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]
        return known or ([CompletionItem(incomplete, type="file")] if self.files else [])


class Existing(click.Path):
    """A path that must exist: told before anything heavy is imported."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not Path(value).exists():
            raise UserError(f"{value}: no such file or folder; check the path")
        return super().convert(value, param, ctx)


class Output(click.Path):
    """A file or folder that is written, and its parent folders with it. Where they cannot be made
    is told before anything is computed.
    """

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        parent = next(folder for folder in Path(value).absolute().parents if folder.exists())
        if not parent.is_dir():
            raise UserError(f"{value}: {parent} is a file, no folder; name another place")
        if not os.access(parent, os.W_OK):
            raise UserError(f"{value}: {parent} may not be written to; name another place")
        return super().convert(value, param, ctx)


class Workers(click.IntRange):
    """A number of processes, or auto for the default."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return None if value == "auto" else super().convert(value, param, ctx)


class CheckpointOrName(Existing):
    """A file that must exist, or the name of a model, a baseline or a preset: it has no suffix."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return super().convert(value, param, ctx) if Path(value).suffix else value


def _tasks() -> Iterable[str]:
    from bbnas.tasks import TASKS

    return TASKS


def _protocols() -> Iterable[str]:
    from bbnas.protocol import PROTOCOLS

    return PROTOCOLS


def _presets() -> Iterable[str]:
    from bbnas.presets import PRESETS

    return PRESETS


def _spaces() -> Iterable[str]:
    from bbnas.resources import builtin

    return builtin("search_spaces")


def _ablations() -> Iterable[str]:
    from bbnas.resources import builtin

    return builtin("ablations")


def _models() -> Iterable[str]:
    from bbnas.models import names

    return names()


def _studies() -> Iterable[str]:
    from bbnas.store import study_names

    return study_names()


TASK = NameType("task", _tasks, files=False)
SPACE = NameType("space", _spaces)
PROTOCOL = NameType("protocol", _protocols)
DESIGN = NameType("design", _presets)
STUDY = NameType("study", _studies)
ABLATION = NameType("ablation", _ablations)
MODEL = NameType("model", _models)
TABLE = NameType("table", lambda: (f"table{number}" for number in range(1, 7)), files=False)

as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on standard output instead."
)
quiet = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
task = click.option(
    "--task",
    type=TASK,
    default="sr4",
    show_default=True,
    help="Restoration task, such as sr4, denoise25 or jpeg10; bbnas tasks lists them.",
)
space = click.option(
    "--space",
    type=SPACE,
    default="bbcu",
    show_default=True,
    help="Design space: a name of bbnas space list, or a YAML file.",
)
PROTOCOL_HELP = "Training protocol: a name or a YAML file, with changes: proxy,iterations=500."
protocol = click.option(
    "--protocol", type=PROTOCOL, default="proxy", show_default=True, help=PROTOCOL_HELP
)
device = click.option(
    "--device",
    metavar="DEVICE",
    default="auto",
    show_default=True,
    help="Where networks run: auto, cpu, cuda or cuda:N; auto is a GPU if there is one.",
)
DATA_HELP = (
    "Images to train and validate on: a folder, LQ_DIR:HQ_DIR, or embedded photographs: cc0, "
    "skimage."
)
data = click.option(
    "--data",
    type=click.Path(),
    metavar="DATA",
    show_default="cc0, the embedded photographs",
    help=DATA_HELP,
)
data_root = click.option(
    "--data-root",
    type=click.Path(),
    show_default="$BBNAS_DATA",
    help="Folder that holds the benchmark sets.",
)
workers = click.option(
    "--workers",
    type=Workers(min=1),
    metavar="N|auto",
    show_default="auto: all cores, or 4 for each GPU; on a cluster, what it has room for",
    help="Number of processes that train at the same time.",
)
sampler = click.option(
    "--sampler",
    metavar="SAMPLER",
    default="ehvi",
    show_default=True,
    help="Sampler that proposes designs: ehvi, tpe, nsga2, nsga3, gp or random.",
)
seed = click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Seed of all random choices: of the designs and of the trainings.",
)
csv = click.option(
    "--csv", "csv_file", type=Output(), help="File that the table is written to as CSV."
)
inline = click.option(
    "--inline", is_flag=True, help="Put plotly.js into the HTML page instead of beside it."
)
pick = click.option(
    "--pick",
    metavar="CANDIDATE",
    default="knee",
    show_default=True,
    help="Candidate that is taken: knee, best-psnr or 'trial N'.",
)
lq = click.option(
    "--lq",
    type=Size(),
    default="320x180",
    show_default=True,
    help="Size in pixels of the LQ image that costs and latency count for.",
)


def cluster(command: F) -> F:
    """The options of a :class:`bbnas.runs.placement.Placement`."""
    added = (
        click.option(
            "--ray-address",
            metavar="HOST:PORT|auto",
            help="Running Ray cluster to train on; auto is that of RAY_ADDRESS or this machine.",
        ),
        click.option(
            "--cpus-per-worker",
            type=float,
            default=1.0,
            show_default=True,
            help="Cores that Ray reserves for each worker.",
        ),
        click.option(
            "--gpus-per-worker",
            type=float,
            show_default="an even share; on a cluster none",
            help="Part of a GPU for each worker, such as 0.25; 0 trains on CPUs.",
        ),
        click.option(
            "--candidate-timeout",
            type=Duration(),
            help="Longest time to a candidate's next rung or end, such as 10min; it then counts "
            "as failed.",
        ),
        click.option(
            "--candidate-memory",
            type=Count(),
            help="Most bytes that a candidate may allocate, such as 4G (Linux).",
        ),
        click.option(
            "--max-retries",
            type=click.IntRange(min=0),
            default=2,
            show_default=True,
            help="Number of times that a candidate whose worker is gone is trained again.",
        ),
        click.option(
            "--same-kernels",
            is_flag=True,
            help="Use only nodes of the cluster that train with the kernels of this machine.",
        ),
        click.option(
            "--insecure-ray",
            is_flag=True,
            help="Join a cluster of several machines that asks for no token.",
        ),
    )
    for option in reversed(added):
        command = option(command)
    return command


def storage(default: str = "studies/STUDY.db") -> Callable[[F], F]:
    """``--storage``, whose default differs by what a command keeps."""
    return click.option(
        "--storage",
        metavar="DATABASE",
        envvar="BBNAS_STORAGE",
        show_default=f"$BBNAS_STORAGE, else {default}",
        help="Database: the path of a SQLite file, or a URL such as postgresql://user@host/name.",
    )


def at(storage: str | None) -> str:
    """`` --storage DATABASE`` for a command that is printed, without a password; empty where it
    is not needed.
    """
    if storage is None or storage == os.environ.get("BBNAS_STORAGE"):
        return ""
    from bbnas.store import storage_shown

    return f" --storage {shlex.quote(storage_shown(storage))}"


def output(what: str, default: str = "", required: bool = False) -> Callable[[F], F]:
    """``-o``: ``what`` is written, and where unless said otherwise."""
    return click.option(
        "-o",
        "--output",
        type=Output(),
        required=required,
        show_default=default or False,
        help=what,
    )


def latency_setting(command: F) -> F:
    """``--lq`` and ``--threads``: what latency is measured on."""
    threads = click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Number of threads that latency is measured with.",
    )
    return lq(threads(command))


def limits(command: F) -> F:
    """``--max-ops``, ``--max-params`` and ``--max-latency``."""
    ops = click.option(
        "--max-ops", type=Count(), help="Upper limit on the OPs of a design, such as 5G."
    )
    params = click.option(
        "--max-params", type=Count(), help="Upper limit on the Params of a design, such as 100K."
    )
    latency = click.option(
        "--max-latency",
        type=Duration(),
        help="Upper limit on the latency on this machine, such as 50ms or 0.2s.",
    )
    return ops(params(latency(command)))
