"""Searching a design space: ask a sampler, evaluate on the workers, record, recommend."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.evaluation import Evaluator
from bbnas.runs.benefit import benefit_designs, binarization_order, measure_benefit
from bbnas.runs.confirm import confirm as confirm_best
from bbnas.runs.confirm import confirmed_by_default
from bbnas.runs.executors import Executor, executor, usual_workers
from bbnas.runs.placement import Placement
from bbnas.searching.limits import Limits
from bbnas.searching.prices import Clock, Prices
from bbnas.searching.samplers import SAMPLERS, Setting, make_sampler, sampler_options
from bbnas.searching.summary import summary
from bbnas.space import Space
from bbnas.store import default_url, open_store, paused_folder, spool_folder
from bbnas.store.counts import Counts
from bbnas.store.ledger import Ledger
from bbnas.store.studies import enter, stored_config
from bbnas.study import Study, StudyConfig
from bbnas.tasks import Task, get_task

if TYPE_CHECKING:
    from bbnas.device import Device
    from bbnas.searching.loop import Event, Loop

__all__ = ["SAMPLERS", "SearchResult", "sampler_options", "search", "summary"]


@dataclass(frozen=True)
class SearchResult:
    """The end of a search. ``counts`` are the study's, ``trained`` and ``seconds`` this call's.

    ``complete``: the budget is reached, or the space holds no further design (``note`` says so).
    ``interrupted``: by Ctrl-C; the same call resumes the study. ``suggesting`` are the seconds
    that each suggestion of the sampler took, ``database_seconds`` those of all transactions
    after the study was read.
    """

    study: Study
    counts: Counts
    trained: int
    seconds: float
    complete: bool
    interrupted: bool
    note: str = ""
    suggesting: tuple[float, ...] = ()
    database_seconds: float = 0.0


def search(
    config: StudyConfig,
    evaluator: Evaluator,
    budget: int,
    *,
    storage: str | None = None,
    storage_patience: float = 600.0,
    artifacts: str | None = None,
    workers: int | None = None,
    placement: Placement | None = None,
    baselines: Mapping[str, Design] | None = None,
    benefit: bool = True,
    confirm: int | None = None,
    device: Device | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> SearchResult:
    """Evaluate designs of ``config.space`` until the study holds ``budget`` distinct ones.

    The same call again resumes the study, whatever ended it, or returns at once if it is
    complete. Diverged candidates, stopped candidates and baselines count. An evaluation that
    another study of the same database made under the same circumstances is reused.

    - ``config``: what to search and how; :meth:`bbnas.study.StudyConfig.of` makes one.
    - ``evaluator``: trains a design, or looks it up; it must be the one that ``config`` names.
    - ``storage``: a database URL; ``studies/NAME.db`` by default.
    - ``storage_patience``: seconds that a database is waited for whose server goes away, or whose
      file another program locks.
    - ``artifacts``: the path or URL (of fsspec, such as ``s3://…``) of a folder for the states of
      paused trainings, where every machine reads it; by default beside the database if that is
      a file, else in the database.
    - ``workers``: processes; by default the number of cores, at most four a GPU, and on a cluster
      as many as it has room for. 1 is this process, unless ``placement`` sets a limit.
    - ``placement``: a Ray cluster to run them on, and limits of a candidate; see
      :class:`bbnas.runs.placement.Placement`.
    - ``baselines``: designs by name, evaluated first and marked as such; they may lie outside the
      space. Of equal networks the first is taken.
    - ``benefit``: at the end, full precision and each part binarized alone are trained, for VC and
      VP (:mod:`bbnas.runs.benefit`). They are references of the study: no candidates, so the
      budget does not count them.
    - ``confirm``: the number of the best candidates that are trained again at the end, twelve
      times longer (:mod:`bbnas.runs.confirm`); the recommendation is then one of them. By default
      a thirtieth of the budget, at most 6.
    - ``device``: what latencies are forecast from, in the setting ``forecast_setting`` of it
      (:mod:`bbnas.engine.forecast`); by default they are measured here.
    - ``on_event``: called after each step, in this process.

    Raises:
        UserError: bad arguments; a study of that name with another space, task, protocol, …;
            limits that no design keeps; a database that cannot be used or whose disk is full
            (finished evaluations are kept).
    """
    confirm = confirmed_by_default(budget) if confirm is None else confirm
    placement = placement or Placement()
    _check(config, evaluator, budget, workers, confirm)
    if placement.address is None:
        workers = workers or usual_workers(evaluator)
    make_sampler(_setting(_completed(config), config.space, evaluator, 0))  # refuses bad options
    # Before a database is made: bad places leave none.
    placement.check_reached()
    paused = None if artifacts is None else _place(artifacts, config.name)
    store = open_store(storage, default_url(config.name), True, storage_patience)
    config = _completed(config, stored_config(store, config.name))
    if paused is None and (beside := paused_folder(store.url)) is not None:
        paused = str(beside)
    if paused is not None:
        evaluator = evaluator.pausing(paused)
    clock = None
    if config.latency is not None:
        if config.latency.forecast != (device is not None):
            raise UserError(
                f"study {config.name}: its latencies are forecast; give their device.json by "
                "--latency-from"
            )
        clock = Clock(store, evaluator.task, config.latency, device)
    prices = Prices(evaluator.cost, clock)
    started = time.monotonic()
    interrupted = False
    retries = placement.max_retries
    spool = spool_folder(store.url, config.name)
    study_id, in_database = enter(store, config), paused is None
    with Ledger(store, study_id, config, budget, spool, in_database) as ledger:
        ledger.recover()
        counts = ledger.counts()
        left = max(1, budget - counts.done + counts.stopped, confirm)
        used = None if workers is None else min(workers, left)
        workers_used = executor(used, evaluator, placement)
        loop: Loop | None = None
        opened = 0.0
        try:
            space = config.space
            if config.guide == "vcvp":
                space = _guided(ledger, workers_used, retries)
            fitted = _distinct(baselines or {}, evaluator.task)
            loop = _loop(ledger, space, evaluator, prices, budget, fitted, on_event)
            loop.max_retries = retries
            opened = store.seconds
            _run(loop, workers_used)
            # Before confirming, which chooses by all evaluations: the same call again then finds
            # the same, and so the same candidates to confirm.
            if benefit:
                measure_benefit(ledger, workers_used, retries, loop.say)
            if confirm:
                confirm_best(ledger, confirm, evaluator, workers_used, retries, loop.say)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            # In this order: a worker must not outlive its claim.
            workers_used.close()
            if loop is not None:
                loop.close()
    counts = ledger.counts()
    database_seconds = store.seconds - opened
    study = store.load_study(config.name)
    store.close()
    return SearchResult(
        study=study,
        counts=counts,
        trained=loop.trained if loop is not None else 0,
        seconds=time.monotonic() - started,
        complete=counts.done >= budget or (loop is not None and loop.exhausted),
        interrupted=interrupted,
        note=loop.note if loop is not None else "",
        suggesting=tuple(loop.trials.seconds) if loop is not None else (),
        database_seconds=database_seconds,
    )


def _check(
    config: StudyConfig, evaluator: Evaluator, budget: int, workers: int | None, confirm: int
) -> None:
    if budget < 1:
        raise UserError(f"budget {budget}: must be at least 1 design")
    if confirm < 0 or confirm == 1:
        raise UserError(f"confirm {confirm}: must be 0, or 2 or more to compare")
    if workers is not None and workers < 1:
        raise UserError(f"workers {workers}: must be at least 1")
    own = (config.task, config.protocol.key, config.data)
    protocol = evaluator.protocol.with_seed(config.seed)
    if own != (evaluator.task.name, protocol.key, evaluator.data):
        raise UserError(
            f"study {config.name!r} is configured for another evaluator (task, protocol or data "
            "differ): make it by StudyConfig.of(evaluator, space)"
        )


def _completed(config: StudyConfig, before: StudyConfig | None = None) -> StudyConfig:
    """The configuration with every option of its sampler (the given ones, else those of the
    stored study ``before``, else the defaults) and with a latency setting if it needs one.
    """
    options = config.sampler_options
    if not options and before is not None and before.sampler == config.sampler:
        options = before.sampler_options
    latency = config.latency if config.needs_latency else None
    if config.needs_latency and latency is None:
        from bbnas.engine.latency import setting

        latency = setting()
    options = sampler_options(config.sampler, options)
    return replace(config, sampler_options=options, latency=latency)


def _place(artifacts: str, study: str) -> str:
    from bbnas.runs.artifacts import artifacts_place  # fsspec takes time to import

    return artifacts_place(artifacts, study)


def _setting(config: StudyConfig, space: Space, evaluator: Evaluator, claimed: int) -> Setting:
    """The setting of the sampler. Latency is measured only for designs that were proposed, so OPs
    take its place here.
    """
    names = [name for name in ("ops", "params") if name in config.objectives]
    if not names and "latency" in config.objectives:
        names = ["ops"]
    bounds = {name: limit for name, limit in config.limits.items() if name != "latency"}

    def costs(design: Design) -> list[float]:
        counted = evaluator.cost(design)
        return [float(getattr(counted, name)) for name in names]

    def allowed(design: Design) -> bool:
        counted = evaluator.cost(design) if bounds else None
        return all(getattr(counted, name) <= limit for name, limit in bounds.items())

    return Setting(
        space=space,
        config=config,
        costs=costs,
        allowed=allowed,
        seed=(config.seed, claimed),
    )


def _loop(
    ledger: Ledger,
    space: Space,
    evaluator: Evaluator,
    prices: Prices,
    budget: int,
    baselines: Mapping[str, Design],
    on_event: Callable[[Event], None] | None,
) -> Loop:
    from bbnas.searching.loop import Loop
    from bbnas.searching.trials import Trials

    config, claimed = ledger.config, ledger.counts().claimed
    sampler = make_sampler(_setting(config, space, evaluator, claimed))
    return Loop(
        ledger=ledger,
        trials=Trials(space, config, sampler, SAMPLERS[config.sampler].bare),
        space=space,
        prices=prices,
        limits=Limits(space, prices, config.limits),
        budget=budget,
        rng=np.random.default_rng([config.seed, claimed]),
        baselines=tuple(baselines.items()),
        on_event=on_event,
    )


def _run(loop: Loop, workers: Executor) -> None:
    while True:
        workers.run(loop)
        if loop.over:
            return
        # Another process evaluates the rest, or its lease is about to run out.
        time.sleep(0.5)


def _guided(ledger: Ledger, workers_used: Executor, max_retries: int) -> Space:
    """The space whose parts are binarized in the order of VC and VP.

    Raises:
        UserError: one of the trainings for them failed.
    """
    space = ledger.config.space
    told: list[str] = []
    evaluations = measure_benefit(ledger, workers_used, max_retries, told.append)
    if len(evaluations) < len(benefit_designs(get_task(ledger.config.task), space)):
        raise UserError(f"{told[-1]}; search with --guide none")
    ever = {part for subset in space.axes.binarize for part in subset}
    return space.guided([part for part in binarization_order(evaluations) if part in ever])


def _distinct(baselines: Mapping[str, Design], task: Task) -> dict[str, Design]:
    """The distinct networks among the baselines by their first names, as they fit the task."""
    first: dict[str, str] = {}
    fitted: dict[str, Design] = {}
    for name, design in baselines.items():
        fitting = design.fitted(task)
        if first.setdefault(fitting.key, name) == name:
            fitted[name] = fitting
    return fitted
