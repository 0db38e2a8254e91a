from __future__ import annotations

from pathlib import Path

import pytest

from bbnas.bench.search import MORE, bench_search
from bbnas.errors import UserError


def test_a_search_that_goes_on_is_split_into_its_parts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    measured = bench_search([60], [1], storage=url, sampler="random", say=lambda _: None)
    (overhead,) = measured.overheads
    assert overhead.candidates == 60
    assert overhead.outcomes >= MORE
    assert 0 < overhead.sampler_ms < overhead.each_ms
    assert 0 < overhead.database_ms < overhead.each_ms
    assert measured.report_bytes > 100_000
    with pytest.raises(UserError, match="give an empty database"):
        bench_search([60], [1], storage=url, say=lambda _: None)
