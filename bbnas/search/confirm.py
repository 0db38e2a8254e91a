"""Training the best candidates of a study again, longer and with other seeds, before one is
recommended.
"""

from __future__ import annotations

from collections.abc import Callable

from bbnas.analysis.estimates import estimate
from bbnas.analysis.pareto import useful
from bbnas.analysis.recommend import standing
from bbnas.design import Design
from bbnas.evaluation import Evaluation, Study
from bbnas.protocol import Protocol
from bbnas.search.executors import Executor
from bbnas.search.named import Wanted, measure_named
from bbnas.store import Store

# Times the training compute of the study's protocol, and with how many seeds.
FACTOR = 3.0
SEEDS = 2
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
    """``study`` with its ``best`` best candidates trained again, as far as they are not yet.

    ``largest`` is the side in pixels of the largest patch that every image has. Every one sees
    the same batches, so that their differences are those of the designs. Which
    are best is what the runs of the study tell, not what earlier confirmations do.

    Raises:
        UserError: one of them could not be trained at all.
    """
    config = study.config
    own = [c for c in study.candidates if not c.baseline and useful(config, c.evaluation)]
    if min(len(own), best) < 2:  # nothing to compare
        return study
    ranked = standing(config, estimate(config, own, study.evaluations())).estimates.candidates
    longer = config.protocol.longer(FACTOR, largest)
    protocols = [
        longer.model_copy(update={"seed": config.seed + seed}) for seed in range(1, SEEDS + 1)
    ]
    wanted = {
        (c.evaluation.design.key, protocol.seed): Wanted(
            c.evaluation.design, protocol, c.evaluation.design.label()
        )
        for protocol in protocols
        for c in ranked[:best]
    }
    known = {(e.design.key, e.protocol.key): e for e in study.confirmations}
    done = 0

    def find(design: Design, protocol: Protocol) -> Evaluation | None:
        return known.get((design.key, protocol.key)) or store.find_evaluation(
            design, config.task, protocol, config.data
        )

    def keep(_: tuple[str, int], found: Evaluation) -> None:
        nonlocal done
        store.refer(config.name, found)
        done += 1
        on_message(f"confirming, {done} of {len(wanted)}: {found.result}, {found.design.label()}")

    for found in measure_named(wanted, find, keep, execute).values():
        store.refer(config.name, found)  # those of another study too
    return store.load_study(config.name)
