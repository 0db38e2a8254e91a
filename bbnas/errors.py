"""UserError: the exception that the user reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Bad input: one line stating the value, the rule and the remedy. The CLI exits with 2."""


def short(value: object, most: int = 80) -> str:
    """``value`` as a message shows it: its repr, cut after ``most`` characters."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def why(error: BaseException, most: int = 200) -> str:
    """The text of another library's error for a message: one line, cut after ``most``."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[: most - 1]}…"


def class_of(value: object) -> str:
    """The full name of a value's class, such as ``torch.nn.modules.conv.Conv2d``."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def unknown(kind: str, value: object, choices: Iterable[str]) -> UserError:
    """The error for a name that is not in a registry, suggesting the nearest one that is."""
    names = [str(choice) for choice in choices]
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(str(value).lower()[:100], lower, n=1, cutoff=0.4)
    hint = f"; did you mean {lower[near[0]]!r}?" if near else ""
    return UserError(f"unknown {kind} {short(str(value))}: choose from {', '.join(names)}{hint}")
