"""A table of a whole space: every design trained with every seed, once, for searches to be
simulated on.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bbnas.design import Design
from bbnas.errors import UserError, why
from bbnas.evaluation import Evaluation, Evaluator, Status
from bbnas.files import write_output
from bbnas.formats import GZIP, other_format
from bbnas.protocol import Protocol
from bbnas.resources import builtin
from bbnas.runs.train_all import Request, Trained, train_all
from bbnas.space import Space
from bbnas.store import TABLE, Store
from bbnas.text import from_json, listed, to_json

VERSION = 1
# Where a table is written; from there it is shipped.
DEFAULT_TABLE = TABLE.with_suffix(".json.gz")
SEEDS = 2
# Digits that are kept of PSNR (dB) and seconds: far below the noise of either.
_PSNR_DIGITS, _SECOND_DIGITS = 4, 3


@dataclass(frozen=True)
class Run:
    """One training to its end. ``psnr`` is in dB, NaN unless ``status`` is ``ok``; ``rungs`` are
    (iteration, PSNR) pairs.
    """

    status: Status
    psnr: float
    seconds: float
    rungs: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Row:
    """A design, its exact cost in plain counts, and its runs, one a seed."""

    design: Design
    ops: float
    params: float
    runs: tuple[Run, ...]

    @property
    def psnr(self) -> float:
        """The mean over the seeds in dB; NaN if one of them did not end well."""
        return sum(run.psnr for run in self.runs) / len(self.runs)


@dataclass(frozen=True)
class Table:
    """Every design of ``space``, trained by ``protocol`` (whose seed is idle) with so many seeds.

    ``about`` is the rest of where it comes from: ``date``, ``command``, ``environments`` (each
    distinct one that trained) and whatever else was worth saying, in plain values.
    """

    space: Space
    task: str
    protocol: Protocol
    data: str
    data_description: str
    skip_psnr: float | None
    about: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def machine(self) -> str:
        """The processor and the kernels that took the seconds of the runs."""
        made = [e for e in self.about.get("environments", []) if "cpu" in e]
        names = [", ".join(filter(None, (e["cpu"], e.get("kernels")))) for e in made]
        return listed(list(dict.fromkeys(names))) if names else "an unknown machine"

    @cached_property
    def by_key(self) -> dict[str, Row]:
        return {row.design.key: row for row in self.rows}

    def evaluation(self, row: Row, run: Run | None = None) -> Evaluation:
        """One run of a row as a search would have had it, or the mean of its runs."""
        psnr = row.psnr if run is None else run.psnr
        fine = "ok" if math.isfinite(psnr) else "diverged"
        return Evaluation(
            design=row.design,
            task=self.task,
            protocol=self.protocol,
            data=self.data,
            status=fine if run is None else run.status,  # type: ignore[arg-type]
            psnr=psnr,
            ssim=math.nan,
            ops=row.ops,
            params=row.params,
            seconds=sum(r.seconds for r in row.runs) / len(row.runs)
            if run is None
            else run.seconds,
            rungs=() if run is None else run.rungs,
        )


def tabulate(
    space: Space,
    evaluator: Evaluator,
    store: Store,
    *,
    seeds: int = SEEDS,
    workers: int | None = None,
    about: Mapping[str, Any] | None = None,
    on_done: Callable[[Trained], None] | None = None,
) -> Table:
    """Train every design of ``space`` with each of ``seeds`` seeds by the evaluator's protocol.

    ``store``, ``workers`` and ``on_done`` are those of :func:`bbnas.runs.train_all.train_all`: the
    same call resumes, and trains nothing twice.

    A protocol without rungs is given two, at a quarter and half of its iterations, so that early
    stopping can be simulated; they change no result.

    Raises:
        UserError: trainings in ``store`` were scored at other rungs; a design could not be
            trained at all.
    """
    protocol, task = evaluator.protocol, evaluator.task
    if not protocol.rungs:
        quarter = max(1, protocol.iterations // 4)
        protocol = protocol.replace(rungs=sorted({quarter, 2 * quarter}))
    space = space.fitted(task)
    # Seed by seed: an unfinished table then holds as many whole designs as possible.
    requests = {
        (design.key, seed): Request(
            design, protocol.with_seed(seed), f"{design.label()}, seed {seed}"
        )
        for seed in range(seeds)
        for design in space.enumerate()
    }
    for design, by, _ in requests.values():
        stored = store.find_evaluation(design, task, by, evaluator.data)
        if stored is not None:
            _check_rungs(stored, protocol.rungs, store)
    done = train_all(requests, evaluator, store, workers=workers, on_done=on_done)
    runs: dict[str, list[Evaluation]] = {}
    for (key, _), evaluation in done.items():
        runs.setdefault(key, []).append(evaluation)
    environments = {json.dumps(dict(e.environment), sort_keys=True): None for e in done.values()}
    return Table(
        space=space,
        task=task.name,
        protocol=protocol.with_seed(0),
        data=evaluator.data,
        data_description=evaluator.data_description,
        skip_psnr=evaluator.skip_psnr,
        about=dict(about or {}) | {"environments": [json.loads(e) for e in environments]},
        rows=tuple(_row(evaluations) for evaluations in runs.values()),
    )


def _check_rungs(found: Evaluation, rungs: Sequence[int], store: Store) -> None:
    if found.status == "ok" and not set(rungs) <= set(dict(found.rungs)):
        raise UserError(
            f"{store}: holds trainings that were not scored at iterations "
            f"{', '.join(map(str, rungs))}; give another --storage, or the protocol they were "
            "trained by"
        )


def _row(found: Sequence[Evaluation]) -> Row:
    runs = tuple(
        Run(
            status=e.status,
            psnr=round(e.psnr, _PSNR_DIGITS),
            seconds=round(e.seconds, _SECOND_DIGITS),
            rungs=tuple((rung, round(psnr, _PSNR_DIGITS)) for rung, psnr in e.rungs),
        )
        for e in found
    )
    return Row(found[0].design, found[0].ops, found[0].params, runs)


def write_table(table: Table, path: str | Path) -> Path:
    """Write ``table`` to ``path`` (gzipped JSON, a row a line); equal tables make equal bytes."""
    about = {
        "version": VERSION,
        "space": table.space.to_dict(),
        "task": table.task,
        "protocol": table.protocol.model_dump(mode="json"),
        "data": table.data,
        "data_description": table.data_description,
        "skip_psnr": table.skip_psnr,
        "about": dict(table.about),
    }
    rows = [
        {
            "design": row.design.to_dict(),
            "ops": row.ops,
            "params": row.params,
            "runs": [[run.status, run.psnr, run.seconds, run.rungs] for run in row.runs],
        }
        for row in table.rows
    ]
    lines = [to_json(line) for line in (about, *rows)]
    return write_output(path, gzip.compress("\n".join([*lines, ""]).encode(), mtime=0))


def default_table() -> Path:
    """The table made here, if one was, else the one that comes with bbnas."""
    made = DEFAULT_TABLE
    return made if made.is_file() else builtin("bench/sampler", ".json.gz").get(TABLE.stem, made)


def read_table(path: str | Path) -> Table:
    """The table that ``write_table`` wrote to ``path``.

    Raises:
        UserError: there is no such file, or it is no table that this version reads.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no table {path}: make it by bbnas bench tabulate")
    try:
        about, *rows = map(from_json, gzip.decompress(path.read_bytes()).splitlines())
        if about["version"] != VERSION:
            raise ValueError(f"version {about['version']}, this bbnas reads {VERSION}")
        return Table(
            space=Space.from_dict(about["space"], path),
            task=about["task"],
            protocol=Protocol.model_validate(about["protocol"]),
            data=about["data"],
            data_description=about["data_description"],
            skip_psnr=about["skip_psnr"],
            about=about["about"],
            rows=tuple(_read_row(row) for row in rows),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise other_format(path, GZIP, "give a table of bbnas bench tabulate") or UserError(
            f"{path}: not a table of bbnas bench sampler ({why(error)}); make it anew by "
            "bbnas bench tabulate"
        ) from error


def _read_row(row: Mapping[str, Any]) -> Row:
    runs = tuple(
        Run(
            status=status,
            psnr=math.nan if psnr is None else psnr,
            seconds=seconds,
            rungs=tuple((rung, value) for rung, value in rungs),
        )
        for status, psnr, seconds, rungs in row["runs"]
    )
    return Row(Design.model_validate(row["design"]), row["ops"], row["params"], runs)
