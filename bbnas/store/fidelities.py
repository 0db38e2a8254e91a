"""Measured fidelities: how well protocols rank designs, measured here or shipped with bbnas.

``bbnas/fidelities/TASK.json`` is what ``bbnas fidelity --task TASK --json`` printed.
"""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa
from pydantic import TypeAdapter

from bbnas.fidelity import Fidelity, MeasuredFidelity, of_content
from bbnas.protocol import Protocol
from bbnas.resources import builtin
from bbnas.store.database import Database, now
from bbnas.store.tables import COMPARABLE, fidelities
from bbnas.tasks import Task
from bbnas.text import from_json, plain

_RESULT = TypeAdapter(Fidelity)


def add_fidelity(store: Database, added: MeasuredFidelity) -> None:
    """Store a measurement; the newest one is the one that is read."""
    with store.write() as connection:
        connection.execute(
            sa.insert(fidelities).values(
                task=added.task,
                space=added.space,
                protocol_key=_seedless(added.protocol).key,
                data=added.data,
                protocol=added.protocol.model_dump(mode="json"),
                long=added.long.model_dump(mode="json"),
                result=plain(added.result),
                environment=dict(added.environment),
                measured=now(),
            )
        )


def find_fidelity(
    store: Database, task: Task, protocol: Protocol, data: str
) -> MeasuredFidelity | None:
    """The newest measured fidelity of ``protocol`` with any seed, or None."""
    query = sa.select(fidelities).where(
        fidelities.c.task == task.name,
        fidelities.c.protocol_key == _seedless(protocol).key,
        fidelities.c.data == data,
    )
    with store.read() as connection:
        row = connection.execute(query.order_by(fidelities.c.id.desc()).limit(1)).first()
        if row is None:
            return None
        return MeasuredFidelity(
            task=row.task,
            space=row.space,
            protocol=Protocol.model_validate(row.protocol),
            long=Protocol.model_validate(row.long),
            data=row.data,
            result=_RESULT.validate_python(row.result),
            environment=row.environment,
            measured=row.measured.date().isoformat(),
        )


def shipped_fidelities(task: Task) -> list[MeasuredFidelity]:
    """What comes with bbnas: protocols compared with one longer one, none for most tasks."""
    file = builtin("fidelities", ".json").get(task.name)
    if file is None:
        return []
    content = from_json(file.read_bytes())
    earlier = content["schema"] < COMPARABLE
    return [replace(found, shipped=True, earlier=earlier) for found in of_content(content)]


def shipped_fidelity(task: Task, protocol: Protocol, data: str) -> MeasuredFidelity | None:
    """The shipped fidelity of ``protocol`` with any seed, or None; on the same images if there is
    one of them.
    """
    key = _seedless(protocol).key
    same = [f for f in shipped_fidelities(task) if _seedless(f.protocol).key == key]
    found = next((f for f in same if f.data == data), same[0] if same else None)
    return None if found is None else replace(found, other_images=found.data != data)


def _seedless(protocol: Protocol) -> Protocol:
    return protocol.with_seed(0)
