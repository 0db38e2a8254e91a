"""Running an ablation: every row is trained with every seed and stored as soon as it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bbnas.ablations.ablation import Ablation, MeasuredAblation
from bbnas.design import Design
from bbnas.evaluation import Evaluation, Evaluator
from bbnas.protocol import Protocol
from bbnas.runs.train_all import Request, Trained, train_all
from bbnas.store import Store
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from bbnas.data import Dataset


def stored(ablation: Ablation, dataset: Dataset, store: Store | None) -> MeasuredAblation:
    """An ablation with the evaluations that ``store`` holds; None is an empty store."""
    task = get_task(ablation.task)

    def find(design: Design, protocol: Protocol) -> Evaluation | None:
        if store is None:
            return None
        return store.find_evaluation(design, task, protocol, dataset.fingerprint)

    return MeasuredAblation(
        ablation,
        dataset.fingerprint,
        dataset.description,
        {
            row.name: tuple(
                find(row.design, ablation.protocol_of(row, seed)) for seed in range(ablation.seeds)
            )
            for row in ablation.rows
        },
    )


def run_ablation(
    ablation: Ablation,
    evaluator: Evaluator,
    store: Store,
    *,
    workers: int | None = None,
    on_done: Callable[[Trained], None] | None = None,
) -> MeasuredAblation:
    """Train the rows that ``store`` does not hold, seed by seed, and return all evaluations.

    ``store``, ``workers`` and ``on_done`` are those of :func:`bbnas.runs.train_all.train_all`: the
    same call resumes an interrupted run, and returns at once when everything is stored.

    Raises:
        UserError: a row could not be trained at all.
    """
    requests = {
        (row.name, seed): Request(
            row.design, ablation.protocol_of(row, seed), f"{row.name}, seed {seed}"
        )
        for seed in range(ablation.seeds)
        for row in ablation.rows
    }
    done = train_all(requests, evaluator, store, workers=workers, on_done=on_done)
    return MeasuredAblation(
        ablation,
        evaluator.data,
        evaluator.data_description,
        {
            row.name: tuple(done[row.name, seed] for seed in range(ablation.seeds))
            for row in ablation.rows
        },
    )
