"""What the commands read and print: option types, tables, one JSON object, one-line errors."""

from __future__ import annotations

import codecs
import errno
import io
import json
import math
import os
import re
import select
import signal
import sys
import textwrap
import traceback
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bbnas import signals
from bbnas.errors import UserError
from bbnas.text import to_json

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from bbnas.data import Dataset

# Files named one by one that were skipped; the rest are counted.
SKIPPED_NAMES = 20
# Columns of a table in a pipe or a file, where no terminal says how many there are.
PIPE_WIDTH = 120
# Characters up to which a cell is not wrapped: a figure and its mark, "27.18/0.7804 [3]".
WHOLE = 16
_PREFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


class Count(click.ParamType[float]):
    """A positive count with an SI prefix: ``5G``, ``100K``, ``1.5e9``."""

    name = "count"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        match = re.fullmatch(r"(\d+\.?\d*(?:[eE]\+?\d+)?)\s*([KMGT]?)", str(value).upper().strip())
        number = float(match[1]) * _PREFIXES[match[2]] if match else 0.0
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is not a count above 0, such as 5G, 100K or 1.5e9", param, ctx)
        return number


class Duration(click.ParamType[float]):
    """A time above 0 with its unit, in seconds: ``50ms``, ``0.2s``, ``10min``, ``2h``."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        match = re.fullmatch(r"(\d+\.?\d*)\s*(ms|s|min|h)", str(value).lower().strip())
        seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} is not a time above 0, such as 50ms or 0.2s", param, ctx)
        return seconds


class Size(click.ParamType[tuple[int, int]]):
    """WIDTHxHEIGHT in pixels."""

    name = "WxH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not a size in pixels such as 320x180", param, ctx)
        return int(match[1]), int(match[2])


class Names(click.ParamType[tuple[str, ...]]):
    """Names separated by commas."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(name.strip() for name in str(value).split(",") if name.strip())


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", labels: int = 1
) -> None:
    """A table on standard output, as wide as the terminal, or ``PIPE_WIDTH``: text that does not
    fit is wrapped, never cut; numbers are right-aligned; NaN and None are a dash.

    Columns that do not fit side by side follow in a further table, which repeats the first
    ``labels`` columns.
    """
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    unlimited = console.options.update(max_width=10_000)
    rows = [tuple(row) for row in rows]

    def part(chosen: Sequence[int], broken_heads: bool) -> RichTable:
        cells = [[row[i] for i in chosen] for row in rows]
        return _table([columns[i] for i in chosen], cells, broken_heads)

    def fits(chosen: Sequence[int]) -> bool:
        return console.measure(part(chosen, True), options=unlimited).minimum <= console.width

    if title:
        click.echo(title)
    left = list(range(labels, len(columns)))
    while True:
        shown = [*range(min(labels, len(columns))), *left[:1]]
        left = left[1:]
        while left and fits([*shown, left[0]]):
            shown.append(left.pop(0))
        table = part(shown, False)
        if console.measure(table, options=unlimited).maximum > console.width:
            table = part(shown, True)
        if not fits(shown):  # a single figure is too wide: even names and numbers are wrapped
            for column in table.columns:
                column.no_wrap, column.min_width = False, None
        with console.capture() as printed:
            console.print(table)
        click.echo("\n".join(line.rstrip() for line in printed.get().splitlines()))
        if not left:
            return


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], broken_heads: bool) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=box.SIMPLE_HEAD, show_header=any(columns), collapse_padding=True)
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in rows)
        cells = [_cell(row[index]) for row in rows]
        whole = all(len(cell) <= WHOLE or " " not in cell.strip() for cell in cells)
        head = column
        if whole and broken_heads:  # between words, to the width of the cells below
            words = column.split()
            width = max(map(len, [*cells, *words, "-"]))
            head = "\n".join(textwrap.wrap(column, width, break_on_hyphens=False))
        table.add_column(
            Text(head),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=numeric or whole,
            min_width=max(map(len, cells), default=0) if whole else None,
        )
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on standard output; NaN and infinities are null."""
    click.echo(json_as_encoded(to_json(content, indent=2)))


def json_as_encoded(text: str) -> str:
    """JSON whose signs are escaped where standard output cannot encode them."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]", lambda sign: json.dumps(sign[0])[1:-1], text)
    return text


