"""Standard output and error as others have them: closed, read in part, or in another encoding."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bbnas.cli import main
from bbnas.cli.console import encode_anything
from tests.cli.small import SEARCH

ENVIRON = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
COMMAND = f"{sys.executable} -m bbnas"

# What prints without long work, where "first" is a study.
PRINTS = (
    "--help",
    "search --help",
    "tasks",
    "space list",
    "space show bbcu",
    "design list",
    "design show bbcu-m",
    "cost bbcu-m",
    "data list",
    "ablation list",
    "ablation show table4_units",
    "paper table1",
    "paper table4 --format csv",
    "paper table3 --format html",
    "paper table6 --format markdown",
    "doctor",
    "studies list",
    "studies show first",
    "findings first",
    "profile bbcu-m --lq 32x32",
    "export first -o recipe.yaml --force",
    "report first --no-pictures --repeats 0 -o page.html --csv page.csv",
    " ".join((*SEARCH, "--budget", "4")),
)


@pytest.mark.parametrize("words", PRINTS)
@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_any_encoding_of_the_output_will_do(
    words: str, encoding: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    encode_anything()
    code = main(words.split())
    sys.stdout.flush()
    assert code == 0
    text = written.getvalue().decode(encoding)
    assert text
    text = re.sub("<script>.*?</script>", "", text, flags=re.DOTALL)  # where ? is an operator
    assert "?" not in text.replace("do to a network whose body is 1-bit?", "")


def test_json_is_the_same_object_in_any_encoding(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(home)
    assert main(["paper", "table1", "--json"]) == 0
    whole = capsys.readouterr().out
    assert not whole.isascii()
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    encode_anything()
    assert main(["paper", "table1", "--json"]) == 0
    sys.stdout.flush()
    assert json.loads(written.getvalue().decode("ascii")) == json.loads(whole)


def test_the_bytes_of_a_file_name_are_printed_as_they_are(tmp_path: Path) -> None:
    name = b"dossi\xe9 \xc3\x97.yaml"  # not UTF-8, which is the name of the file all the same
    for encoding in ("utf-8", "ascii"):
        found = subprocess.run(
            [sys.executable, "-m", "bbnas", "cost", name],
            check=False,
            cwd=tmp_path,
            env=ENVIRON | {"PYTHONIOENCODING": encoding},
            capture_output=True,
            timeout=60,
        )
        assert found.returncode == 2
        assert found.stderr.startswith(b"error: dossi\xe9")
        assert found.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", ["--help", "space show bbcu", "space show bbcu --json"])
@pytest.mark.parametrize("streams", [("stdout",), ("stdout", "stderr")])
def test_a_reader_that_goes_is_no_error(words: str, streams: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    into: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    found = subprocess.run(
        [sys.executable, "-m", "bbnas", *words.split()],
        check=False,
        env=ENVIRON,
        timeout=60,
        **into | dict.fromkeys(streams, writer),
    )
    os.close(writer)
    # As a shell tells of git and the core utilities, which SIGPIPE ends: 128 + 13.
    assert found.returncode == 141
    assert not found.stderr


def test_bad_input_is_told_though_nobody_reads_the_output() -> None:
    found = subprocess.run(
        ["bash", "-c", f"{COMMAND} design show nope | true; exit ${{PIPESTATUS[0]}}"],
        check=False,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("error: unknown preset")


def test_a_closed_output_goes_nowhere() -> None:
    found = subprocess.run(
        ["bash", "-c", f"{COMMAND} design list >&-"],
        check=True,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.stderr == ""
