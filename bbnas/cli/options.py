"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bbnas.cli.console import Count, Duration, Size

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
task = click.option("--task", default="sr4", show_default=True, help="See: bbnas tasks.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress.")
device = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."
)
data = click.option("--data", help="Folder of images. [default: the embedded photographs]")
workers = click.option("--workers", type=click.IntRange(min=1), help="Processes. [default: cores]")
storage = click.option("--storage", help="Database URL. [default: sqlite:///studies/STUDY.db]")


def latency_setting(command: F) -> F:
    """``--lq`` and ``--threads``: what latency is measured on."""
    lq = click.option(
        "--lq",
        type=Size(),
        default="320x180",
        show_default=True,
        help="The LQ image that costs are told for.",
    )
    threads = click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Threads that latency is measured on.",
    )
    return lq(threads(command))


def limits(command: F) -> F:
    """``--max-ops``, ``--max-params`` and ``--max-latency``."""
    ops = click.option("--max-ops", type=Count(), help="At most so many OPs, such as 5G.")
    params = click.option("--max-params", type=Count(), help="At most so many Params: 100K.")
    latency = click.option(
        "--max-latency", type=Duration(), help="At most so long on this machine: 50ms, 0.2s."
    )
    return ops(params(latency(command)))
