"""Given designs are trained unless the store has them, by workers of the call or by open ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from quick import Formula, quick_search

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.protocol import PROTOCOLS
from bbnas.runs.benefit import benefit_requests, binarization_order
from bbnas.runs.executors import InProcess
from bbnas.runs.train_all import Request, Trained, train_all
from bbnas.store import Store
from bbnas.tasks import get_task

TASK, PROXY = get_task("sr4"), PROTOCOLS["proxy"]
DESIGNS = [Design(width=width) for width in (16, 32, 48)]
REQUESTS = {d.width: Request(d, PROXY, f"width {d.width}") for d in DESIGNS}


def calls(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_store_answers_before_a_training(tmp_path: Path) -> None:
    log, shown = tmp_path / "log", list[Trained]()
    evaluator = Formula(log=str(log))
    store = Store(f"sqlite:///{tmp_path}/runs.db", create=True)
    first = train_all({16: REQUESTS[16]}, evaluator, store, workers=1, on_done=shown.append)
    assert [(now.label, now.done, now.total) for now in shown] == [("width 16", 1, 1)]
    everything = train_all(REQUESTS, evaluator, store, workers=1, on_done=shown.append)
    assert list(everything) == [16, 32, 48]
    assert everything[16] == first[16]
    assert [(now.done, now.total) for now in shown[1:]] == [(2, 3), (3, 3)]
    assert shown[-1].remaining == 0
    assert train_all(REQUESTS, evaluator, store, workers=1) == everything
    assert calls(log) == 3
    # Without a store everything is trained.
    assert train_all(REQUESTS, evaluator, None, workers=1) == everything
    assert calls(log) == 6


def test_open_workers_are_used_and_a_study_is_linked(tmp_path: Path) -> None:
    study = quick_search(tmp_path, 2).study
    store = Store(f"sqlite:///{tmp_path}/quick.db")
    evaluator = Formula()
    requests = benefit_requests(TASK, study.config.protocol, study.config.space)

    class Open(InProcess):
        def close(self) -> None:
            raise AssertionError("the caller closes them")

    done = train_all(requests, evaluator, store, study="quick", workers_used=Open(evaluator))
    references = {e.design.key for e in store.load_study("quick").references}
    assert references == {e.design.key for e in done.values()}
    assert set(binarization_order(done)) == set(TASK.parts)
    # An evaluation that the store had is linked as well.
    train_all({0: REQUESTS[48]}, evaluator, store, workers=1)
    train_all({0: REQUESTS[48]}, evaluator, store, study="quick")
    linked = {e.design.key for e in store.load_study("quick").references}
    assert linked == references | {DESIGNS[2].key}


def test_a_design_that_cannot_be_trained_is_named(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/runs.db", create=True)
    with pytest.raises(UserError, match=r"width 32 .* ZeroDivisionError"):
        train_all(REQUESTS, Formula(raises=32), store, workers=1)
    known = store.find_evaluation(DESIGNS[0], TASK, PROXY, Formula().data)
    assert known is not None
    assert known.feasible
