from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from tabled import make_table

from bbnas.analysis import hypervolume_curve
from bbnas.bench.sampler.simulate import CONTENDERS, Lookup, simulate, simulate_all, truth_of
from bbnas.bench.sampler.table import Table, write_table
from bbnas.errors import UserError
from bbnas.searching import search
from bbnas.space import Space
from bbnas.study import StudyConfig

T = TypeVar("T")
SPACE = Space.from_dict(
    {
        "version": 1,
        "name": "small",
        "axes": {
            "binarize": {"any_of": ["head", "body", "upsampling", "tail"]},
            "norm": ["none", "batchnorm"],
            "k_ratio": ["off", 1],
            "activation": ["rprelu", "none"],
        },
    }
)


@pytest.fixture(scope="module")
def table() -> Table:
    return make_table(SPACE)


@pytest.mark.parametrize("name", [name for name in CONTENDERS if name != "gp"])
def test_each_contender_searches_to_its_budget(table: Table, name: str) -> None:
    trace = simulate(table, truth_of(table), name, seed=1, budget=24)
    extra = 3 if name == "vcvp" else 0  # parts alone that it then need not find
    assert 24 <= trace.designs[-1] <= 24 + 2 + extra
    assert list(trace.seconds) == sorted(trace.seconds)
    assert list(trace.volume) == sorted(trace.volume)
    assert 0 < trace.volume[-1] <= 1 + 1e-12
    assert trace == simulate(table, truth_of(table), name, seed=1, budget=24)


def test_a_space_searched_whole_has_the_whole_volume_and_the_true_cost(table: Table) -> None:
    budget = len(table.rows)
    trace = simulate(table, truth_of(table), "random", seed=0, budget=budget)
    assert trace.volume[-1] == pytest.approx(1.0)
    lookup = Lookup(table, 0)
    total = sum(lookup(row.design).seconds for row in table.rows)
    assert trace.seconds[-1] == pytest.approx(total)
    stopped = simulate(table, truth_of(table), "random-stop", seed=0, budget=budget)
    assert stopped.designs[-1] == budget
    assert stopped.seconds[-1] < 0.7 * total


def test_a_simulation_trains_what_the_table_holds(table: Table) -> None:
    lookup = Lookup(table, 3)
    row = next(row for row in table.rows if all(run.status == "ok" for run in row.runs))
    first, second = lookup(row.design, 125), lookup(row.design, 250)
    end = lookup(row.design)
    (run,) = [run for run in row.runs if run.psnr == end.psnr]
    assert (first.status, second.status, end.status) == ("stopped", "stopped", "ok")
    assert first.rungs == run.rungs[:1]
    assert second.rungs == run.rungs
    quarter = run.seconds / 4
    assert [more for _, _, more in lookup.log] == pytest.approx([quarter, quarter, 2 * quarter])
    # Seeds choose differently, but each the same every time.
    chosen = [[Lookup(table, s)(r.design).psnr for r in table.rows] for s in (0, 0, 1)]
    assert repr(chosen[0]) == repr(chosen[1]) != repr(chosen[2])


def test_the_truth_is_the_mean_of_the_seeds_where_both_ended_well(table: Table) -> None:
    truth = truth_of(table)
    rows = {row.design.key: row for row in table.rows}
    for e in truth.front:
        one, two = (run.psnr for run in rows[e.design.key].runs)
        assert e.psnr == pytest.approx((one + two) / 2)
        assert e.psnr > table.skip_psnr
    assert len({e.design.key for e in truth.front}) == len(truth.front) > 2


def test_all_run_on_processes_as_they_do_here(table: Table) -> None:
    told = []
    traces = simulate_all(
        table, ["random", "ehvi"], 2, 12, 2, lambda *step: told.append(step[1:3])
    )
    assert [(t.contender, t.seed) for t in traces] == [
        *(("random", 0), ("random", 1), ("ehvi", 0), ("ehvi", 1))
    ]
    assert told == [(n, 4) for n in range(1, 5)]
    assert traces[3] == simulate(table, truth_of(table), "ehvi", 1, 12)


def wait_for(what: Callable[[], T]) -> T:
    deadline = time.monotonic() + 60
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc")
def test_workers_end_with_a_parent_that_is_killed(table: Table, tmp_path: Path) -> None:
    path = write_table(table, tmp_path / "table.json.gz")
    parent = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "bbnas",
            "bench",
            "sampler",
            "--table",
            path,
            "--seeds",
            "50",
            "-q",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def begun() -> set[str]:
        listed = ["ps", "-ww", "--ppid", str(parent.pid), "-o", "pid=", "-o", "args="]
        found = subprocess.run(listed, capture_output=True, text=True, check=False).stdout
        return {line.split()[0] for line in found.splitlines() if "spawn_main" in line}

    def alive(pid: str) -> bool:
        status = Path("/proc", pid, "status")
        return status.exists() and "State:\tZ" not in status.read_text()

    try:
        workers = wait_for(begun)
        assert workers
    finally:
        parent.kill()
        parent.wait()
    assert wait_for(lambda: not any(map(alive, workers)))


def test_bad_input_is_told(table: Table) -> None:
    with pytest.raises(UserError, match="contender"):
        simulate_all(table, ["rando"], 1, 5, 1)
    with pytest.raises(UserError, match="beats the global skip"):
        truth_of(replace(table, skip_psnr=99.0))


def test_hypervolume_is_what_reports_say(table: Table, tmp_path) -> None:
    """With equal runs a study's own curve in the true box is the trace's."""
    even = replace(table, rows=tuple(replace(r, runs=(r.runs[0], r.runs[0])) for r in table.rows))
    truth = truth_of(even)
    lookup = Lookup(even, 0)
    config = StudyConfig.of(lookup, SPACE, sampler="random", early_stopping=False)
    storage = f"sqlite:///{tmp_path}/x.db"
    result = search(config, lookup, 30, storage=storage, workers=1, benefit=False, confirm=0)
    curve = hypervolume_curve(result.study, truth.box)
    assert curve is not None
    trace = simulate(even, truth, "random", 0, 30)
    assert trace.volume == pytest.approx([v / truth.volume for v in curve.volume])
