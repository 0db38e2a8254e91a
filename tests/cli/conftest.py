"""A folder with one study of four designs, and the command in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from bbnas.cli import main
from tests.cli.small import PROTOCOL, SEARCH, SPACE, Run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one study of four designs, as a user leaves it."""
    folder = tmp_path_factory.mktemp("home")
    before = Path.cwd()
    os.chdir(folder)
    try:
        Path("tiny.yaml").write_text(yaml.safe_dump(PROTOCOL))
        Path("small.yaml").write_text(yaml.safe_dump(SPACE))
        assert main([*SEARCH, "--budget", "4", "--quiet"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def at_home(home: Path, capsys, monkeypatch) -> Run:
    """The command in that folder: exit code, standard output, standard error."""
    monkeypatch.chdir(home)

    def command(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(args)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command
