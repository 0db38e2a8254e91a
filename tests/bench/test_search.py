from __future__ import annotations

import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bbnas.bench.search import MORE, bench_search
from bbnas.bench.simulated import Simulated, prices, simulated_study
from bbnas.cost import ops_and_params
from bbnas.errors import UserError


def test_a_search_that_goes_on_is_split_into_its_parts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    measured = bench_search([60], [1], storage=url, sampler="random", say=lambda _: None)
    (overhead,) = measured.overheads
    assert overhead.candidates == 60
    assert overhead.outcomes >= MORE
    assert 0 < overhead.sampler_ms < overhead.each_ms
    assert 0 < overhead.database_ms < overhead.each_ms
    assert overhead.busy_ms > 0
    assert measured.report_busy_s > 0
    assert measured.report_bytes > 100_000
    with pytest.raises(UserError, match="give an empty database"):
        bench_search([60], [1], storage=url, say=lambda _: None)


def test_a_worker_that_knows_the_prices_needs_no_torch() -> None:
    space, task = simulated_study().space, Simulated().task
    known = Simulated(prices=prices(space, task))
    design = space.sample(random.Random(3))
    counted = ops_and_params(design, task)
    assert (known.cost(design).ops, known.cost(design).params) == tuple(counted)
    program = (
        "import pickle, sys\n"
        "evaluate, design = pickle.load(sys.stdin.buffer)\n"
        "print(evaluate(design).psnr, 'torch' in sys.modules)\n"
    )
    given = pickle.dumps((known, design))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, input=given, capture_output=True)
    assert done.stdout.split() == [str(known(design).psnr).encode(), b"False"]
