"""A search on a running Ray cluster: real nodes, all on this machine, some of which are lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drivers import Driver
from quick import SPACE, Formula, quick_search

import bbnas
from bbnas.data import load_dataset
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.protocol import Protocol
from bbnas.runs.builds import build
from bbnas.runs.executors import TrainingEvaluator
from bbnas.runs.placement import Placement
from bbnas.searching.loop import Event
from bbnas.space import Space
from bbnas.tasks import get_task

pytestmark = pytest.mark.usefixtures("leaves_nothing")
REPOSITORY = Path(__file__).parents[2]
HELPERS = REPOSITORY / "tests" / "helpers"
# One design for each width.
WIDTHS = Space.from_dict(
    SPACE
    | {
        "axes": {
            "binarize": [["body"]],
            "norm": "none",
            "k_ratio": 1,
            "activation": "rprelu",
            "width": [16, 32, 48, 64, 80, 96],
            "depth": 16,
        }
    }
)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster whose nodes a test adds; their workers import what the tests can."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{REPOSITORY}{os.pathsep}{HELPERS}")
        started = Cluster()
        yield started
        started.shutdown()


def attempts(log: Path) -> Counter[str]:
    return Counter(line.split()[0] for line in log.read_text().splitlines())


@pytest.mark.parametrize("budget", [24, pytest.param(60, marks=pytest.mark.soak)])
def test_nodes_and_workers_come_and_go_and_nothing_is_lost(
    cluster: Any, tmp_path: Path, budget: int, tell: Callable[[str], None]
) -> None:
    log, rng = tmp_path / "log", random.Random(3)
    cluster.add_node(num_cpus=1, include_dashboard=False)
    removed, _ = (cluster.add_node(num_cpus=1) for _ in range(2))
    losses = 0

    def disturb(event: Event) -> None:
        nonlocal losses
        if event.kind != "candidate":
            return
        if event.counts.done == 6:
            cluster.remove_node(removed, allow_graceful=False)
        elif event.counts.done == 12:
            cluster.add_node(num_cpus=1)
        elif event.counts.done in (18, 30, 40, 50):
            pids = {int(line.split()[1]) for line in log.read_text().splitlines()[-3:]}
            try:
                os.kill(rng.choice(sorted(pids)), signal.SIGKILL)
            except ProcessLookupError:
                return
        else:
            return
        losses += 1

    evaluator = Formula(seconds=0.1, log=str(log))
    placement = Placement(address=cluster.address, max_retries=9)
    result = quick_search(
        tmp_path, budget, workers=None, placement=placement, evaluator=evaluator, on_event=disturb
    )
    keys = [candidate.evaluation.design.key for candidate in result.study.candidates]
    assert len(keys) == len(set(keys)) == budget
    assert "failed" not in {c.evaluation.status for c in result.study.candidates}
    assert set(attempts(log)) == set(keys)
    assert losses >= 2
    again = attempts(log).total() - budget
    assert again <= losses
    if budget == 60:
        tell(
            "a node removed, one added, workers killed on a cluster of three nodes | "
            f"60 of 60, {again} trained again"
        )
    tried = result.study.attempts
    assert Counter(a.number for a in tried if a.outcome in ("ok", "diverged")) == Counter(
        range(budget)
    )
    assert {c.evaluation.environment["node"] for c in result.study.candidates} == {
        socket.gethostname()
    }
    import ray

    assert not ray.is_initialized()


def workers_of(log: Path) -> set[str]:
    return {line.split()[1] for line in log.read_text().splitlines()} if log.exists() else set()


def test_a_node_that_joins_gets_a_worker_although_candidates_take_less_than_its_start(
    cluster: Any, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    cluster.add_node(num_cpus=1, include_dashboard=False)
    placement = {"address": cluster.address}
    driver = Driver(tmp_path, 400, workers=None, placement=placement, formula={"seconds": 0.3})
    try:
        driver.wait_for(lambda: len(workers_of(log)) == 1)
        cluster.add_node(num_cpus=1)
        driver.wait_for(lambda: len(workers_of(log)) == 2)
    finally:
        driver.kill()


def test_no_more_workers_than_asked_for_although_there_is_room(
    cluster: Any, tmp_path: Path
) -> None:
    cluster.add_node(num_cpus=4, include_dashboard=False)
    evaluator = Formula(seconds=0.5, log=str(tmp_path / "log"))
    placement = Placement(address=cluster.address)
    quick_search(tmp_path, 24, workers=2, placement=placement, evaluator=evaluator)
    assert len(workers_of(tmp_path / "log")) == 2


@dataclass(frozen=True)
class Bad(Formula):
    def __call__(self, design: Design, *rest: Any) -> Any:
        if design.width == 48:
            time.sleep(1000)
        if design.width == 64:
            np.ones(50_000_000_000, np.uint8)
        if design.width == 80:
            raise UserError("photographs/0801.png: no such file; check the path")
        return super().__call__(design, *rest)


def test_bad_candidates_fail_with_their_reasons_and_the_search_goes_on(
    cluster: Any, tmp_path: Path
) -> None:
    cluster.add_node(num_cpus=1, include_dashboard=False)
    placement = Placement(address=cluster.address, timeout=3, memory=500e6, max_retries=0)
    # Baselines come first: a bad candidate is told from bad input by one that went well.
    first = {"good": Design(binarize=("body",), k_ratio=1, width=16, depth=16)}
    result = quick_search(
        tmp_path,
        6,
        workers=None,
        placement=placement,
        space=WIDTHS,
        evaluator=Bad(kills=((32, 99),), log=str(tmp_path / "log")),
        baselines=first,
    )
    errors = {
        c.evaluation.design.width: c.evaluation.error
        for c in result.study.candidates
        if c.evaluation.status == "failed"
    }
    assert set(errors) == {32, 48, 64, 80}
    assert errors[32].startswith("1 worker died evaluating it")
    assert "longer than 3 s (--candidate-timeout)" in errors[48]
    assert "Unable to allocate 46.6 GiB" in errors[64]
    assert errors[80] == "photographs/0801.png: no such file; check the path"


def test_results_of_other_kernels_are_marked_or_kept_out(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBNAS_ISA", "torch")
    cluster.add_node(num_cpus=1, include_dashboard=False, env_vars={"BBNAS_ISA": "portable"})
    placement = Placement(address=cluster.address)
    other = quick_search(tmp_path, 2, workers=None, placement=placement).study.candidates
    assert {c.evaluation.environment["kernels of the search"] for c in other} == {"torch"}
    cluster.add_node(num_cpus=1, env_vars={"BBNAS_ISA": "torch"})
    placement = replace(placement, same_kernels=True)
    result = quick_search(tmp_path, 6, workers=None, placement=placement)
    marks = [
        c.evaluation.environment.get("kernels of the search") for c in result.study.candidates
    ]
    assert marks == ["torch"] * 2 + [None] * 4


def test_the_images_travel_to_nodes_that_do_not_have_them(
    cluster: Any, tmp_path: Path, quick: Protocol, photographs: Path
) -> None:
    cache = tmp_path / "cache"
    cluster.add_node(num_cpus=2, include_dashboard=False, env_vars={"BBNAS_CACHE": str(cache)})
    dataset = load_dataset(photographs)
    assert dataset.train.pack is not None
    evaluator = TrainingEvaluator(get_task("sr4"), quick, dataset, "cpu")
    placement = Placement(address=cluster.address)
    options = {"placement": placement, "evaluator": evaluator, "space": WIDTHS}
    moved = dataset.train.pack.path.rename(tmp_path / "elsewhere")  # as if on another machine
    try:
        result = quick_search(tmp_path, 3, workers=2, **options)
    finally:
        moved.rename(dataset.train.pack.path)
    alone = quick_search(tmp_path / "alone", 3, evaluator=evaluator, space=WIDTHS)
    found, expected = (
        {c.evaluation.design.key: c.evaluation.psnr for c in r.study.candidates}
        for r in (result, alone)
    )
    assert found == expected
    assert [file for file in cache.iterdir() if file.suffix == ".rgb"]


def test_a_worker_of_another_version_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # workers would import bbnas from the folder of the search
    copy = tmp_path / "other" / "bbnas"
    shutil.copytree(Path(bbnas.__file__).parent, copy)
    with (copy / "text.py").open("a") as file:
        file.write("# another version\n")
    path = f"{copy.parent}{os.pathsep}{HELPERS}"
    cluster.add_node(num_cpus=1, include_dashboard=False, env_vars={"PYTHONPATH": path})
    with pytest.raises(UserError) as raised:
        quick_search(tmp_path, 2, workers=None, placement=Placement(address=cluster.address))
    told = str(raised.value)
    mine = build("cpu").bbnas
    assert f"instead of {mine} of this command" in told
    assert told.count(mine.split()[0]) == 2
    assert "\n" not in told


REMOTE = """
import sys
from ray.cluster_utils import Cluster
import quick
from bbnas.errors import UserError
from bbnas.runs.placement import Placement
from bbnas.runs.ray_start import ray_joined
cluster = Cluster()
cluster.add_node(num_cpus=1, include_dashboard=False)
cluster.add_node(num_cpus=1, node_ip_address="127.0.0.2")
try:
    placement = Placement(address=cluster.address, insecure=sys.argv[2] == "insecure")
    print(quick.quick_search(sys.argv[1], 2, workers=None, placement=placement).counts.done)
