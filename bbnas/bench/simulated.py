"""A study whose trainings are simulated, for benchmarks of everything but the training.

Designs are drawn from the space ``bbcu`` with their true costs. PSNR is a line through those costs
with noise, and a training is a sleep.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import NamedTuple

from bbnas.design import Design
from bbnas.evaluation import Costs, Evaluation
from bbnas.protocol import PROTOCOLS, Protocol
from bbnas.searching.samplers import sampler_options
from bbnas.space import Space, load_space
from bbnas.store.ledger import Job, Ledger
from bbnas.store.store import Store
from bbnas.store.studies import enter
from bbnas.study import StudyConfig
from bbnas.tasks import Task, get_task

NAME = "simulated"
SKIP = 24.8  # PSNR (dB) of the simulated global skip


class Price(NamedTuple):
    """OPs and Params, plain counts."""

    ops: float
    params: float


@dataclass(frozen=True)
class Simulated:
    """Evaluates a design by a formula, after a sleep of ``seconds`` for the whole training.

    ``prices`` are costs by :attr:`Design.key` of what decides them; others are counted, which
    needs torch: with all of them a worker does without its memory.
    """

    seconds: float = 0.0
    prices: Mapping[str, Price] = field(default_factory=dict)
    data: str = "simulated"
    data_description: str = "no images: simulated figures"
    skip_psnr: float | None = SKIP
    bicubic_psnr: float | None = None
    largest_patch: int = 0  # confirmations, which alone ask for it, are not simulated

    @property
    def task(self) -> Task:
        return get_task("sr4")

    @property
    def protocol(self) -> Protocol:
        return PROTOCOLS["proxy"]

    def cost(self, design: Design) -> Costs:
        known = self.prices.get(design.bare().key) if self.prices else None
        return known or _counted(design, self.task)

    def pausing(self, folder: str) -> Simulated:
        """The same: a formula has no state to keep."""
        return self

    def __call__(
        self, design: Design, until: int | None = None, protocol: Protocol | None = None
    ) -> Evaluation:
        costs, protocol = self.cost(design), protocol or self.protocol
        decades = math.log10(costs.ops) - 9
        psnr = SKIP + 0.8 + 0.2 * decades + 0.15 * luck(design)
        end = until or protocol.iterations
        if self.seconds:
            time.sleep(self.seconds * end / protocol.iterations)
        whole = until is None
        return Evaluation(
            design=design,
            task=self.task.name,
            protocol=protocol,
            data=self.data,
            status="ok" if whole else "stopped",
            psnr=psnr if whole else math.nan,
            ssim=0.7 if whole else math.nan,
            ops=costs.ops,
            params=costs.params,
            seconds=4.0 * end / protocol.iterations,
            curve=tuple((at, 0.03 + 0.02 * 0.99**at) for at in range(0, end + 1, 50)),
            rungs=tuple((at, psnr - 0.4 + 0.0004 * at) for at in protocol.rungs if at <= end),
            environment={"device": "simulated"},
        )


def _counted(design: Design, task: Task) -> Costs:
    from bbnas.cost import ops_and_params  # imports torch

    return ops_and_params(design, task)


def prices(space: Space, task: Task) -> dict[str, Price]:
    """The costs of all designs of a space whose parts are built as in the paper."""
    axes = space.axes
    sizes = product(axes.binarize, axes.width, axes.depth)
    designs = [Design(binarize=parts, width=width, depth=depth) for parts, width, depth in sizes]
    counted = {d.bare().key: _counted(d, task) for d in designs}
    return {key: Price(costs.ops, costs.params) for key, costs in counted.items()}


def luck(design: Design) -> float:
    """By how many standard deviations ``design`` is better than its costs say."""
    return Random(design.key).gauss(0, 1)


def simulated_study(sampler: str = StudyConfig.sampler) -> StudyConfig:
    """The study of which :class:`Simulated` evaluates the candidates."""
    evaluator = Simulated()
    space = load_space("bbcu", evaluator.task)
    options = sampler_options(sampler, {})
    return StudyConfig.of(evaluator, space, name=NAME, sampler=sampler, sampler_options=options)


class Filling:
    """A search's side of the database: it writes results without a search."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.random = Random(0)
        self.last = 0  # the number of the newest candidate

    @classmethod
    @contextmanager
    def on(cls, url: str, config: StudyConfig | None = None) -> Iterator[Filling]:
        store = Store(url, create=True)
        config = config or simulated_study()
        with Ledger(store, enter(store, config), config) as ledger:
            yield cls(ledger)
        store.close()

    def write(self, results: int, whole: bool = False) -> None:
        """Commit so many results, of which the best quarter is trained to the end, or all."""
        evaluate, protocol = Simulated(), self.ledger.config.protocol
        for _ in range(results):
            job: object = None
            while not isinstance(job, Job):  # the design is new
                job = self.ledger.claim(self.ledger.config.space.sample(self.random), "", 10**9)
            until = None if whole or luck(job.design) > 0.67 else protocol.rungs[0]
            self.ledger.finish(job, evaluate(job.design, until, protocol), {})
            self.last = job.number
