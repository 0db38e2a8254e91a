from __future__ import annotations

import os

import pytest

from bbnas.bench.training import bench_gpu, bench_steps, bench_units
from bbnas.native import kernels
from bbnas.protocol import PROTOCOLS


def test_a_step_is_timed_by_both_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BBNAS_ISA", raising=False)
    rows = list(bench_steps(depths=(2,), width=4, rounds=1))
    assert [row.preset for row in rows] == ["bbcu-l", "bbcu-m", "bbcu-v1"]
    for row in rows:
        assert (row.width, row.depth, row.kernels) == (4, 2, kernels())
        assert row.ours_ms > 0
        assert row.ratio == pytest.approx(row.torch_ms / row.ours_ms)
    assert "BBNAS_ISA" not in os.environ


def test_a_unit_is_timed_beside_its_transcription_and_a_convolution() -> None:
    (row,) = bench_units(widths=(4,), sides=(6,), batch=2, rounds=1)
    assert (row.width, row.side, row.batch) == (4, 6, 2)
    assert row.ratio == pytest.approx(row.transcription_ms / row.ours_ms)
    assert row.share == pytest.approx(row.convolution_ms / row.ours_ms)


def test_a_step_is_timed_in_each_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU by torch's path, which is that of a GPU."""
    monkeypatch.setenv("BBNAS_ISA", "torch")
    small = PROTOCOLS["paper"].replace(batch=1, patch=16, width_scale=0.1, depth_scale=0.1)
    row = bench_gpu(protocol=small, device="cpu", rounds=1)
    assert (row.gpu, row.batch, row.patch) == ("cpu", 1, 16)
    assert min(row.bbnas_ms, row.bf16_ms, row.plain_ms, row.authors_ms) > 0
