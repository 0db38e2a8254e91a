"""The rows of evaluations: found, recorded, and read back as the values they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.protocol import Protocol
from bbnas.store.tables import candidates, evaluations, references
from bbnas.tasks import Task, get_task
from bbnas.text import from_json, plain, to_json

# An evaluation of such a status is not final: a later attempt replaces it.
UNFINISHED = ("failed", "stopped")
# States of candidates that no run evaluates or is to evaluate.
SETTLED = ("done", "stopped")


def find_row(
    connection: sa.Connection, design: Design, task: Task, protocol: Protocol, data: str
) -> sa.Row[Any] | None:
    """The row of an evaluation that need not be done again."""
    return connection.execute(
        sa.select(evaluations).where(
            *_same(design, task, protocol, data), evaluations.c.status.not_in(UNFINISHED)
        )
    ).first()


def record(connection: sa.Connection, added: Evaluation) -> int:
    """Insert ``added`` unless a better row is there: an unfinished one is replaced."""
    same = _same(added.design, get_task(added.task), added.protocol, added.data)
    values = to_row(added)
    row = connection.execute(
        sa.select(evaluations.c.id, evaluations.c.status).where(*same)
    ).first()
    if row is None:
        inserting = sa.insert(evaluations).values(values).returning(evaluations.c.id)
        return int(connection.execute(inserting).scalar_one())
    if row.status in UNFINISHED:
        connection.execute(sa.update(evaluations).where(evaluations.c.id == row.id).values(values))
    return int(row.id)


def refer_to(connection: sa.Connection, study_id: int, evaluation: Evaluation) -> None:
    """Insert ``evaluation`` as a reference of the study, unless it is one."""
    row = {"study_id": study_id, "evaluation_id": record(connection, evaluation)}
    there = [references.c[name] == value for name, value in row.items()]
    if connection.execute(sa.select(references).where(*there)).first() is None:
        connection.execute(sa.insert(references).values(row))


def to_row(added: Evaluation) -> dict[str, Any]:
    """``added`` by the columns of ``evaluations``; NaN is None."""
    values = {
        "design_key": added.design.key,
        "task": added.task,
        "protocol_key": added.protocol.key,
        "data": added.data,
        "design": added.design,
        "protocol": added.protocol,
        "status": added.status,
        "psnr": added.psnr,
        "ssim": added.ssim,
        "ops": added.ops,
        "params": added.params,
        "seconds": added.seconds,
        "curve": added.curve,
        "rungs": added.rungs,
        "environment": dict(added.environment),
        "error": added.error,
    }
    return dict(plain(values))


def read_evaluation(row: Any, latency: float = math.nan) -> Evaluation:
    """A row of ``evaluations`` as the value it was."""
    return Evaluation(
        design=Design.model_validate(row.design).canonical(),
        task=row.task,
        protocol=_protocol(to_json(row.protocol)),
        data=row.data,
        status=row.status,
        psnr=_number(row.psnr),
        ssim=_number(row.ssim),
        ops=row.ops,
        params=row.params,
        seconds=row.seconds,
        curve=tuple((step, _number(loss)) for step, loss in row.curve),
        rungs=tuple((step, psnr) for step, psnr in row.rungs),
        environment=row.environment,
        error=row.error,
        latency=latency,
    )


# Cached: the evaluations of a study share a few protocols.
@lru_cache(256)
def _protocol(content: str) -> Protocol:
    return Protocol.model_validate(from_json(content))


def _same(
    design: Design, task: Task, protocol: Protocol, data: str
) -> Sequence[sa.ColumnElement[bool]]:
    return (
        evaluations.c.design_key == design.key,
        evaluations.c.task == task.name,
        evaluations.c.protocol_key == protocol.key,
        evaluations.c.data == data,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def settled_rows(
    connection: sa.Connection, study_id: int, after: int = -1
) -> Sequence[sa.Row[Any]]:
    """The candidates of a study that are done or stopped, with their evaluations, in the order in
    which they finished; only those changed ``after`` a revision.
    """
    return connection.execute(
        sa.select(candidates.c.number, candidates.c.baseline, candidates.c.notes)
        .add_columns(candidates.c.finished, candidates.c.revision, evaluations)
        .join(evaluations, candidates.c.evaluation_id == evaluations.c.id)
        .where(
            candidates.c.study_id == study_id,
            candidates.c.revision > after,
            candidates.c.state.in_(SETTLED),
        )
        .order_by(candidates.c.finished, candidates.c.number)
    ).all()
