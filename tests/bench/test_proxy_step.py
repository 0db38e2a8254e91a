from __future__ import annotations

import os

import pytest

from bbnas.bench.proxy_step import bench_step
from bbnas.native import kernels


def test_a_step_is_timed_by_both_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BBNAS_ISA", raising=False)
    rows = list(bench_step(depths=(2,), width=4, rounds=1))
    assert [row.preset for row in rows] == ["bbcu-l", "bbcu-m", "bbcu-v1"]
    for row in rows:
        assert (row.width, row.depth, row.kernels) == (4, 2, kernels())
        assert row.ours_ms > 0
        assert row.ratio == pytest.approx(row.torch_ms / row.ours_ms)
    assert "BBNAS_ISA" not in os.environ
