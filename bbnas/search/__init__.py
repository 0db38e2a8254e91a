"""Searching a design space: ask the sampler, evaluate on the workers, tell and keep."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bbnas.design import Design
from bbnas.errors import UserError, unknown
from bbnas.evaluation import Evaluation, LatencySetting
from bbnas.presets import load_design
from bbnas.protocol import Protocol
from bbnas.runs.benefit import (
    benefit_designs,
    binarization_order,
    measure_benefit,
    measure_study_benefit,
)
from bbnas.runs.confirm import confirm as confirm_best
from bbnas.runs.executors import Evaluate, Executor, Training, executor
from bbnas.runs.train_all import Wanted, measure_named
from bbnas.search.prices import Clock, Cost, Prices
from bbnas.search.samplers import SAMPLERS, make_sampler, sampler_options
from bbnas.space import Space
from bbnas.store import Store, paused_folder, ready_url, storage_url, valid_name
from bbnas.store.ledger import Counts, Ledger
from bbnas.store.studies import enter, stored_config
from bbnas.study import DEFAULT_OBJECTIVES, OBJECTIVES, Study, StudyConfig
from bbnas.tasks import Task, get_task

if TYPE_CHECKING:
    from bbnas.data import Dataset
    from bbnas.search.loop import Event, Loop

__all__ = [
    "SAMPLERS",
    "SearchResult",
    "available_cores",
    "measure_benefit",
    "measure_study_benefit",
    "sampler_options",
    "search",
    "summary",
]

Guide = Literal["none", "vcvp"]
GUIDES: tuple[Guide, ...] = ("none", "vcvp")


@dataclass(frozen=True)
class SearchResult:
    """How a search ended. ``counts`` are the study's, ``trained`` and ``seconds`` this call's.

    ``complete``: the budget is reached, or the space holds no further design (``note`` says so).
    ``interrupted``: by Ctrl-C; the same call goes on where this one stopped.
    """

    study: Study
    counts: Counts
    trained: int
    seconds: float
    complete: bool
    interrupted: bool
    note: str = ""


def search(
    space: Space,
    task: Task,
    dataset: Dataset,
    protocol: Protocol,
    budget: int,
    *,
    name: str,
    storage: str | None = None,
    sampler: str = "ehvi",
    options: Mapping[str, Any] | None = None,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    seed: int = 0,
    workers: int | None = None,
    baselines: Sequence[str] | Mapping[str, Design] = (),
    max_ops: float | None = None,
    max_params: float | None = None,
    max_latency: float | None = None,
    latency: LatencySetting | None = None,
    guide: Guide = "none",
    refine: bool = True,
    early_stopping: bool = True,
    confirm: int = 0,
    device: str = "cpu",
    evaluate: Evaluate | None = None,
    cost: Callable[[Design], Cost] | None = None,
    skip_psnr: float | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> SearchResult:
    """Evaluate designs of ``space`` until the study ``name`` holds ``budget`` distinct ones.

    The same call again resumes the study, whatever ended it, or returns at once if it is
    complete. Diverged candidates and baselines count; what another study in the same database
    has evaluated under the same circumstances is taken from there.

    - ``storage``: a database URL; ``studies/NAME.db`` by default.
    - ``options``: of the sampler (see ``SAMPLERS``); those of the study by default.
    - ``seed``: of the sampler and of every training (it replaces the protocol's).
    - ``workers``: processes; as many as there are cores by default. 1 is this process.
    - ``baselines``: presets or YAML files by name, or designs by label, evaluated first and
      marked as such; they may lie outside the space. Of equal networks the first is taken.
    - ``max_ops``, ``max_params``: plain counts; a design over them is rejected before training.
    - ``max_latency``: seconds, as the objective ``latency`` measured on this machine's engine
      before a design is trained, in the setting ``latency``
      (:func:`bbnas.engine.latency.setting` of one thread by default).
    - ``guide``: ``vcvp`` measures each part alone and binarizes parts in the order found.
    - ``refine``: every second candidate differs in one choice from the knee found so far.
    - ``early_stopping``: a candidate is stopped at one of the protocol's rungs where
      :func:`bbnas.search.stopping.worth_more` gives it no chance. It counts as evaluated, and goes
      on where it was stopped if it looks better beside later ones. A study may change this.
    - ``confirm``: so many of the best are trained again at the end, much longer
      (:mod:`bbnas.runs.confirm`); the recommendation is then one of them.
    - ``evaluate``, ``cost``, ``skip_psnr`` (dB): instead of training, counting, and scoring the
      global skip; ``evaluate`` must pickle.
    - ``on_event``: called after each step, in this process.

    Raises:
        UserError: bad arguments; a study of that name with another space, task, protocol, …;
            limits that no design keeps; a database that cannot be used or whose disk is full
            (what was finished is kept).
    """
    limits = _limits(ops=max_ops, params=max_params, latency=max_latency)
    workers = _checked(budget, seed, workers, objectives, guide, confirm)
    make_sampler(sampler, sampler_options(sampler, options), seed)  # else a database for nothing
    protocol = protocol.with_seed(seed)
    named = _named(baselines, task)
    space = space.fitted(task)
    if evaluate is None:
        skip_psnr = _skip_psnr(task, dataset, protocol)
    measures = "latency" in objectives or "latency" in limits
    if measures and latency is None:
        from bbnas.engine.latency import setting

        latency = setting()
    name = valid_name(name)
    url = ready_url(name) if storage is None else storage_url(storage)
    store = Store(url, create=True)
    if evaluate is None:
        evaluate = Training(task, protocol, dataset, device, paused_folder(url, name))
    if options is None and (before := stored_config(store, name)) and before.sampler == sampler:
        options = before.sampler_options
    config = StudyConfig(
        name=name,
        space=space.to_dict(),
        task=task.name,
        protocol=protocol,
        data=dataset.fingerprint,
        data_description=dataset.description,
        objectives=tuple(objectives),
        sampler=sampler,
        sampler_options=sampler_options(sampler, options),
        guide=guide,
        refine=refine,
        early_stopping=early_stopping,
        seed=seed,
        max_ops=max_ops,
        max_params=max_params,
        max_latency=max_latency,
        skip_psnr=skip_psnr,
        latency=latency.to_dict() if latency is not None and measures else None,
    )
    if cost is None:
        from bbnas.cost import ops_and_params

        cost = partial(ops_and_params, task=task)
    clock = Clock(store, task, latency) if latency is not None and measures else None
    started = time.monotonic()
    interrupted = False
    with Ledger(store, enter(store, config), config) as ledger:
        counts = ledger.counts()
        left = max(1, budget - counts.done + counts.stopped, confirm)
        workers_used = executor(min(workers, left), evaluate)
        loop: Loop | None = None
        try:
            if guide == "vcvp":
                space = _guided(space, task, ledger, workers_used)
            loop = _loop(ledger, space, Prices(cost, clock), budget, limits, named, on_event)
            _run(loop, workers_used)
            if confirm:
                largest = dataset.largest_patch
                found = store.load_study(name)
                confirm_best(store, found, confirm, largest, workers_used, loop.say)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            # In this order: a worker must not outlive its claim.
            workers_used.close()
            if loop is not None:
                loop.close()
    counts = ledger.counts()
    study = store.load_study(name)
    store.close()
    return SearchResult(
        study=study,
        counts=counts,
        trained=loop.trained if loop is not None else 0,
        seconds=time.monotonic() - started,
        complete=counts.done >= budget or (loop is not None and loop.exhausted),
        interrupted=interrupted,
        note=loop.note if loop is not None else "",
    )


def summary(study: Study, result: SearchResult) -> dict[str, Any]:
    """A search in plain values, as ``--json`` prints it; ``recommended`` may be None.

    ``methods`` are those of :func:`bbnas.analysis.rank_methods`, best first: the mean difference
    ``against`` BBCU in dB at the ``sizes`` that both have, and the ``best`` PSNR.
    """
    from bbnas.analysis import front, recommend

    try:
        chosen = recommend(study)
        recommended = _point(chosen.candidate.evaluation) | {
            "estimate": chosen.psnr,
            "error": chosen.error,
            "ties": len(chosen.ties),
        }
    except UserError:
        recommended = None
    return {
        "study": study.config.name,
        "storage": study.storage,
        "space": study.config.space["name"],
        "task": study.config.task,
        "seed": study.config.seed,
        "evaluated": len(study.candidates),
        "stopped": result.counts.stopped,
        "failed": result.counts.failed,
        "duplicates": study.duplicates,
        "rejected": study.rejected,
        "reused": result.counts.reused,
        "seconds": round(result.seconds, 3),
        "complete": result.complete,
        "latency": study.config.latency,
        "confirmed": len({e.design.key for e in study.confirmations}),
        "recommended": recommended,
        "methods": _methods(study),
        "front": [_point(candidate.evaluation) for candidate in front(study)],
    }


def _methods(study: Study) -> list[dict[str, Any]]:
    from bbnas.analysis import rank_methods

    ranking = rank_methods(study)
    return [
        {"method": row.method, "against": row.against, "sizes": row.pairs, "best": row.best}
        for row in (ranking.rows if ranking else ())
    ]


def _point(found: Evaluation) -> dict[str, Any]:
    return {
        "design": found.design.to_dict(),
        "psnr": found.psnr,
        "ssim": found.ssim,
        "ops": found.ops,
        "params": found.params,
        **({"latency": found.latency} if math.isfinite(found.latency) else {}),
    }


def _run(loop: Loop, workers: Executor) -> None:
    while True:
        workers.run(loop)
        if loop.over:
            return
        # The rest is being evaluated by another process, or was by one that is about to be
        # found dead.
        time.sleep(0.5)


def _loop(
    ledger: Ledger,
    space: Space,
    prices: Prices,
    budget: int,
    limits: dict[str, float],
    baselines: Mapping[str, Design],
    on_event: Callable[[Event], None] | None,
) -> Loop:
    from bbnas.search.limits import Limits
    from bbnas.search.loop import Loop
    from bbnas.search.proposals import Proposals
    from bbnas.search.trials import Trials

    config = ledger.config
    claimed = ledger.counts().claimed
    trials = Trials(
        space,
        config.objectives,
        config.sampler,
        config.sampler_options,
        config.seed,
        resumed_at=claimed,
        floor=config.floor,
    )
    rng = np.random.default_rng([config.seed, claimed])
    return Loop(
        ledger=ledger,
        trials=trials,
        space=space,
        prices=prices,
        proposals=Proposals(space, config, prices, rng),
        budget=budget,
        rng=rng,
        limits=Limits(space, prices, limits),
        baselines=tuple(baselines.items()),
        on_event=on_event,
    )


def _guided(space: Space, task: Task, ledger: Ledger, workers: Executor) -> Space:
    config = ledger.config

    def find(design: Design, protocol: Protocol) -> Evaluation | None:
        return ledger.store.find_evaluation(design, get_task(config.task), protocol, config.data)

    def keep(_name: str, reference: Evaluation) -> None:
        ledger.refer(reference)

    designs = benefit_designs(task, space).items()
    wanted = {name: Wanted(design, config.protocol, name) for name, design in designs}
    found = measure_named(wanted, find, keep, workers)
    for reference in found.values():  # those of another study too
        ledger.refer(reference)
    ever = {part for subset in space.axes.binarize for part in subset}
    return space.guided([part for part in binarization_order(found) if part in ever])


def _skip_psnr(task: Task, dataset: Dataset, protocol: Protocol) -> float:
    from bbnas.inference.scoring import skip_psnr

    return skip_psnr(task, dataset.validation, protocol.validation_side)


def _named(baselines: Sequence[str] | Mapping[str, Design], task: Task) -> dict[str, Design]:
    """The distinct networks among the baselines by their first names, as they fit the task."""
    if not isinstance(baselines, Mapping):
        baselines = {baseline: load_design(baseline, task) for baseline in baselines}
    fitting = {name: d.fitted(task) for name, d in baselines.items()}
    first = {design.key: name for name, design in reversed(fitting.items())}
    return {name: design for name, design in fitting.items() if first[design.key] == name}


def _limits(**given: float | None) -> dict[str, float]:
    limits = {name: float(limit) for name, limit in given.items() if limit is not None}
    for name, limit in limits.items():
        if not limit > 0 or math.isinf(limit):
            raise UserError(f"max_{name} = {limit:g}: must be a number above 0")
    return limits


def _checked(
    budget: int,
    seed: int,
    workers: int | None,
    objectives: Sequence[str],
    guide: str,
    confirm: int,
) -> int:
    if budget < 1:
        raise UserError(f"budget {budget}: must be at least 1 design")
    if seed < 0:
        raise UserError(f"seed {seed}: must be 0 or more")
    if confirm < 0 or confirm == 1:
        raise UserError(f"confirm {confirm}: must be 0, or 2 or more to compare")
    if workers is not None and workers < 1:
        raise UserError(f"workers {workers}: must be at least 1")
    if not objectives or len(set(objectives)) < len(objectives):
        raise UserError(
            f"objectives {', '.join(objectives) or 'none'}: must be one or more of "
            f"{', '.join(OBJECTIVES)}, each once"
        )
    for objective in objectives:
        if objective not in OBJECTIVES:
            raise unknown("objective", objective, OBJECTIVES)
    if guide not in GUIDES:
        raise unknown("guide", guide, GUIDES)
    return workers or available_cores()


def available_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
