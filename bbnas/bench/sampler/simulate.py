"""Searches on a table: the real loop, whose trainings are looked up."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field, replace
from typing import Any

from bbnas.analysis.recommend import recommend
from bbnas.bench.sampler.bbcu import bbcu_like
from bbnas.bench.sampler.efficiency import Trace, Truth
from bbnas.bench.sampler.table import Table
from bbnas.design import Design
from bbnas.environment import environment_variables
from bbnas.errors import UserError, unknown
from bbnas.evaluation import Costs, Evaluation
from bbnas.files import MEMORY, temporary_folder
from bbnas.processes import sheltered, worker_pool
from bbnas.protocol import Protocol
from bbnas.searching import search
from bbnas.study import Guide, Study, StudyConfig
from bbnas.tasks import Task, get_task


@dataclass(frozen=True)
class Contender:
    """A way to search: the choices of a :class:`bbnas.study.StudyConfig`."""

    title: str
    sampler: str
    options: Mapping[str, Any] = field(default_factory=dict)
    early_stopping: bool = False
    guide: Guide = "none"


_PROPOSALS_ONLY = {"refine": False}

CONTENDERS: dict[str, Contender] = {
    "random": Contender("random", "random"),
    "random-stop": Contender("random, early stopping", "random", early_stopping=True),
    "nsga2": Contender("NSGA-II", "nsga2"),
    "tpe": Contender("TPE", "tpe"),
    "gp": Contender("GP", "gp"),
    "default": Contender("bbnas", "ehvi", early_stopping=True),
    "default-full": Contender("bbnas, no early stopping", "ehvi"),
    "ehvi": Contender("bbnas, no refining", "ehvi", _PROPOSALS_ONLY, early_stopping=True),
    "vcvp": Contender("bbnas, guided by VC, VP", "ehvi", early_stopping=True, guide="vcvp"),
}


@dataclass
class Lookup:
    """Evaluates by a table, with one run of each design, which the simulation's seed chooses.

    A training up to a rung takes its share of the whole training's seconds. ``log`` holds (design
    key, status, further seconds) of each call.
    """

    table: Table
    seed: int
    log: list[tuple[str, str, float]] = field(default_factory=list)
    largest_patch: int = 0  # confirmations, which alone ask for it, are not simulated
    _spent: dict[str, float] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return get_task(self.table.task)

    @property
    def protocol(self) -> Protocol:
        return self.table.protocol

    @property
    def data(self) -> str:
        return self.table.data

    @property
    def data_description(self) -> str:
        return self.table.data_description

    @property
    def skip_psnr(self) -> float | None:
        return self.table.skip_psnr

    @property
    def bicubic_psnr(self) -> float | None:
        return None

    def cost(self, design: Design) -> Costs:
        return self.table.by_key[design.key]

    def pausing(self, folder: str) -> Lookup:
        """The same: a look-up has no state to keep."""
        return self

    def __call__(
        self, design: Design, until: int | None = None, protocol: Protocol | None = None
    ) -> Evaluation:
        row = self.table.by_key[design.key]
        digest = hashlib.sha256(f"{self.seed} {design.key}".encode()).digest()
        whole = self.table.evaluation(row, row.runs[digest[0] % len(row.runs)])
        own = protocol or self.protocol.with_seed(self.seed)
        changes: dict[str, Any] = {"protocol": own}
        if until is not None and until in dict(whole.rungs):
            changes |= {
                "status": "stopped",
                "psnr": math.nan,
                "seconds": whole.seconds * until / own.iterations,
                "rungs": tuple(pair for pair in whole.rungs if pair[0] <= until),
            }
        evaluation = replace(whole, **changes)
        spent = self._spent.get(design.key, 0.0)
        self._spent[design.key] = evaluation.seconds
        self.log.append((design.key, evaluation.status, evaluation.seconds - spent))
        return evaluation


def simulate(table: Table, truth: Truth, name: str, seed: int, budget: int) -> Trace:
    """One search of ``budget`` designs by the contender ``name``."""
    contender = CONTENDERS[name]
    lookup = Lookup(table, seed)
    config = StudyConfig.of(
        lookup,
        table.space,
        name="simulated",
        seed=seed,
        sampler=contender.sampler,
        sampler_options=contender.options,
        early_stopping=contender.early_stopping,
        guide=contender.guide,
    )
    # A database in memory, where there is such a place: it is thrown away anyway.
    with temporary_folder(MEMORY if MEMORY.is_dir() else None) as folder:
        storage = f"sqlite:///{folder}/simulated.db"
        result = search(
            config, lookup, budget, storage=storage, workers=1, benefit=False, confirm=0
        )
    return _trace(table, truth, name, seed, lookup, result.study)


def _trace(
    table: Table, truth: Truth, name: str, seed: int, lookup: Lookup, study: Study
) -> Trace:
    begun: set[str] = set()
    designs, seconds, total = [], [], 0.0
    for key, _, more in lookup.log:
        begun.add(key)
        total += more
        designs.append(len(begun))
        seconds.append(total)
    found = [key if status == "ok" else "" for key, status, _ in lookup.log]
    try:
        chosen = recommend(study).candidate.evaluation.design
    except UserError:  # nothing useful was found
        words, psnr_loss, loss = "", math.nan, math.nan
        differs: tuple[str, ...] = ("nothing is recommended",)
    else:
        words = chosen.label()
        differs = tuple(bbcu_like(chosen, get_task(table.task).parts))
        psnr_loss = truth.knee.psnr - table.by_key[chosen.key].psnr
        loss = truth.behind(chosen.key)
    volume = truth.volumes(found)
    return Trace(
        *(name, seed, tuple(designs), tuple(seconds), tuple(volume)),
        *(words, differs, psnr_loss, loss),
    )


def simulate_all(
    table: Table,
    names: Sequence[str],
    seeds: int,
    budget: int,
    workers: int,
    on_done: Callable[[Trace, int, int, float], None] | None = None,
) -> list[Trace]:
    """Searches by each of ``names`` with seeds 0, 1, …, on so many processes, in that order.

    ``on_done`` is told each trace as it comes, how many there are of how many, and the seconds
    that the rest may take.

    Raises:
        UserError: no such contender, or a table in which nothing beats the global skip.
    """
    for name in names:
        if name not in CONTENDERS:
            raise unknown("contender", name, CONTENDERS)
    truth = truth_of(table)
    jobs = [(name, seed) for seed in range(seeds) for name in names]
    found: dict[tuple[str, int], Trace] = {}
    started = time.monotonic()
    with (
        environment_variables(_ONE_THREAD),
        worker_pool(min(workers, len(jobs)), _prepare, (table, truth, budget)) as pool,
    ):
        with sheltered():
            running = [pool.submit(_simulate, *job) for job in jobs]
        for future in as_completed(running):
            trace = future.result()
            found[trace.contender, trace.seed] = trace
            if on_done is not None:
                each = (time.monotonic() - started) / len(found)
                on_done(trace, len(found), len(jobs), each * (len(jobs) - len(found)))
    return [found[name, seed] for name in names for seed in range(seeds)]


def truth_of(table: Table) -> Truth:
    """The front of the means over the seeds.

    Raises:
        UserError: no design beats the global skip with every seed.
    """
    skip = -math.inf if table.skip_psnr is None else table.skip_psnr
    floor = skip + table.protocol.noise
    useful = [table.evaluation(row) for row in table.rows if row.psnr > floor]
    if not useful:
        raise UserError(
            f"the table of space {table.space.name!r} holds no design that beats the global skip "
            f"with every seed ({floor:.2f} dB); make it by a longer protocol"
        )
    return Truth(useful, table.skip_psnr)


# Numerical libraries read these when they are loaded: a worker computes with one thread.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# What a worker simulates on: sent once, not with each job.
_given: tuple[Table, Truth, int] | None = None


def _prepare(table: Table, truth: Truth, budget: int) -> None:
    global _given  # noqa: PLW0603 - an initializer has no other place
    _given = table, truth, budget


def _simulate(name: str, seed: int) -> Trace:
    assert _given is not None
    table, truth, budget = _given
    return simulate(table, truth, name, seed, budget)
