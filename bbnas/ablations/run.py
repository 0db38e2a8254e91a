"""Running an experiment: every row with every seed, each training kept as soon as it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bbnas.ablations.ablation import Ablation, Measured
from bbnas.design import Design
from bbnas.evaluation import Evaluation, Evaluator
from bbnas.protocol import Protocol
from bbnas.runs.train_all import Trained, Wanted, train_named
from bbnas.store import Store

if TYPE_CHECKING:
    from bbnas.data import Dataset


def stored(experiment: Ablation, dataset: Dataset, store: Store | None) -> Measured:
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


def run_ablation(
    experiment: Ablation,
    dataset: Dataset,
    store: Store,
    *,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluator | None = None,
    on_trained: Callable[[Trained], None] | None = None,
) -> Measured:
    """Train what ``store`` does not hold, a seed after the other, and return all of it.

    The same call again goes on where it was interrupted, or returns at once.

    Raises:
        UserError: a row that could not be trained at all.
    """
    wanted = {
        (row.name, protocol.seed): Wanted(
            row.design, protocol, f"{row.name}, seed {protocol.seed}"
        )
        for protocol in experiment.protocols
        for row in experiment.rows
    }
    train_named(
        wanted,
        experiment.task,
        dataset,
        store,
        workers=workers,
        device=device,
        evaluate=evaluate,
        on_trained=on_trained,
    )
    return stored(experiment, dataset, store)
