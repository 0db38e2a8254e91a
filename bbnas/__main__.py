"""The command as a process: ``python -m bbnas``, and ``bbnas``, which is the same."""

from __future__ import annotations

import sys

from bbnas.signals import run_until_signal


def main() -> int:
    """Run the command line of this process and return its exit code."""
    return run_until_signal(_run)


def _run() -> int:
    # Imported here: a signal may come while this takes its time.
    from bbnas.cli import main as run
    from bbnas.cli.console import encode_anything
    from bbnas.files import remove_abandoned

    encode_anything()
    remove_abandoned()
    return run()


if __name__ == "__main__":
    sys.exit(main())
