"""Fidelity: how well short protocols rank designs as longer training does."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence

from bbnas.analysis.fidelity import fidelity
from bbnas.axes import aligned
from bbnas.design import Design
from bbnas.environment import today
from bbnas.errors import UserError
from bbnas.evaluation import Evaluator
from bbnas.fidelity import MeasuredFidelity
from bbnas.protocol import Protocol
from bbnas.runs.confirm import FACTOR
from bbnas.runs.train_all import Request, Trained, train_all
from bbnas.space import Space
from bbnas.store import Store
from bbnas.store.fidelities import add_fidelity

DRAWS = 4000  # random designs from which a draw is made: enough to meet every stratum
REPEATED = 6  # every sixth design is trained with all seeds: a few suffice to estimate the noise


def draw(space: Space, designs: int, seed: int = 0) -> list[Design]:
    """``designs`` distinct designs, spread over the choices that matter most.

    Strata are the 1-bit parts, normalisation and alignment. The order of the strata, and of the
    designs in each, is that of a hash of ``seed`` and canonical key, so a draw depends on nothing
    else.

    Raises:
        UserError: the space has fewer designs.
    """
    if space.count() < designs:
        raise UserError(f"space {space.name!r} holds {space.count()} designs: ask for fewer")
    rng = random.Random(seed)
    pool = {design.key: design for design in (space.sample(rng) for _ in range(DRAWS))}
    if len(pool) < designs:
        pool = {design.key: design for design in space.enumerate()}

    def place(text: str) -> str:
        return hashlib.sha256(f"{seed} {text}".encode()).hexdigest()

    strata: dict[str, list[Design]] = {}
    for design in sorted(pool.values(), key=lambda d: place(d.key)):
        strata.setdefault(_stratum(design), []).append(design)
    order = sorted(strata, key=place)
    drawn: list[Design] = []
    while len(drawn) < designs:
        for stratum in order:
            if strata[stratum] and len(drawn) < designs:
                drawn.append(strata[stratum].pop(0))
    return drawn


def _stratum(design: Design) -> str:
    parts = "+".join(design.binarize)
    return (
        f"{design.method} {parts} {design.norm} {'aligned' if aligned(design.k_ratio) else 'not'}"
    )


def measure_fidelity(
    space: Space,
    evaluator: Evaluator,
    store: Store,
    *,
    others: Sequence[Protocol] = (),
    long: Protocol | None = None,
    designs: int = 24,
    long_factor: float = FACTOR,
    seeds: int = 3,
    seed: int = 0,
    workers: int | None = None,
    on_done: Callable[[Trained], None] | None = None,
) -> list[MeasuredFidelity]:
    """Compare how the evaluator's protocol, and each of ``others``, ranks designs with ``long``.

    ``designs`` designs of ``space`` are trained by all of them, every sixth with ``seeds`` seeds.
    ``long`` is by default the evaluator's protocol with ``long_factor`` times its compute. Each
    result is written to ``store``. Trainings are taken from ``store`` or written to it, so the
    same call resumes after an interruption (:func:`bbnas.runs.train_all.train_all`). A design
    whose PSNR exceeds that of the global skip by no more than the protocol's noise has learned
    nothing.

    Raises:
        UserError: bad arguments, or a design that could not be trained at all.
    """
    task, first = evaluator.task, evaluator.protocol
    proxies = (first, *others)
    drawn = {design.key: design for design in draw(space.fitted(task), designs, seed)}
    long = long or first.longer(long_factor, evaluator.largest_patch)
    repeated = dict(list(drawn.items())[::REPEATED])
    requests = {
        (place, s, key): Request(
            design,
            protocol.with_seed(seed + s),
            f"{protocol.name}, {design.label()}, seed {seed + s}",
        )
        for place, protocol in enumerate((*proxies, long))
        for s in range(seeds)
        for key, design in (repeated if s else drawn).items()
    }
    done = train_all(requests, evaluator, store, workers=workers, on_done=on_done)
    by = [[e for key, e in done.items() if key[0] == place] for place in range(len(proxies) + 1)]
    skip = evaluator.skip_psnr
    floor = -math.inf if skip is None else first.noise + skip
    measured = [
        MeasuredFidelity(
            task=task.name,
            space=space.name,
            protocol=proxy,
            long=long,
            data=evaluator.data,
            result=fidelity(short, by[-1], task, floor),
            environment=by[-1][0].environment,
            measured=today(),
        )
        for proxy, short in zip(proxies, by, strict=False)
    ]
    for each in measured:
        add_fidelity(store, each)
    return measured