except UserError as error:
    print(error)
cluster.shutdown()
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [("open", "asks for no token"), ("insecure", "2"), ("token", "2")],
)
def test_a_cluster_of_several_machines_asks_for_a_token(
    tmp_path: Path, how: str, told: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{HELPERS}", "HOME": str(tmp_path)}
    if how == "token":
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 2}
    run = subprocess.run(
        [sys.executable, "-c", REMOTE, str(tmp_path), how],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=environment,
    )
    assert told in run.stdout.splitlines()[-1], run


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"address": "ray://head:10001"}, "must be HOST:PORT"),
        ({"cpus": 0}, "must be above 0"),
        ({"gpus": 2}, "must be from 0 to 1"),
        ({"timeout": -1}, "must be above 0"),
        ({"max_retries": -1}, "must be 0 or more"),
    ],
)
def test_what_a_placement_refuses(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Placement(**values)


def test_an_address_where_nothing_listens_is_told_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with pytest.raises(UserError, match=r"not reached .*refused"):
        quick_search(tmp_path, 2, placement=Placement(address=f"127.0.0.1:{free}"))
    assert not list(tmp_path.iterdir())


def test_a_machine_without_a_cluster_is_told_and_no_database_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    # Another test may run a cluster of its own here.
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", dict)
    monkeypatch.setattr("ray._private.services.find_bootstrap_address", lambda _: None)
    with pytest.raises(UserError, match="no node of one runs on this machine"):
        quick_search(tmp_path, 2, placement=Placement(address="auto"))
    assert not list(tmp_path.iterdir())
