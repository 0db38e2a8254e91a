from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from postgres import Server
from quick import Formula, quick_search

from bbnas.errors import UserError
from bbnas.presets import PRESETS
from bbnas.store import Store
from bbnas.store.check import check
from bbnas.store.tables import SCHEMA_VERSION
from bbnas.store.transfer import Rows, merge, put, read_study, renamed, take, write_study
from bbnas.study import Study

STOPPING: dict[str, Any] = {"early_stopping": True, "evaluator": Formula(rungs=(100, 250))}


def without_ids(rows: Rows) -> dict[str, Any]:
    """Rows as sets of their values, without what a database numbers."""
    ids = {"id", "study_id", "run_id", "evaluation_id"}
    return {
        table: Counter(
            str(sorted((k, str(v)) for k, v in row.items() if k not in ids)) for row in found
        )
        for table, found in rows.items()
    }


def same(one: Study, other: Study) -> bool:
    """NaN is not equal to itself, but its text is."""
    return str(one.candidates) == str(other.candidates) and str(one.config) == str(other.config)


def test_a_study_comes_back_from_its_file_as_it_was(
    database: str, tmp_path: Path, postgres: Server
) -> None:
    baselines = {"bbcu-m": PRESETS["bbcu-m"]}
    quick_search(tmp_path, 25, storage=database, baselines=baselines, **STOPPING)
    store = Store(database)
    store.refer("quick", store.load_study().candidates[0].evaluation)
    rows = take(store, "quick")
    write_study(rows, tmp_path / "quick.json")
    read = read_study(tmp_path / "quick.json")
    assert read == rows
    others = (f"sqlite:///{tmp_path}/other.db", postgres.url())
    for other in (Store(url, create=True) for url in others):
        quick_search(tmp_path, 3, storage=str(other.url.render_as_string(False)), seed=7, name="x")
        assert put(other, read) == 0
        assert without_ids(take(other, "quick")) == without_ids(rows)
        assert same(other.load_study("quick"), store.load_study("quick"))
        assert check(other.url.render_as_string(False)).problems == ()
    more = quick_search(tmp_path, 30, storage=others[0], **STOPPING)
    assert more.counts.done == 30


def test_what_is_in_training_waits_in_the_copy(tmp_path: Path) -> None:
    quick_search(tmp_path, 3)
    store = Store(f"sqlite:///{tmp_path}/quick.db")
    with store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE bbnas_candidates SET state = 'running', evaluation_id = NULL WHERE number = 2"
        )
        connection.exec_driver_sql("UPDATE bbnas_runs SET finished = NULL")
    other = Store(f"sqlite:///{tmp_path}/other.db", create=True)
    put(other, take(store, "quick"))
    assert quick_search(tmp_path, 3, storage=str(other)).trained == 1


def test_a_study_is_put_once_and_under_a_name_of_its_own(tmp_path: Path) -> None:
    quick_search(tmp_path, 3)
    store = Store(f"sqlite:///{tmp_path}/quick.db")
    rows = take(store, "quick")
    with pytest.raises(UserError, match="already"):
        put(store, rows)
    with pytest.raises(UserError, match="study name"):
        renamed(rows, "../x")
    assert put(store, renamed(rows, "second")) == 3  # evaluations are shared
    assert store.studies() == ["quick", "second"]
    assert check(str(store)).rows["evaluations"] == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "no study of bbnas store export"),
        ("{", "no study of bbnas store export"),
        ('{"schema": 99, "rows": {}}', "schema 99"),
        (f'{{"schema": {SCHEMA_VERSION}, "rows": {{}}}}', "damaged"),
        (f'{{"schema": {SCHEMA_VERSION}, "rows": {{"bbnas_studies": [{{}}]}}}}', "damaged"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=says):
        read_study(tmp_path / "a.json")


def search(folder: Path, name: str, budget: int, **changes: Any) -> tuple[Store, str]:
    quick_search(folder, budget, name=name, storage=f"sqlite:///{folder}/{name}.db", **changes)
    return Store(f"sqlite:///{folder}/{name}.db"), name


def test_merging_keeps_each_evaluation_once(tmp_path: Path) -> None:
    one = search(tmp_path, "one", 20, sampler="random")
    two = search(tmp_path, "two", 25, sampler="tpe")
    designs = [{c.evaluation.design.key for c in s.load_study().candidates} for s, _ in (one, two)]
    rows, both = merge(one, two)
    assert both == len(designs[0] & designs[1]) > 0
    into = Store(f"sqlite:///{tmp_path}/both.db", create=True)
    put(into, renamed(rows, "both"))
    merged = into.load_study()
    keys = [c.evaluation.design.key for c in merged.candidates]
    assert len(keys) == len(set(keys))
    assert set(keys) == designs[0] | designs[1]
    assert sorted(c.number for c in merged.candidates) == list(range(len(keys)))
    assert check(str(into)).rows["evaluations"] == len(keys)
    assert check(str(into)).problems == ()
    assert len(merged.attempts) == 45
    assert {a.number for a in merged.attempts} == set(range(len(keys)))
    assert merged.search_seconds > 0
    # it goes on as any study does
    storage = f"sqlite:///{tmp_path}/both.db"
    more = quick_search(tmp_path, len(keys) + 3, name="both", storage=storage, sampler="random")
    assert more.counts.done == len(keys) + 3


def test_of_two_outcomes_the_one_that_came_further_is_kept(tmp_path: Path) -> None:
    one = search(tmp_path, "one", 20, **STOPPING)
    two = search(tmp_path, "two", 20, early_stopping=False)
    stopped = {
        c.evaluation.design.key
        for c in one[0].load_study().candidates
        if c.evaluation.status == "stopped"
    }
    ended = {c.evaluation.design.key for c in two[0].load_study().candidates}
    assert stopped & ended
    for first, second in ((one, two), (two, one)):
        rows, _ = merge(first, second)
        name = f"of-{first[1]}"
        into = Store(f"sqlite:///{tmp_path}/{name}.db", create=True)
        put(into, renamed(rows, name))
        left = {
            c.evaluation.design.key
            for c in into.load_study().candidates
            if c.evaluation.status == "stopped"
        }
        assert left == stopped - ended


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 1}, "seed is 0 and 1"),
        ({"objectives": ("psnr", "ops")}, "objectives"),
        ({"evaluator": Formula(data="e" * 16)}, "data"),
        ({"max_ops": 1e12}, "max_ops is None and 1000000000000.0"),
    ],
)
def test_studies_that_differ_are_not_merged(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    one, two = search(tmp_path, "one", 2), search(tmp_path, "two", 2, **change)
    with pytest.raises(UserError, match=f"one and two cannot be merged: .*{says}"):
        merge(one, two)


def test_a_study_that_is_searched_is_not_merged(tmp_path: Path) -> None:
    one, two = search(tmp_path, "one", 2), search(tmp_path, "two", 2)
    with two[0].write() as connection:
        connection.exec_driver_sql(
            "UPDATE bbnas_runs SET finished = NULL, seen = '2999-01-01 00:00:00.000000'"
        )
    with pytest.raises(UserError, match="'two' is searched now"):
        merge(one, two)
