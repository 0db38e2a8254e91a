"""UserError: the exception that the user reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line stating the value, the rule and the remedy. The CLI exits with 2."""


def unknown(kind: str, value: object, choices: Iterable[str]) -> UserError:
    """The error for a name that is not in a registry, suggesting the nearest one that is."""
    names = [str(choice) for choice in choices]
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(value).lower(), lower, n=1, cutoff=0.4)
    hint = f"; did you mean {lower[near[0]]!r}?" if near else ""
    return UserError(f"unknown {kind} {str(value)!r}: choose from {', '.join(names)}{hint}")
