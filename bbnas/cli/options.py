"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bbnas.cli.console import Count

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
task = click.option("--task", default="sr4", show_default=True, help="See: bbnas tasks.")
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress.")
device = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."
)
data = click.option("--data", help="Folder of images. [default: the embedded photographs]")
workers = click.option("--workers", type=int, help="Processes. [default: cores]")
storage = click.option("--storage", help="Database URL. [default: sqlite:///studies/STUDY.db]")


def limits(command: F) -> F:
    """``--max-ops`` and ``--max-params``."""
    ops = click.option("--max-ops", type=Count(), help="At most so many OPs, such as 5G.")
    params = click.option("--max-params", type=Count(), help="At most so many Params: 100K.")
    return ops(params(command))
