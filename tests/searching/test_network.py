"""The network between a search, its database and its nodes is cut for a while."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from drivers import Driver, evaluated
from postgres import Server

from bbnas.store import Store

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("leaves_nothing"),
]
HERE, THERE = "10.77.0.1", "10.77.0.2"  # this machine, and the other
NAME = f"bbnas{os.getpid() % 10_000}"


def reach(host: str, port: int) -> None:
    """Wait until something listens there."""
    end = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.2)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class Other:
    """Another machine: a network namespace with a cable to this one."""

    within = ("ip", "netns", "exec", NAME)

    def cut(self, seconds: float) -> None:
        run("ip", "link", "set", f"{NAME}h", "down")
        time.sleep(seconds)
        run("ip", "link", "set", f"{NAME}h", "up")


@pytest.fixture
def other() -> Iterator[Other]:
    try:
        run("ip", "netns", "add", NAME)
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("network namespaces are made by root alone")
    try:
        run("ip", "link", "add", f"{NAME}h", "type", "veth", "peer", "name", "eth0", "netns", NAME)
        run("ip", "addr", "add", f"{HERE}/24", "dev", f"{NAME}h")
        run("ip", "link", "set", f"{NAME}h", "up")
        inside = ("ip", "-n", NAME)
        run(*inside, "addr", "add", f"{THERE}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            run(*inside, "link", "set", device, "up")
        yield Other()
    finally:
        subprocess.run(["ip", "netns", "del", NAME], check=True)


@pytest.fixture
def server(other: Other) -> Iterator[Server]:
    found = Server(HERE, f"{HERE}/24")
    yield found
    found.close()


@pytest.mark.parametrize("seconds", [10, 75])
def test_a_search_and_its_server(
    other: Other, server: Server, tmp_path: Path, tell: Callable[[str], None], seconds: int
) -> None:
    url, log = server.url(), tmp_path / "log"
    budget = 40 + 4 * seconds
    options = {"storage": url, "formula": {"seconds": 0.25}}
    far = Driver(tmp_path, budget, within=other.within, **options)
    far.wait_for(lambda: evaluated(log).total() > 5)
    near = Driver(tmp_path, budget, **options)
    near.wait_for(lambda: len(Store(url).load_study().candidates) > 12)
    other.cut(seconds)
    assert [driver.done(300) for driver in (far, near)] == [budget, budget]
    keys = {c.evaluation.design.key for c in Store(url).load_study().candidates}
    assert len(keys) == budget
    again = evaluated(log).total() - len(evaluated(log))
    assert again <= 1
    tell(
        f"{seconds} s without network between one of two searches and PostgreSQL | "
        f"{budget} of {budget}, {again} trained again"
    )


@pytest.mark.parametrize("seconds", [10, 75])
def test_a_node_and_the_head(
    other: Other,
    tmp_path: Path,
    tell: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    seconds: int,
) -> None:
    helpers = Path(__file__).parents[1] / "helpers"
    monkeypatch.setenv("PYTHONPATH", f"{helpers.parents[1]}{os.pathsep}{helpers}")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 2)
    ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1"]
    ray += ["--disable-usage-stats"]
    sockets = tempfile.mkdtemp(prefix="bbnas-test-ray-")  # whose paths must be short
    head = [*ray, "--head", f"--node-ip-address={HERE}", "--port=6399"]
    head += ["--include-dashboard=false", f"--temp-dir={sockets}"]
    node = [*other.within, *ray, f"--address={HERE}:6399", f"--node-ip-address={THERE}"]
    started = []
    log, budget = tmp_path / "log", 30 + 2 * seconds
    try:
        for command in (head, node):
            with (tmp_path / "ray.log").open("ab") as out:
                started.append(
                    subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
                )
            reach(HERE, 6399)
        driver = Driver(
            tmp_path,
            budget,
            workers=2,
            placement={"address": f"{HERE}:6399"},
            formula={"seconds": 0.7},
        )
        driver.wait_for(lambda: evaluated(log).total() > 0)
        driver.wait_for(lambda: len({line.split()[1] for line in log.open()}) == 2)
        other.cut(seconds)
        assert driver.done(400) == budget
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
        shutil.rmtree(sockets, ignore_errors=True)
    study = Store(f"sqlite:///{tmp_path}/quick.db").load_study()
    assert len({c.evaluation.design.key for c in study.candidates}) == budget
    assert "failed" not in {c.evaluation.status for c in study.candidates}
    again = evaluated(log).total() - len(evaluated(log))
    assert again <= 3
    tell(
        f"{seconds} s without network between one of two nodes and the head | "
        f"{budget} of {budget}, {again} trained again"
    )
