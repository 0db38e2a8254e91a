"""Drawing designs, training them by two protocols, comparing: resumable, and kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quick import SPACE, Formula, Stub

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.fidelity import MeasuredFidelity
from bbnas.protocol import PROTOCOLS, Protocol, load_protocol
from bbnas.runs.fidelity import draw, measure_fidelity
from bbnas.space import Space, load_space
from bbnas.store import Store
from bbnas.store.fidelities import find_fidelity
from bbnas.tasks import get_task

PROXY = PROTOCOLS["proxy"]
TASK = get_task("sr4")


class Trainings(Stub):
    """Stands for training: the long protocol's PSNR by formula, the proxy's with a bias."""

    def __init__(self) -> None:
        self.count = 0
        self.die_at = math.inf

    def __call__(
        self, design: Design, until: int | None = None, protocol: Protocol | None = None
    ) -> Evaluation:
        self.count += 1
        if self.count >= self.die_at:
            raise KeyboardInterrupt
        assert protocol is not None
        found = Formula()(design)
        long = protocol.iterations > PROXY.iterations
        bias = 0.0 if long else -1.0 * (design.norm == "batchnorm")
        psnr = found.psnr + bias + 0.01 * protocol.seed
        return replace(found, protocol=protocol, psnr=psnr, seconds=60.0 if long else 5.0)


def run(folder: Path, trainings: Trainings, **changes: Any) -> MeasuredFidelity:
    store = Store(f"sqlite:///{folder}/fidelity.db", create=True)
    arguments = {"designs": 18, "workers": 1, **changes}
    measured, *_ = measure_fidelity(Space.from_dict(SPACE), trainings, store, **arguments)
    return measured


def test_it_is_measured_once_and_kept(tmp_path: Path) -> None:
    trainings = Trainings()
    found = run(tmp_path, trainings)
    few = 3  # every sixth of 18, with two more seeds each
    assert trainings.count == 2 * (18 + 2 * few)
    assert found.result.designs == 18
    assert found.result.proxy_noise == pytest.approx(0.01)
    assert (found.result.proxy_seconds, found.result.long_seconds) == (5.0, 60.0)
    assert found.result.kendall_tau.value < 1
    biases = {(b.axis, b.choice): b.shift for b in found.result.biases if b.significant}
    assert biases["normalisation", "batchnorm"] < 0
    again = run(tmp_path, trainings)
    assert trainings.count == 2 * (18 + 2 * few)
    assert again.result == found.result
    store = Store(f"sqlite:///{tmp_path}/fidelity.db")
    seeded = PROXY.with_seed(7)
    kept = find_fidelity(store, get_task("sr4"), seeded, Trainings.data)
    assert kept is not None
    assert kept.result == found.result
    assert kept.long.iterations > PROXY.iterations
    assert find_fidelity(store, get_task("sr2"), PROXY, Trainings.data) is None
    other = PROXY.model_copy(update={"iterations": 501})
    assert find_fidelity(store, get_task("sr4"), other, Trainings.data) is None


def test_an_interrupted_measurement_goes_on(tmp_path: Path) -> None:
    trainings = Trainings()
    trainings.die_at = 20
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, trainings)
    trainings.die_at = math.inf
    before = trainings.count - 1  # the last was not finished
    run(tmp_path, trainings)
    assert trainings.count - 1 - before == 2 * (18 + 6) - 19


def test_several_protocols_are_held_against_one_truth(tmp_path: Path) -> None:
    trainings = Trainings()
    alone = run(tmp_path, trainings)
    before = trainings.count
    store = Store(f"sqlite:///{tmp_path}/fidelity.db")
    shorter = load_protocol("proxy,iterations=500")
    space = Space.from_dict(SPACE)
    both = measure_fidelity(space, trainings, store, others=[shorter], designs=18, workers=1)
    assert trainings.count == before + 18 + 2 * 3  # neither the first nor the long one again
    assert both[0].result == alone.result
    assert [found.long for found in both] == [alone.long] * 2
    assert both[1].protocol.iterations == 500
    kept = find_fidelity(store, get_task("sr4"), shorter, Trainings.data)
    assert kept is not None
    assert kept.result == both[1].result
    # A truth of one's own: the proxy agrees with itself.
    itself, *_ = measure_fidelity(space, trainings, store, long=PROXY, designs=18, workers=1)
    assert itself.result.kendall_tau.value == pytest.approx(1.0)


def test_a_draw_is_seeded_spread_and_of_the_space() -> None:
    space = load_space("bbcu", TASK)
    first, again, other = (draw(space, 24, seed) for seed in (0, 0, 1))
    assert [d.key for d in first] == [d.key for d in again]
    assert {d.key for d in first} != {d.key for d in other}
    assert len({d.key for d in first}) == 24
    assert all(space.contains(d) for d in first)
    assert len({d.binarize for d in first}) >= 10
    assert {d.norm for d in first} == {"none", "batchnorm"}
    small = Space.from_dict(SPACE | {"axes": SPACE["axes"] | {"binarize": [[]], "k_ratio": 1}})
    assert len(draw(small, small.count())) == small.count()
    with pytest.raises(UserError, match=f"holds {small.count()} designs"):
        draw(small, small.count() + 1)


def test_the_long_protocol_trains_as_much_longer_as_it_says() -> None:
    long = PROXY.longer(12)
    compute = [p.iterations * p.batch * p.patch**2 for p in (PROXY, long)]
    assert compute[1] / compute[0] == pytest.approx(12, rel=0.01)
    assert long.patch > PROXY.patch
    with pytest.raises(UserError, match="long factor 2: must be above"):
        PROXY.longer(2)
