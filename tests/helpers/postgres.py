"""A PostgreSQL server for tests: Debian's programs, run as an ordinary user."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

PASSWORD = "s3cret"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    return found[-1].parent


class Server:
    """A server that asks for a password; ``url()`` is a new and empty database.

    It listens at ``host``, to which machines of the network ``allowed`` may connect.
    """

    def __init__(self, host: str = "127.0.0.1", allowed: str = "127.0.0.1/32") -> None:
        self.host = host
        self._bin = _programs()
        # The server refuses to run as root.
        self._user: dict[str, Any] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []}
            if os.getuid() == 0
            else {}
        )
        self.folder = Path(tempfile.mkdtemp(prefix="bbnas-test-pg-"))
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._user:
            for path in (self.folder, secret):
                shutil.chown(path, "postgres", "postgres")
        self._run("initdb", "-N", "-U", "me", "-A", "scram-sha-256", f"--pwfile={secret}")
        with socket.socket() as free:
            free.bind((host, 0))
            self.port = free.getsockname()[1]
        with (self.folder / "data" / "pg_hba.conf").open("a") as access:
            access.write(f"host all all {allowed} scram-sha-256\n")
        self._names = count()
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._bin / program, "-D", self.folder / "data", *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self._user)

    def start(self) -> None:
        command = [self._bin / "postgres", "-D", self.folder / "data", "-p", str(self.port)]
        command += ["-k", self.folder, "-c", f"listen_addresses={self.host}", "-c", "fsync=off"]
        with (self.folder / "log").open("ab") as log:
            # It outlives the test that restarts it: without the mark of that (drivers.py).
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd="/", env={}, **self._user
            )
        end = time.monotonic() + 30
        while True:
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.1)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it: SIGINT breaks off what is connected, SIGKILL gives it no chance to."""
        self._process.send_signal(number)
        self._process.wait(30)

    def url(self, password: str = f":{PASSWORD}") -> str:
        name = f"test{next(self._names)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return f"postgresql://me{password}@{self.host}:{self.port}/{name}"

    def _connect(self) -> psycopg.Connection[Any]:
        where = f"host={self.host} port={self.port} user=me password={PASSWORD} dbname=postgres"
        return psycopg.connect(where, autocommit=True)

    def close(self) -> None:
        if self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)
