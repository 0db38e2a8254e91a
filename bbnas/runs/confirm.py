"""Training the best candidates of a study again, much longer, before one is recommended.

A short training favours what learns soon: BBCU without an activation is 0.05 dB ahead of BBCU
under the proxy, and 0.06 dB behind after twelve times its training (docs/measurements.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bbnas.analysis.estimates import estimate
from bbnas.analysis.pareto import useful
from bbnas.analysis.recommend import standing
from bbnas.analysis.surrogate import Array, discrepancy
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.protocol import Protocol
from bbnas.runs.executors import Executor
from bbnas.runs.train_all import Wanted, measure_named
from bbnas.store import Store
from bbnas.study import Study
from bbnas.tasks import get_task

# Times the training compute of the study's protocol, as the long protocol of bbnas fidelity. One
# seed, the same for all: it does much the same to all, and another design tells more.
FACTOR = 12.0
# Draws of how the candidates may stand then.
DRAWS = 2000
# Of a search whose user does not say: one in so many of its designs, and at most so many.
ONE_IN, MOST = 30, 6


def confirmed_by_default(budget: int) -> int:
    """How many of the best a search of ``budget`` designs trains again: 0, or 2 and more."""
    best = min(MOST, budget // ONE_IN)
    return best if best > 1 else 0


def confirm(
    store: Store,
    study: Study,
    best: int,
    largest: int,
    execute: Executor,
    on_message: Callable[[str], None],
) -> Study:
    """``study`` with ``best`` of its candidates trained again, as far as they are not yet: those
    among which the best is likely to be.

    ``largest`` is the side in pixels of the largest patch that every image has. Every one sees
    the same batches, so that their differences are those of the designs. Which are trained is
    what the runs of the study tell, not what earlier confirmations do.

    Raises:
        UserError: one of them could not be trained at all.
    """
    config = study.config
    own = [c for c in study.candidates if not c.baseline and useful(config, c.evaluation)]
    if min(len(own), best) < 2:  # nothing to compare
        return study
    order = standing(config, estimate(config, own, study.evaluations()))
    designs = [c.evaluation.design for c in order.estimates.candidates]
    covariance = order.estimates.covariance + discrepancy(designs)
    rng = np.random.default_rng(config.seed)
    protocol = config.protocol.longer(FACTOR, largest).with_seed(config.seed + 1)
    wanted = {
        designs[i].key: Wanted(designs[i], protocol, designs[i].label())
        for i in promising(order.score, covariance, best, rng)
    }
    known = {(e.design.key, e.protocol.key): e for e in study.confirmations}
    done = 0

    def find(design: Design, protocol: Protocol) -> Evaluation | None:
        return known.get((design.key, protocol.key)) or store.find_evaluation(
            design, get_task(config.task), protocol, config.data
        )

    def keep(_: str, found: Evaluation) -> None:
        nonlocal done
        store.refer(config.name, found)
        done += 1
        on_message(f"confirming, {done} of {len(wanted)}: {found.result}, {found.design.label()}")

    for found in measure_named(wanted, find, keep, execute).values():
        store.refer(config.name, found)  # those of another study too
    return store.load_study(config.name)


def promising(score: Array, covariance: Array, number: int, rng: np.random.Generator) -> list[int]:
    """So many of n candidates, each of which adds most to the expected best of them: unlike each
    other as well as good.

    ``score`` (n) and ``covariance`` (n, n) are what is believed of them.
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
