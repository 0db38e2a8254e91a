"""Confirming: the best candidates of a study are trained again, longer, before one is recommended.

A short training favours designs that learn fast: under the proxy, BBCU without an activation is
0.05 dB ahead of BBCU; after twelve times the training it is 0.06 dB behind (docs/measurements.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bbnas.analysis.estimates import estimate
from bbnas.analysis.knee import standing
from bbnas.analysis.surrogate import Array, discrepancy
from bbnas.evaluation import Evaluator
from bbnas.runs.executors import Executor
from bbnas.runs.references import train_references
from bbnas.runs.train_all import Request
from bbnas.store.ledger import Ledger

# Training compute of a confirmation in multiples of the study's protocol, as in bbnas fidelity.
# All candidates are trained with one seed: a seed shifts all of them alike, so compute is better
# spent on another design than on another seed.
FACTOR = 12.0
DRAWS = 2000  # draws from the joint distribution of the candidates' scores
# The default number of confirmations: one for every ONE_IN designs of the budget, at most MOST.
ONE_IN, MOST = 30, 6


def confirmed_by_default(budget: int) -> int:
    """The number of candidates that a search of ``budget`` designs confirms: 0, or at least 2."""
    best = min(MOST, budget // ONE_IN)
    return best if best > 1 else 0


def confirm(
    ledger: Ledger,
    best: int,
    evaluator: Evaluator,
    workers_used: Executor,
    max_retries: int,
    say: Callable[[str], None],
) -> None:
    """Train ``best`` candidates of the ledger's study again, FACTOR times longer, as references;
    see :func:`bbnas.runs.references.train_references`.

    They are those among which the best candidate most likely is, by the study's own evaluations:
    earlier confirmations do not change the choice. All see the same batches, so differences
    between them are those of the designs. ``workers_used`` are open workers of ``evaluator``.
    """
    study = ledger.store.load_study(ledger.config.name)
    config, own = study.config, study.own()
    if min(len(own), best) < 2:  # nothing to compare
        return
    order = standing(config, estimate(config, own, study.evaluations()))
    designs = [c.evaluation.design for c in order.estimates.candidates]
    covariance = order.estimates.covariance + discrepancy(designs)
    rng = np.random.default_rng(config.seed)
    longer = config.protocol.longer(FACTOR, evaluator.largest_patch).with_seed(config.seed + 1)
    chosen = [designs[i] for i in promising(order.score, covariance, best, rng)]
    requests = {design.key: Request(design, longer, design.label()) for design in chosen}
    train_references(requests, ledger, workers_used, max_retries, "confirming", say)


def promising(score: Array, covariance: Array, number: int, rng: np.random.Generator) -> list[int]:
    """Indices of at most ``number`` of n candidates, chosen one after another.

    Each adds most to the expected score of the best chosen one, so they differ from each other as
    well as score high. ``score`` (n) and ``covariance`` (n, n) are the mean and covariance of the
    candidates' true scores.
    """
    draws = rng.multivariate_normal(score, covariance, DRAWS, method="eigh")
    reached = np.full(DRAWS, -np.inf)
    chosen: list[int] = []
    for _ in range(min(number, len(score))):
        expected = np.maximum(draws, reached[:, None]).mean(axis=0)
        expected[chosen] = -np.inf
        chosen.append(int(np.argmax(expected)))
        reached = np.maximum(reached, draws[:, chosen[-1]])
    return chosen