def load_images(data: str | None) -> Dataset:
    """The images that ``--data`` names; what was skipped is named."""
    from bbnas.data import load_dataset

    dataset = load_dataset(data)
    if dataset.skipped:
        tell_skipped(dataset.skipped, f" in {data}")
    return dataset


def tell_skipped(skipped: Sequence[tuple[str, str]], where: str = "") -> None:
    """One line on standard error: the number of files that are left out, names and reasons."""
    named = [f"{name} ({reason})" for name, reason in skipped[:SKIPPED_NAMES]]
    more = len(skipped) - len(named)
    files = ", ".join([*named, f"{more} more"] if more else named)
    click.echo(f"left out {len(skipped)}{where}: {files}", err=True)


def encode_anything() -> None:
    """Let standard output and error take any text, whatever their encoding, or nowhere to go.

    Where a sign cannot be encoded, a plain one takes its place. The bytes of a file's name that
    are no text are written as they are.
    """
    # Under another name: click writes UTF-8 where it finds ASCII.
    codecs.register(lambda name: _ASCII if name == _ASCII.name else None)
    codecs.register_error("bbnas", _plain_signs)
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - closed by >&-
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            ascii_only = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding=_ASCII.name if ascii_only else None, errors="bbnas")


_plain = codecs.lookup("ascii")
_ASCII = codecs.CodecInfo(
    _plain.encode,
    _plain.decode,
    _plain.streamreader,
    _plain.streamwriter,
    _plain.incrementalencoder,
    _plain.incrementaldecoder,
    name="bbnas_ascii",
)
_SIGNS = {
    "–": "-", "—": "-", "−": "-", "─": "-", "×": "x", "·": "*", "⊛": "*", "÷": "/", "±": "+/-",
    "≥": ">=", "≤": "<=", "≈": "~", "→": "->", "←": "<-", "↓": "v", "↑": "^", "↕": "|", "★": "*",
    "▸": ">", "▾": "v", "∞": "inf", "√": "sqrt ", "§": "section ", "µ": "u",
    "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip


def _plain_signs(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if "\udc80" <= sign <= "\udcff":  # a byte of a file's name
        return bytes([ord(sign) - 0xDC00]), error.start + 1
    simple = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    words = unicodedata.name(sign, "").split()
    greek = words[-1].lower() if "GREEK" in words else ""
    return _SIGNS.get(sign) or simple or greek or "?", error.start + 1


def guarded(run: Callable[[], Any], debug: bool) -> int:
    """The exit code of ``run``: every failure is one line on standard error.

    2 is the user's to mend, 1 is a fault of bbnas. 130 is an interruption, 143 one by SIGTERM
    (:mod:`bbnas.signals`). 141 is an output whose reader has gone, as after ``| head``: git and
    the core utilities are then ended by SIGPIPE, which a shell tells as 128 + 13. With ``debug``
    faults and bad input show their traceback as well.
    """
    signals.keeps("")
    try:
        result = run()
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BaseException as error:  # the last resort, shown in full with --debug
        # A library may have turned the interruption into an error of its own.
        if signals.received() or isinstance(error, KeyboardInterrupt | click.Abort):
            signals.tell()
            return 128 + (signals.received() or signal.SIGINT)
        if isinstance(error, BrokenPipeError | SystemExit) and _reader_gone():
            # What Python still wants to flush at its end goes nowhere.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(nowhere, stream)
            return 128 + signal.SIGPIPE
        if isinstance(error, SystemExit):
            raise
        return _failure(error, debug)


def _reader_gone() -> bool:
    """Whether standard output or error is a pipe that nobody reads."""
    streams = select.poll()
    for stream in (1, 2):
        streams.register(stream, 0)  # errors are told without asking
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in streams.poll(0))


def _failure(error: BaseException, debug: bool) -> int:
    """Print why a command failed; its exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return 0
    code, hint = 2, ""
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "bbnas"
        text = f"{error.format_message().rstrip('. ')} (see {command} --help)"
    elif isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, UserError):
        text = str(error)
    elif isinstance(error, OSError):
        text = _disk(error)
    else:
        code, hint = 1, "" if debug else "; run again with --debug for the traceback"
        text = f"unexpected {type(error).__name__}: {str(error).strip() or 'no message'}"
    if debug:
        traceback.print_exc()
    click.echo(f"error: {' '.join(text.split())}{hint}", err=True)
    return code


_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "check its permissions or choose another place",
    errno.ENOENT: "check the path",
}


def _disk(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{where}{error.strerror or error}" + (f"; {remedy}" if remedy else "")
