"""Does the proxy rank designs as longer training does? Designs drawn for that, trained by both."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from bbnas.analysis.fidelity import fidelity
from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluation, MeasuredFidelity
from bbnas.protocol import Protocol
from bbnas.search.executors import Evaluate, Training, executor
from bbnas.search.named import Wanted, measure_named
from bbnas.space import Space
from bbnas.store import Store
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
    proxy: Protocol,
    store: Store,
    *,
    designs: int = 24,
    long_factor: float = 12,
    seeds: int = 3,
    seed: int = 0,
    workers: int = 1,
    device: str = "cpu",
    evaluate: Evaluate | None = None,
    on_message: Callable[[str], None] | None = None,
) -> MeasuredFidelity:
    """Train ``designs`` by the proxy and by one of ``long_factor`` times its compute, and compare.

    What ``store`` holds is not trained again, so the same call goes on where it was interrupted.
    Every sixth design is trained with ``seeds`` seeds. The result is kept under the proxy. What
    is no better than the global skip by more than the proxy's noise counts as learning nothing.

    Raises:
        UserError: bad arguments, or a design that could not be trained at all.
    """
    chosen = {design.key: design for design in draw(space.restricted(task), designs, seed)}
    long = proxy.longer(long_factor)
    few = dict(list(chosen.items())[::REPEATED])
    wanted = {
        (name, s, key): Wanted(design, protocol.model_copy(update={"seed": seed + s}))
        for name, protocol in (("proxy", proxy), ("long", long))
        for s in range(seeds)
        for key, design in (few if s else chosen).items()
    }

    def find(design: Design, protocol: Protocol) -> Evaluation | None:
        return store.find_evaluation(design, task.name, protocol, dataset.fingerprint)

    missing = {key for key, (design, protocol) in wanted.items() if not find(design, protocol)}
    done = len(wanted) - len(missing)

    def keep(key: tuple[str, int, str], new: Evaluation) -> None:
        nonlocal done
        store.add_evaluation(new)
        done += 1
        if on_message is not None:
            on_message(f"{done}/{len(wanted)} {key[0]}, {new.result}, {new.design.label()}")

    train = evaluate or Training(task.name, proxy, dataset, device)
    execute = executor(min(workers, max(1, len(missing))), train)
    try:
        found = measure_named(wanted, find, keep, execute)
    finally:
        execute.close()
    by = {name: [e for key, e in found.items() if key[0] == name] for name in ("proxy", "long")}
    floor = -math.inf
    if evaluate is None:
        from bbnas.training.scoring import skip_psnr

        floor = proxy.noise + skip_psnr(task, dataset.validation, proxy.validation_side)
    measured = MeasuredFidelity(
        task=task.name,
        space=space.name,
        protocol=proxy,
        long=long,
        data=dataset.fingerprint,
        result=fidelity(by["proxy"], by["long"], task, floor).to_dict(),
        environment=by["long"][0].environment,
    )
    store.add_fidelity(measured)
    return measured
