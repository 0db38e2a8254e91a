"""Do proxies rank designs as longer training does? Designs drawn for that, trained by all."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bbnas.analysis.fidelity import fidelity
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluator, MeasuredFidelity
from bbnas.protocol import Protocol
from bbnas.runs.train_all import Trained, Wanted, train_named
from bbnas.space import Space
from bbnas.store import Store
from bbnas.store.fidelities import add_fidelity
from bbnas.tasks import Task

if TYPE_CHECKING:
    from bbnas.data import Dataset

DRAWS = 4000
# Every REPEATED-th design is trained with all seeds: a few tell the noise.
REPEATED = 6


def draw(space: Space, designs: int, seed: int = 0) -> list[Design]:
    """``designs`` distinct designs, spread over the choices that decide most.

    Strata are the 1-bit parts, normalisation and alignment; within one, and among strata, the
    order is that of a hash of seed and canonical key: no draw depends on what was found before.

    Raises:
        UserError: the space has fewer.
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
    found: list[Design] = []
    while len(found) < designs:
        for stratum in order:
            if strata[stratum] and len(found) < designs:
                found.append(strata[stratum].pop(0))
    return found


def _stratum(design: Design) -> str:
    aligned = design.k_ratio is not None and 1 / 8 <= design.k_ratio <= 8
    parts = "+".join(design.binarize)
    return f"{design.method} {parts} {design.norm} {'aligned' if aligned else 'not'}"


def measure_fidelity(
    space: Space,
    task: Task,
    dataset: Dataset,
    proxies: Sequence[Protocol],
    store: Store,
    *,
    long: Protocol | None = None,
    designs: int = 24,
    long_factor: float = 12,
    seeds: int = 3,
    seed: int = 0,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluator | None = None,
    on_trained: Callable[[Trained], None] | None = None,
) -> list[MeasuredFidelity]:
    """Train ``designs`` by each of ``proxies`` and by ``long``, and compare each with the latter.

    ``long`` is, unless given, the first proxy with ``long_factor`` times its compute. What
    ``store`` holds is not trained again, so the same call goes on where it was interrupted.
    Every sixth design is trained with ``seeds`` seeds. A result is kept under its proxy. What is
    no better than the global skip by more than the first proxy's noise counts as learning nothing.

    Raises:
        UserError: bad arguments, or a design that could not be trained at all.
    """
    chosen = {design.key: design for design in draw(space.restricted(task), designs, seed)}
    long = long or proxies[0].longer(long_factor, dataset.largest_patch)
    few = dict(list(chosen.items())[::REPEATED])
    wanted = {
        (place, s, key): Wanted(
            design,
            protocol.model_copy(update={"seed": seed + s}),
            f"{protocol.name}, {design.label()}, seed {seed + s}",
        )
        for place, protocol in enumerate((*proxies, long))
        for s in range(seeds)
        for key, design in (few if s else chosen).items()
    }
    found = train_named(
        wanted,
        task.name,
        dataset,
        store,
        workers=workers,
        device=device,
        evaluate=evaluate,
        on_trained=on_trained,
    )
    by = [[e for key, e in found.items() if key[0] == place] for place in range(len(proxies) + 1)]
    floor = -math.inf
    if evaluate is None:
        from bbnas.inference.scoring import skip_psnr

        side = proxies[0].validation_side
        floor = proxies[0].noise + skip_psnr(task, dataset.validation, side)
    measured = [
        MeasuredFidelity(
            task=task.name,
            space=space.name,
            protocol=proxy,
            long=long,
            data=dataset.fingerprint,
            result=fidelity(short, by[-1], task, floor).to_dict(),
            environment=by[-1][0].environment,
        )
        for proxy, short in zip(proxies, by, strict=False)
    ]
    for each in measured:
        add_fidelity(store, each)
    return measured
