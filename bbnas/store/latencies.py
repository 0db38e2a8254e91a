"""Latencies, stored by design and by the setting in which they were measured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import sqlalchemy as sa

from bbnas.design import Design
from bbnas.evaluation import Latency, LatencySetting
from bbnas.store.database import Database, waits
from bbnas.store.tables import latencies
from bbnas.tasks import Task


@waits
def find_latency(
    store: Database,
    setting: LatencySetting,
    task: Task,
    design: Design | None = None,
    shape: str = "",
) -> Latency | None:
    """The latency of ``design`` in ``setting``, or that of any design of the same ``shape``."""
    which = latencies.c.shape == shape if design is None else latencies.c.design_key == design.key
    query = sa.select(latencies).where(which, *_measured(setting, task))
    with store.read() as connection:
        row = connection.execute(query.limit(1)).first()
    if row is None:
        return None
    numbers = (row.seconds, row.ratio, row.reference, row.spread, row.runs)
    return Latency(*numbers, LatencySetting.from_dict(row.setting))


@waits
def reference_time(store: Database, setting: LatencySetting) -> float | None:
    """The reference workload's time (s) by which latencies of ``setting`` were scaled."""
    query = sa.select(latencies.c.reference).where(
        latencies.c.setting_key == _setting_key(setting)
    )
    with store.read() as connection:
        found = connection.scalar(query.order_by(latencies.c.id).limit(1))
    return None if found is None else float(found)


@waits
def add_latency(store: Database, design: Design, task: Task, shape: str, found: Latency) -> None:
    """Store a measurement, unless the design has one in that setting."""
    with store.write() as connection:
        held = sa.select(latencies.c.id).where(
            latencies.c.design_key == design.key, *_measured(found.setting, task)
        )
        if connection.scalar(held) is not None:
            return
        connection.execute(
            sa.insert(latencies).values(
                design_key=design.key,
                task=task.name,
                setting_key=_setting_key(found.setting),
                shape=shape,
                setting=found.setting.to_dict(),
                seconds=found.seconds,
                ratio=found.ratio,
                reference=found.reference,
                spread=found.spread,
                runs=found.runs,
            )
        )


def _setting_key(setting: LatencySetting) -> str:
    content = json.dumps(setting.to_dict(), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _measured(setting: LatencySetting, task: Task) -> Sequence[sa.ColumnElement[bool]]:
    return latencies.c.setting_key == _setting_key(setting), latencies.c.task == task.name


def last_setting(connection: sa.Connection, task: Task) -> LatencySetting | None:
    query = sa.select(latencies.c.setting).where(latencies.c.task == task.name)
    found = connection.scalar(query.order_by(latencies.c.id.desc()).limit(1))
    return None if found is None else LatencySetting.from_dict(found)


def seconds_by_design(
    connection: sa.Connection, task: Task, setting: LatencySetting
) -> dict[str, float]:
    """Latencies by the key of the design."""
    query = sa.select(latencies.c.design_key, latencies.c.seconds)
    rows = connection.execute(query.where(*_measured(setting, task))).all()
    return {row.design_key: float(row.seconds) for row in rows}
