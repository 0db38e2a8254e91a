"""``bbnas doctor``."""

from __future__ import annotations

import click

from bbnas.cli import options
from bbnas.cli.console import print_json, print_table


@click.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Show the compiled code that this machine runs, and why.

    Packed models and training use it.
    """
    from bbnas.engine.doctor import examine

    found = examine()
    if as_json:
        print_json(found)
        return
    able = [name for name, runs in found["isas"].items() if runs]
    state = {None: "", True: ", up to date", False: ", older than its sources: install again"}
    lines = [
        ("engine", f"{found['path']}{': ' + found['isa'] if found['isa'] else ''}"),
        ("because", found["reason"]),
        ("instruction sets", ", ".join(able) or "none"),
        ("library", f"{found['library'] or 'none'}{state[found['current']]}"),
        ("compiler", found["compiler"] or "none found"),
        ("processor", f"{found['cpu']}, {found['cores']} cores"),
    ]
    print_table(("", ""), lines)
