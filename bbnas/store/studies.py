"""The configuration of a study: stored by the first search, compared by every later one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from bbnas.errors import UserError
from bbnas.protocol import UNDECIDING
from bbnas.store.database import Database, now
from bbnas.store.tables import studies
from bbnas.study import StudyConfig


def stored_config(store: Database, name: str) -> StudyConfig | None:
    """The configuration that the study ``name`` was started with, or None without one."""
    with store.read() as connection:
        content = connection.scalar(sa.select(studies.c.config).where(studies.c.name == name))
    return None if content is None else StudyConfig.from_dict(content)


def enter(store: Database, config: StudyConfig) -> int:
    """The id of the study, which is new or was started with the same ``config``.

    Raises:
        UserError: it was started with another space, task, protocol, data, ….
    """
    with store.write() as connection:
        row = connection.execute(
            sa.select(studies.c.id, studies.c.config).where(studies.c.name == config.name)
        ).first()
        if row is None:
            inserting = sa.insert(studies).values(
                name=config.name, config=config.to_dict(), created=now()
            )
            return int(connection.execute(inserting.returning(studies.c.id)).scalar_one())
    changed = [
        f"{what} was {_short(old)}, is now {_short(new)}"
        for what, old, new in changes(StudyConfig.from_dict(row.config), config)
    ]
    if changed:
        raise UserError(
            f"study {config.name!r} was started otherwise: {'; '.join(changed)}. "
            "Give a new study another --name, or resume with the old value"
        )
    return int(row.id)


def changes(old: StudyConfig, new: StudyConfig) -> Iterator[tuple[str, Any, Any]]:
    """(what, old value, new value) of everything by which two studies differ."""
    if old.space.key != new.space.key:
        mine, theirs = old.space.to_dict()["axes"], new.space.to_dict()["axes"]
        yield from _differences("space.axes", mine, theirs)
    if old.protocol.key != new.protocol.key:
        mine, theirs = old.protocol.model_dump(), new.protocol.model_dump()
        yield from _differences("protocol", mine, theirs, skip=UNDECIDING)
    if old.data != new.data:
        # The descriptions may well be the same: it is the pixels that differ.
        yield (
            "data",
            _data(old),
            _data(new),
        )
    if old.latency is not None and new.latency is not None:
        yield from _differences("latency", asdict(old.latency), asdict(new.latency))
    compared = {
        *("name", "space", "protocol", "data", "data_description", "skip_psnr", "bicubic_psnr"),
        "latency",
        "early_stopping",  # a study may go on with it or without
    }
    for field in fields(StudyConfig):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name not in compared and before != after:
            yield field.name, before, after


def _data(config: StudyConfig) -> str:
    from bbnas.data import embedded_name  # it decodes images

    name = embedded_name(config.data)
    what = config.data_description if name is None else f"--data {name}"
    return f"{what} ({config.data[:12]})"


def _differences(
    where: str, old: dict[str, Any], new: dict[str, Any], skip: set[str] | None = None
) -> Iterator[tuple[str, Any, Any]]:
    for key in old.keys() | new.keys():
        if key not in (skip or set()) and old.get(key) != new.get(key):
            yield f"{where}.{key}", old.get(key), new.get(key)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
