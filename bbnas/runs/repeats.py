"""Repeats: one design under other seeds, which shows the noise between runs."""

from __future__ import annotations

from collections.abc import Callable

from bbnas.design import Design
from bbnas.evaluation import Evaluation, Evaluator
from bbnas.runs.train_all import Request, Trained, train_all
from bbnas.store import Store


def measure_repeats(
    design: Design,
    evaluator: Evaluator,
    store: Store,
    repeats: int,
    *,
    workers: int | None = None,
    on_done: Callable[[Trained], None] | None = None,
) -> list[Evaluation]:
    """The evaluations of ``design`` with the ``repeats`` seeds after the evaluator's.

    They are taken from ``store`` or written to it (:func:`bbnas.runs.train_all.train_all`).

    Raises:
        UserError: the design could not be trained at all.
    """
    protocol = evaluator.protocol
    requests = {
        seed: Request(design, protocol.with_seed(seed), f"recommended design, seed {seed}")
        for seed in range(protocol.seed + 1, protocol.seed + 1 + repeats)
    }
    done = train_all(requests, evaluator, store, workers=workers, on_done=on_done)
    return list(done.values())
