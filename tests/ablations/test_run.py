"""An ablation is trained once, is resumed where it was interrupted, and reports its progress."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from quick import Formula, Stub

from bbnas.ablations.ablation import Ablation, MeasuredAblation
from bbnas.ablations.run import run_ablation, stored
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.runs.train_all import Trained
from bbnas.store import Store

QUICK = Ablation.model_validate(
    {
        "version": 1,
        "name": "quick",
        "title": "Quick",
        "question": "Which?",
        "task": "sr4",
        "protocol": PROTOCOLS["proxy"],
        "seeds": 3,
        "reference": "a",
        "rows": [
            {"name": name, "design": {"binarize": ["body"], **fields}}
            for name, fields in {
                "a": {"k_ratio": 1.0},
                "b": {"k_ratio": None},
                "c": {"k_ratio": 4.0, "activation": "relu"},  # diverges by the formula
            }.items()
        ],
    }
)


# What ``stored`` asks of a data set.
PHOTOGRAPHS: Any = SimpleNamespace(fingerprint=Stub.data, description=Stub.data_description)


class Trainings(Stub):
    """Stands for training; a seed shifts all rows alike."""

    def __init__(self, die_at: float = math.inf) -> None:
        self.count = 0
        self.die_at = die_at

    def __call__(
        self, design: Design, until: int | None = None, protocol: Protocol | None = None
    ) -> Evaluation:
        self.count += 1
        if self.count >= self.die_at:
            raise KeyboardInterrupt
        assert protocol is not None
        found = Formula()(design)
        return replace(found, protocol=protocol, psnr=found.psnr + protocol.seed)


def run(
    folder: Path,
    trainings: Trainings,
    shown: list[Trained] | None = None,
    ablation: Ablation = QUICK,
) -> MeasuredAblation:
    store = Store(f"sqlite:///{folder}/ablations.db", create=True)
    on_done = None if shown is None else shown.append
    return run_ablation(ablation, trainings, store, workers=1, on_done=on_done)


def test_every_row_is_trained_with_every_seed_once(tmp_path: Path) -> None:
    trainings, shown = Trainings(), []
    found = run(tmp_path, trainings, shown)
    assert trainings.count == 9
    assert found.complete
    assert found.psnr("a")[1] - found.psnr("a")[0] == pytest.approx(1)
    assert all(math.isnan(psnr) for psnr in found.psnr("c"))
    assert [now.done for now in shown] == list(range(1, 10))
    assert {now.total for now in shown} == {9}
    assert shown[-1].remaining == 0
    again: list[Trained] = []
    # NaN is not equal to itself.
    assert repr(run(tmp_path, trainings, again).evaluations) == repr(found.evaluations)
    assert (trainings.count, again) == (9, [])


def test_an_interrupted_run_is_resumed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Trainings(die_at=6))
    store = Store(f"sqlite:///{tmp_path}/ablations.db")
    partial = stored(QUICK, PHOTOGRAPHS, store)
    assert (len(partial.known), partial.complete) == (5, False)
    trainings = Trainings()
    whole = run(tmp_path, trainings)
    assert trainings.count == 4
    assert whole.complete


def test_nothing_is_known_without_a_database() -> None:
    assert stored(QUICK, PHOTOGRAPHS, None).known == []


def test_rows_of_one_design_are_trained_by_their_protocols(tmp_path: Path) -> None:
    plain, *_ = QUICK.rows
    average = plain.model_copy(update={"name": "average", "protocol": {"ema": 0.9}})
    ablation = QUICK.model_copy(update={"rows": (plain, average)})
    trainings = Trainings()
    found = run(tmp_path, trainings, ablation=ablation)
    assert trainings.count == 6
    for row, decay in (("a", 0.0), ("average", 0.9)):
        by = [e.protocol for e in found.evaluations[row] if e is not None]
        assert [(p.ema, p.seed) for p in by] == [(decay, 0), (decay, 1), (decay, 2)]
    store = Store(f"sqlite:///{tmp_path}/ablations.db")
    again = stored(ablation, PHOTOGRAPHS, store)
    assert again.complete
    assert again.evaluations == found.evaluations
    # The row of another ablation by the plain protocol is the same training.
    assert len(stored(QUICK, PHOTOGRAPHS, store).known) == 3
