from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("text", "count"), [("5G", 5e9), ("100K", 1e5), ("1.5e9", 1.5e9), ("250 m", 2.5e8), ("7", 7)]
)
def test_counts_take_si_prefixes(text, count) -> None:
    from bbnas.cli.console import Count

    assert Count().convert(text, None, None) == count


@pytest.mark.parametrize("text", ["0", "-5G", "5GB", "lots", "", "1e999"])
def test_what_is_no_count_is_refused(text) -> None:
    import click

    from bbnas.cli.console import Count

    with pytest.raises(click.UsageError, match="such as 5G"):
        Count().convert(text, None, None)


def test_json_holds_null_where_a_number_is_not_finite(capsys) -> None:

    from bbnas.cli.console import print_json

    print_json({"a": float("nan"), "b": [np.float32(1.5), np.inf], "c": np.int64(3), "d": ("x",)})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.5, None], "c": 3, "d": ["x"]}


def test_a_fault_is_one_line_that_says_how_to_see_more(capsys) -> None:
    from bbnas.cli.console import guarded

    def fault() -> None:
        raise ZeroDivisionError("by\nzero")

    assert guarded(fault, debug=False) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "unexpected ZeroDivisionError: by zero" in err
    assert "--debug" in err
    assert guarded(fault, debug=True) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_one_line(capsys) -> None:
    from bbnas.cli.console import guarded

    def write() -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x")

    assert guarded(write, debug=False) == 2
    assert capsys.readouterr().err.startswith("error: No space left on device; free some space")


def test_an_interruption_is_130(capsys) -> None:
    from bbnas.cli.console import guarded

    def stop() -> None:
        raise KeyboardInterrupt

    assert guarded(stop, debug=False) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_columns_that_do_not_fit_follow_with_their_labels(capsys) -> None:
    from bbnas.cli.console import print_table

    figures = [f"{number}.25/0.{number}" for number in range(1000, 1012)]
    heads = ["name", *(f"set {number}" for number in range(12))]
    print_table(heads, [("a [1]", *figures), ("b", *figures)])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 120
    for label in ("a [1]", "b"):
        lines = [line for line in out.splitlines() if line.strip().startswith(f"{label} ")]
        assert len(lines) == 2
        assert " ".join(line.strip().removeprefix(label) for line in lines).split() == figures


def test_a_figure_wider_than_the_table_is_wrapped_not_cut(capsys) -> None:
    from bbnas.cli.console import print_table

    path = "/".join(f"folder{number}" for number in range(30))
    print_table(["name", "path"], [("a", path)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 120
    assert "".join("".join(line.split()) for line in lines[3:]).removeprefix("a") == path
