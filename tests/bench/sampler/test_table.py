from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quick import ITERATIONS, Formula, Stub
from tabled import make_table

from bbnas.bench.sampler.table import Table, read_table, tabulate, write_table
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.presets import PRESETS
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.runs.benefit import benefit_designs
from bbnas.space import Space, load_space
from bbnas.store import Store
from bbnas.tasks import get_task

SPACE = Space.from_dict(
    {
        "version": 1,
        "name": "few",
        "axes": {"binarize": [[], ["body"], ["tail"]], "activation": ["rprelu", "relu"]},
    }
)
PROTOCOL = PROTOCOLS["proxy"].model_copy(update={"rungs": (100, 250)})


class Seeded(Stub):
    """The formula's figures with the seed in the second digit, logged."""

    skip_psnr = 20.0

    def __init__(self, log: str, protocol: Protocol = PROTOCOL) -> None:
        self.log = log
        self.protocol = protocol

    def __call__(
        self, design: Design, until: int | None = None, protocol: Protocol | None = None
    ) -> Evaluation:
        assert protocol is not None
        found = Formula(log=self.log, rungs=protocol.rungs)(design, until, protocol)
        return replace(found, psnr=found.psnr + 0.01 * protocol.seed)


def make(folder: Path, protocol: Protocol = PROTOCOL, **changes: Any) -> Table:
    store = Store(f"sqlite:///{folder}/table.db", create=True)
    arguments = {"about": {"date": "2026-01-02"}, "workers": 1} | changes
    return tabulate(SPACE, Seeded(str(folder / "log"), protocol), store, **arguments)


def test_the_built_in_space_has_a_table_s_size_and_bbcu_in_it() -> None:
    space = load_space("bbcu-table")
    assert 500 <= space.count() <= 700
    assert space.contains(PRESETS["bbcu-m"])
    assert all(map(space.contains, benefit_designs(get_task("sr4"), space).values()))
    assert all(load_space("bbcu").axes.k_ratio.count(k) for k in space.axes.k_ratio)


def test_every_design_is_trained_with_every_seed_and_none_twice(tmp_path: Path) -> None:
    told = []
    table = make(tmp_path, on_done=told.append)
    assert {row.design.key for row in table.rows} == {d.key for d in SPACE.enumerate()}
    assert (told[-1].done, told[-1].total, told[-1].remaining) == (10, 10, 0)
    for row in table.rows:
        first, second = (run.psnr for run in row.runs)
        assert second - first == pytest.approx(0.01)
        assert row.psnr == pytest.approx(first + 0.005)
        assert [rung for rung, _ in row.runs[0].rungs] == [100, 250]
    assert make(tmp_path) == table
    assert len((tmp_path / "log").read_text().splitlines()) == 2 * SPACE.count()


def test_a_protocol_without_rungs_is_given_some(tmp_path: Path) -> None:
    table = make(tmp_path, protocol=PROTOCOLS["proxy"].model_copy(update={"rungs": ()}))
    assert table.protocol.rungs == (ITERATIONS // 4, ITERATIONS // 2)
    assert table.protocol.key == PROTOCOLS["proxy"].key


def test_other_rungs_than_the_stored_ones_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    other = PROTOCOL.model_copy(update={"rungs": (50,)})
    with pytest.raises(UserError, match="not scored at iterations 50; give another --storage"):
        make(tmp_path, protocol=other)


def test_a_table_is_read_as_it_was_written_in_equal_bytes(tmp_path: Path) -> None:
    table = make_table(SPACE)
    dead = replace(table.rows[0].runs[0], status="diverged", psnr=float("nan"), rungs=())
    rows = (replace(table.rows[0], runs=(dead, table.rows[0].runs[1])), *table.rows[1:])
    table = replace(table, rows=rows)
    path = write_table(table, tmp_path / "a" / "t.json.gz")
    again = read_table(path)
    assert repr(again) == repr(table)  # NaN is not equal to itself
    assert write_table(again, tmp_path / "u.json.gz").read_bytes() == path.read_bytes()
    assert not again.evaluation(again.rows[0]).feasible


@pytest.mark.parametrize(
    "content",
    [b"text", *(gzip.compress(text) for text in (b"no json", b'{"version": 9}', b""))],
    ids=["not compressed", "no json", "another version", "empty"],
)
def test_what_is_no_table_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.json.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="bbnas bench tabulate") as error:
        read_table(path)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no table"):
        read_table(tmp_path / "none")
