"""Running an ablation: every row is trained with every seed and stored as soon as it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bbnas.ablations.ablation import Ablation, MeasuredAblation
from bbnas.design import Design
from bbnas.evaluation import Evaluation, Evaluator
from bbnas.protocol import Protocol
from bbnas.runs.train_all import Trained, Wanted, train_named
from bbnas.store import Store

if TYPE_CHECKING:
    from bbnas.data import Dataset


def stored(ablation: Ablation, dataset: Dataset, store: Store | None) -> MeasuredAblation:
    """An ablation with the evaluations that ``store`` holds; None is an empty store."""

    def find(design: Design, protocol: Protocol) -> Evaluation | None:
        if store is None:
            return None
        return store.find_evaluation(design, ablation.task, protocol, dataset.fingerprint)

    return MeasuredAblation(
        ablation,
        dataset.fingerprint,
        dataset.description,
        {
            row.name: tuple(find(row.design, protocol) for protocol in ablation.protocols)
            for row in ablation.rows
        },
    )


def run_ablation(
    ablation: Ablation,
    dataset: Dataset,
    store: Store,
    *,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluator | None = None,
    on_trained: Callable[[Trained], None] | None = None,
) -> MeasuredAblation:
    """Train the rows that ``store`` does not hold, seed by seed, and return all evaluations.

    The same call resumes an interrupted run, and returns at once when everything is stored.

    Raises:
        UserError: a row could not be trained at all.
    """
    wanted = {
        (row.name, protocol.seed): Wanted(
            row.design, protocol, f"{row.name}, seed {protocol.seed}"
        )
        for protocol in ablation.protocols
        for row in ablation.rows
    }
    train_named(
        wanted,
        ablation.task,
        dataset,
        store,
        workers=workers,
        device=device,
        evaluate=evaluate,
        on_trained=on_trained,
    )
    return stored(ablation, dataset, store)
