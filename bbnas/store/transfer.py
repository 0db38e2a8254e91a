"""A whole study as plain values: taken out of a database, put into one, kept in a file, merged.

Rows are dictionaries by column. Rows of runs and evaluations have ids, by which other rows name
them; they get new ones wherever the study is put.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from bbnas import __version__
from bbnas.design import Design
from bbnas.errors import UserError, short, why
from bbnas.files import write_output
from bbnas.store.database import Database
from bbnas.store.evaluations import read_evaluation, record
from bbnas.store.runs import refuse_searched
from bbnas.store.studies import changes
from bbnas.store.tables import (
    SCHEMA_VERSION,
    attempts,
    budgets,
    candidates,
    evaluations,
    latencies,
    references,
    runs,
    studies,
)
from bbnas.study import StudyConfig
from bbnas.text import from_json, to_json

# The tables that hold rows of a study.
_TABLES = (studies, runs, budgets, attempts, evaluations, candidates, references, latencies)
# What makes two evaluations the same, and two latencies.
_SAME = ("design_key", "task", "protocol_key", "data")
_SAME_LATENCY = ("design_key", "task", "setting_key")
# How far an evaluation has come; any other has ended.
_RANK = {"failed": 0, "stopped": 1}
Row = dict[str, Any]
Rows = dict[str, list[Row]]


def take(store: Database, name: str) -> Rows:
    """The rows of the study ``name`` by table, all of one moment.

    What a search has in training waits in them, or is stopped at its last rung.
    """
    with store.read() as connection:
        chosen = sa.select(studies.c.id).where(studies.c.name == name)
        study = connection.execute(chosen).scalar_one()
        rows: Rows = {}
        for table in _TABLES:
            found = connection.execute(sa.select(table).where(_of(table, study)))
            rows[table.name] = [dict(row._mapping) for row in found]
    for run in rows[runs.name]:
        run["finished"] = run["finished"] or run["seen"]
    for candidate in rows[candidates.name]:
        if candidate["state"] == "running":
            candidate["state"] = "waiting" if candidate["evaluation_id"] is None else "stopped"
            candidate["run_id"] = None
    return rows


def _of(table: sa.Table, study: int) -> sa.ColumnElement[bool]:
    """Which rows of ``table`` belong to a study."""
    if table is studies:
        return studies.c.id == study
    if table is budgets:
        return budgets.c.run_id.in_(sa.select(runs.c.id).where(runs.c.study_id == study))
    if table is evaluations:
        return evaluations.c.id.in_(evaluated(study))
    if table is latencies:
        designs = sa.select(evaluations.c.design_key, evaluations.c.task)
        return sa.tuple_(latencies.c.design_key, latencies.c.task).in_(
            designs.where(evaluations.c.id.in_(evaluated(study)))
        )
    return table.c.study_id == study


def evaluated(study: int | None = None) -> sa.CompoundSelect[tuple[int]]:
    """The ids of the evaluations that a study, or any, has as candidates or as references."""
    ended = sa.select(candidates.c.evaluation_id).where(candidates.c.evaluation_id.is_not(None))
    referred = sa.select(references.c.evaluation_id)
    if study is not None:
        ended = ended.where(candidates.c.study_id == study)
        referred = referred.where(references.c.study_id == study)
    return sa.union(ended, referred)


def name_of(rows: Rows) -> str:
    """The name of the study that ``rows`` are of."""
    return str(rows[studies.name][0]["name"])


def renamed(rows: Rows, name: str) -> Rows:
    """The same study under another name.

    Raises:
        UserError: no study may have that name.
    """
    (study,) = rows[studies.name]
    config = StudyConfig.from_dict(study["config"] | {"name": name}).to_dict()
    return rows | {studies.name: [study | {"name": name, "config": config}]}


def put(store: Database, rows: Rows) -> int:
    """Insert a study. An evaluation that the database has is kept once, as it is there unless that
    one is unfinished. Returns the number of those.

    Raises:
        UserError: the database has a study of that name.
    """
    (study,), name = rows[studies.name], name_of(rows)
    with store.write() as connection:
        if connection.scalar(sa.select(studies.c.id).where(studies.c.name == name)) is not None:
            raise UserError(f"{store} has a study {name!r} already: give the new one another name")
        known = connection.scalar(sa.select(sa.func.max(evaluations.c.id))) or 0
        new = _insert(connection, studies, study)
        ids: dict[str, dict[int, int]] = {"study_id": {study["id"]: new}}
        ids["run_id"] = {
            run["id"]: _insert(connection, runs, run | {"study_id": new})
            for run in rows[runs.name]
        }
        ids["evaluation_id"] = {
            row["id"]: record(connection, read_evaluation(SimpleNamespace(**row)))
            for row in rows[evaluations.name]
        }
        for table in (budgets, attempts, candidates, references):
            for row in rows[table.name]:
                _insert(connection, table, _renumbered(row, ids))
        for row in rows[latencies.name]:
            same = [latencies.c[key] == row[key] for key in _SAME_LATENCY]
            if connection.scalar(sa.select(latencies.c.id).where(*same)) is None:
                _insert(connection, latencies, row)
    return sum(row_id <= known for row_id in ids["evaluation_id"].values())


def _insert(connection: sa.Connection, table: sa.Table, row: Row) -> int:
    """The first part of the new row's key."""
    values = {key: value for key, value in row.items() if key != "id"}
    key = connection.execute(sa.insert(table).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _renumbered(row: Row, ids: Mapping[str, Mapping[int, int]]) -> Row:
    named = {key: new[row[key]] for key, new in ids.items() if row.get(key) is not None}
    return row | named


def write_study(rows: Rows, path: Path) -> None:
    """Write a study to a JSON file, which :func:`read_study` reads back as it was.

    Raises:
        UserError: it cannot be written.
    """
    content = {"bbnas": __version__, "schema": SCHEMA_VERSION, "rows": rows}
    write_output(path, to_json(content))


def read_study(path: Path) -> Rows:
    """What :func:`write_study` wrote.

    Raises:
        UserError: the file cannot be read, or holds no study of this schema.
    """
    try:
        content = from_json(path.read_bytes())
        schema, rows = content["schema"], content["rows"]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: no study of bbnas store export, as .json") from error
    if schema != SCHEMA_VERSION:
        raise UserError(
            f"{path}: written by another bbnas (schema {short(schema)}, this one reads "
            f"{SCHEMA_VERSION}); export it again by this version"
        )
    try:
        typed = {t.name: [_typed(t, row) for row in rows[t.name]] for t in _TABLES}
        (study,) = typed[studies.name]
        StudyConfig.from_dict(study["config"])
        for row in typed[evaluations.name]:
            read_evaluation(SimpleNamespace(**row))
        for row in typed[candidates.name]:
            Design.model_validate(row["design"])
    except (UserError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({why(error)}); export the study again") from error
    return typed


def _typed(table: sa.Table, row: Mapping[str, Any]) -> Row:
    def value(column: sa.Column[Any]) -> Any:
        found = row[column.name]
        time = isinstance(column.type, sa.DateTime) and found is not None
        return datetime.fromisoformat(found) if time else found

    return {column.name: value(column) for column in table.columns}


def merge(first: tuple[Database, str], second: tuple[Database, str]) -> tuple[Rows, int]:
    """The rows of two studies as those of one, and the number of designs that both have.

    A design of both is one candidate: that of the first, unless the second brought it further.
    The settings are the first's; how designs were proposed may differ.

    Raises:
        UserError: one of them is searched now, or they differ in space, protocol, data, ….
    """
    for store, name in (first, second):
        with store.read() as connection:
            refuse_searched(connection, str(store), name)
    one, two = take(*first), take(*second)
    configs = [StudyConfig.from_dict(rows[studies.name][0]["config"]) for rows in (one, two)]
    differ = [
        f"{what} is {short(mine)} and {short(other)}"
        for what, mine, other in changes(*configs)
        if what not in ("sampler", "sampler_options")
    ]
    if differ:
        raise UserError(
            f"{first[1]} and {second[1]} cannot be merged: {'; '.join(differ)}; bbnas compare "
            "shows them beside each other"
        )
    return _merged(one, two)


def _merged(one: Rows, two: Rows) -> tuple[Rows, int]:
    merged = {name: [dict(row) for row in rows] for name, rows in one.items()}
    (study,), (other,) = merged[studies.name], two[studies.name]
    study["created"] = min(study["created"], other["created"])
    runs_of_two = {row["id"]: row["id"] + _last(one[runs.name]) for row in two[runs.name]}
    ids = {"study_id": {other["id"]: study["id"]}, "run_id": runs_of_two}
    merged[runs.name] += [
        _renumbered(row, ids) | {"id": runs_of_two[row["id"]]} for row in two[runs.name]
    ]
    ids["evaluation_id"], further = _join_evaluations(merged[evaluations.name], two)
    incoming = [_renumbered(row, ids) for row in two[candidates.name]]
    numbers, both = _join_candidates(merged[candidates.name], incoming, further)
    merged[attempts.name] += [
        _renumbered(row, ids) | {"number": numbers[row["number"]]} for row in two[attempts.name]
    ]
    merged[budgets.name] += [_renumbered(row, ids) for row in two[budgets.name]]
    referred = [_renumbered(row, ids) for row in two[references.name]]
    merged[references.name] += [row for row in referred if row not in merged[references.name]]
    merged[latencies.name] += two[latencies.name]
    return merged, both


def _last(rows: list[Row]) -> int:
    return max((row["id"] for row in rows), default=0)


def _join_evaluations(into: list[Row], two: Rows) -> tuple[dict[int, int], set[int]]:
    """Add the evaluations of ``two``. Returns the new ids by the old ones, and the ids of those
    that ``two`` brought further.
    """
    ids, further, shift = {}, set(), _last(into)
    known = {tuple(row[key] for key in _SAME): row for row in into}
    for row in two[evaluations.name]:
        same = known.get(tuple(row[key] for key in _SAME))
        if same is None:
            same = row | {"id": row["id"] + shift}
            into.append(same)
        elif _RANK.get(row["status"], 2) > _RANK.get(same["status"], 2):
            same |= row | {"id": same["id"]}
            further.add(same["id"])
        ids[row["id"]] = same["id"]
    return ids, further


def _join_candidates(
    into: list[Row], incoming: list[Row], further: set[int]
) -> tuple[dict[int, int], int]:
    """Add candidates whose designs are new. Returns the new numbers by the old ones, and how many
    were there.
    """
    held = {row["design_key"]: row for row in into}
    numbers, both = {}, 0
    for row in sorted(incoming, key=lambda row: int(row["number"])):
        same = held.get(row["design_key"])
        if same is None:
            numbers[row["number"]] = len(into)
            into.append(row | {"number": len(into)})
            continue
        both += 1
        numbers[row["number"]] = same["number"]
        if same["evaluation_id"] is None or row["evaluation_id"] in further:
            same |= row | {"number": same["number"], "baseline": same["baseline"]}
    return numbers, both
