"""``bbnas dashboard``: address, port in use, end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bbnas.cli import main
from bbnas.errors import UserError


def _start(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bbnas", "dashboard", str(folder), "--port", "0", *options]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUTF8": "1"}
    )


def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    with _start(tmp_path) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        address = line.split(" at ")[1].split()[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert "interrupted" in process.stderr.read()


def test_other_machines_need_the_token(tmp_path: Path) -> None:
    with _start(tmp_path, "--host", "127.0.0.1") as process:
        assert process.stderr is not None
        address = process.stderr.readline().split(" at ")[1].split()[0]
        where, token = address.split("?token=")
        assert len(token) >= 32
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(where)
        process.terminate()
        process.wait(10)


def test_a_port_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["dashboard", str(tmp_path), "--port", str(port)]) == 2
    told = capsys.readouterr().err
    assert f"port {port}: in use" in told
    assert told.count("\n") == 1


def test_a_study_that_does_not_exist(tmp_path: Path, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    assert main(["dashboard", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err


def test_a_dashboard_beside_a_search_ends_with_it(tmp_path: Path) -> None:
    from bbnas.cli.dashboard import beside

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with beside(f"sqlite:///{tmp_path}/later.db", port, None):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/version") as answer:
            assert answer.status == 200
        with (
            pytest.raises(UserError, match="in use"),
            beside(f"sqlite:///{tmp_path}/later.db", port, None),
        ):
            pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/version")
