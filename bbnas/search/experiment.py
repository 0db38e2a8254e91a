"""Running an experiment: every row with every seed, each training kept as soon as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.paper.experiment import Experiment, Measured
from bbnas.protocol import Protocol
from bbnas.search.executors import Evaluate, Training, executor
from bbnas.search.named import Wanted, measure_named
from bbnas.store import Store

if TYPE_CHECKING:
    from bbnas.data import Dataset


@dataclass(frozen=True)
class Trained:
    """One training more: ``done`` of ``total``, and the seconds that the rest may take."""

    row: str
    evaluation: Evaluation
    done: int
    total: int
    remaining: float


def stored(experiment: Experiment, dataset: Dataset, store: Store | None) -> Measured:
    """What ``store`` holds of an experiment; None is an empty one."""

    def find(design: Design, protocol: Protocol) -> Evaluation | None:
        if store is None:
            return None
        return store.find_evaluation(design, experiment.task, protocol, dataset.fingerprint)

    return Measured(
        experiment,
        dataset.fingerprint,
        dataset.description,
        {
            row.name: tuple(find(row.design, protocol) for protocol in experiment.protocols)
            for row in experiment.rows
        },
    )


def run_experiment(
    experiment: Experiment,
    dataset: Dataset,
    store: Store,
    *,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluate | None = None,
    on_trained: Callable[[Trained], None] | None = None,
) -> Measured:
    """Train what ``store`` does not hold, a seed after the other, and return all of it.

    The same call again goes on where it was interrupted, or returns at once.

    Raises:
        UserError: a row that could not be trained at all.
    """
    known = stored(experiment, dataset, store)
    wanted = {
        (row.name, seed): Wanted(row.design, protocol)
        for seed, protocol in enumerate(experiment.protocols)
        for row in experiment.rows
        if known.evaluations[row.name][seed] is None
    }
    total = len(experiment.rows) * experiment.seeds
    done = before = total - len(wanted)
    started = time.monotonic()

    def keep(key: tuple[str, int], new: Evaluation) -> None:
        nonlocal done
        store.add_evaluation(new)
        done += 1
        if on_trained is not None:
            each = (time.monotonic() - started) / (done - before)
            on_trained(Trained(key[0], new, done, total, each * (total - done)))

    train = evaluate or Training(experiment.task, experiment.protocol, dataset, device)
    execute = executor(min(workers, max(1, len(wanted))), train)
    try:
        measure_named(wanted, lambda *_: None, keep, execute)
    finally:
        execute.close()
    return stored(experiment, dataset, store)
