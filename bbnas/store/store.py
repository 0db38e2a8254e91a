"""The study database: what was evaluated, with what, for which study.

Reading a study needs neither Optuna nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from bbnas.design import Design
from bbnas.errors import UserError, unknown
from bbnas.evaluation import Evaluation, LatencySetting
from bbnas.protocol import Protocol
from bbnas.store.latencies import last_setting, seconds_by_design
from bbnas.store.tables import (
    SCHEMA_VERSION,
    candidates,
    evaluations,
    explain,
    make_engine,
    metadata,
    references,
    runs,
    studies,
    upgrade,
    version_table,
)
from bbnas.study import Candidate, Study, StudyConfig

# Evaluations of such a status say nothing final of a design: a later attempt replaces them.
UNFINISHED = ("failed", "stopped")
# States of candidates that no run is evaluating or is to evaluate.
SETTLED = ("done", "stopped")


def now() -> datetime:
    """UTC without a zone, as it is stored."""
    return datetime.now(UTC).replace(tzinfo=None)


class Store:
    """A study database. ``create`` makes the file and the tables where they are missing.

    Raises:
        UserError: no such database, one of another program or of a newer bbnas, or one that
            cannot be opened.
    """

    def __init__(self, url: str, create: bool = False) -> None:
        try:
            self.url = sa.make_url(url)
        except ArgumentError as error:
            raise UserError(
                f"storage {url!r} is no database URL: use sqlite:///file.db or "
                "postgresql://user@host/name"
            ) from error
        if self.url.get_backend_name() == "sqlite":
            self._check_file(create)
        try:
            self._engine = make_engine(self.url, create)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise UserError(
                f"storage {self}: no driver for {self.url.drivername!r} ({error}); install one "
                "or use sqlite:///file.db"
            ) from error
        self._open(create)

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def _check_file(self, create: bool) -> None:
        file = self.url.database
        if not file or file == ":memory:":
            raise UserError(f"storage {self}: must name a file, or the study is lost at the end")
        if not create and not self.url.query and not Path(file).is_file():
            raise UserError(f"{file}: no such study database; check the path, or search first")

    def _open(self, create: bool) -> None:
        with self.write() if create else self.read() as connection:
            found = set(sa.inspect(connection).get_table_names())
            if version_table.name in found:
                version = connection.scalar(sa.select(sa.func.max(version_table.c.version)))
                if version is None or version > SCHEMA_VERSION:
                    raise UserError(
                        f"{self}: written by a newer bbnas (schema {version}, this one reads "
                        f"{SCHEMA_VERSION}); upgrade bbnas"
                    )
                outdated = version < SCHEMA_VERSION
            elif found:
                raise UserError(
                    f"{self}: a database of another program (tables {', '.join(sorted(found)[:4])}"
                    "…); give bbnas one of its own"
                )
            elif create:
                metadata.create_all(connection)
                connection.execute(sa.insert(version_table).values(version=SCHEMA_VERSION))
                outdated = False
            else:
                raise UserError(f"{self}: holds no study; search first")
        if outdated:
            with self.write() as connection:
                upgrade(connection)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One transaction that sees one state of the database."""
        with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction that is on disk, all of it, when the block ends, or not at all."""
        writing = self._engine.execution_options(bbnas_write=True)
        with self._errors(), writing.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise explain(self.url, error) from error

    def studies(self) -> list[str]:
        """The names of the studies, oldest first."""
        with self.read() as connection:
            return list(connection.scalars(sa.select(studies.c.name).order_by(studies.c.id)))

    def load_study(self, name: str | None = None, setting: LatencySetting | None = None) -> Study:
        """A study with all its candidates; ``None`` is the only one in the database.

        Latencies are those of the study's own setting or, where it has none, of ``setting`` or
        else of the last one measured in, as far as they are known.

        Raises:
            UserError: no study of that name, or no name and not exactly one study.
        """
        if name is None:
            names = self.studies()
            if len(names) != 1:
                held = f"{', '.join(names)}; name one of them" if names else "none; search first"
                raise UserError(f"{self} holds {held}")
            name = names[0]
        with self.read() as connection:
            row = connection.execute(sa.select(studies).where(studies.c.name == name)).first()
            if row is None:
                known = connection.scalars(sa.select(studies.c.name)).all()
                raise unknown(f"study in {self}", name, known)
            totals = connection.execute(
                sa.select(
                    sa.func.coalesce(sa.func.sum(runs.c.duplicates), 0),
                    sa.func.coalesce(sa.func.sum(runs.c.rejected), 0),
                ).where(runs.c.study_id == row.id)
            ).one()
            finished = connection.execute(
                sa.select(candidates.c.number, candidates.c.baseline, candidates.c.finished)
                .add_columns(evaluations)
                .join(evaluations, candidates.c.evaluation_id == evaluations.c.id)
                .where(candidates.c.study_id == row.id, candidates.c.state.in_(SETTLED))
                .order_by(candidates.c.finished, candidates.c.number)
            ).all()
            referred = connection.execute(
                sa.select(evaluations)
                .join(references, references.c.evaluation_id == evaluations.c.id)
                .where(references.c.study_id == row.id)
                .order_by(evaluations.c.id)
            ).all()
            config = study_config(row.config)
            if config.latency is not None:
                setting = LatencySetting.from_dict(config.latency)
            setting = setting or last_setting(connection, config.task)
            times = {} if setting is None else seconds_by_design(connection, config.task, setting)
        beside = [evaluation(r, times.get(r.design_key, math.nan)) for r in referred]
        return Study(
            config=config,
            storage=str(self),
            candidates=tuple(
                Candidate(
                    r.number,
                    evaluation(r, times.get(r.design_key, math.nan)),
                    r.baseline,
                    r.finished.replace(tzinfo=UTC),
                )
                for r in finished
            ),
            references=tuple(e for e in beside if e.protocol.key == config.protocol.key),
            confirmations=tuple(e for e in beside if e.protocol.key != config.protocol.key),
            latency=setting,
            duplicates=int(totals[0]),
            rejected=int(totals[1]),
            created=row.created.replace(tzinfo=UTC),
        )

    def find_evaluation(
        self, design: Design, task: str, protocol: Protocol, data: str
    ) -> Evaluation | None:
        """What is known of a network under these circumstances; an unfinished attempt is not."""
        with self.read() as connection:
            row = known(connection, design, task, protocol, data)
        return None if row is None else evaluation(row)

    def add_evaluation(self, added: Evaluation) -> int:
        """Keep an evaluation; the first one that did not fail stays. Returns the row's id."""
        with self.write() as connection:
            return keep(connection, added)

    def refer(self, study: str, found: Evaluation) -> None:
        """Keep an evaluation as a reference of a study: shown, but no candidate."""
        with self.write() as connection:
            chosen = sa.select(studies.c.id).where(studies.c.name == study)
            refer(connection, connection.execute(chosen).scalar_one(), found)


def known(
    connection: sa.Connection, design: Design, task: str, protocol: Protocol, data: str
) -> sa.Row[Any] | None:
    """The row of an evaluation that need not be done again."""
    return connection.execute(
        sa.select(evaluations).where(
            *_same(design, task, protocol, data), evaluations.c.status.not_in(UNFINISHED)
        )
    ).first()


def keep(connection: sa.Connection, added: Evaluation) -> int:
    """Insert ``added`` unless a better row is there: an unfinished one is replaced."""
    same = _same(added.design, added.task, added.protocol, added.data)
    values = {
        "design_key": added.design.key,
        "task": added.task,
        "protocol_key": added.protocol.key,
        "data": added.data,
        "design": added.design.to_dict(),
        "protocol": added.protocol.model_dump(mode="json"),
        "status": added.status,
        "psnr": _finite(added.psnr),
        "ssim": _finite(added.ssim),
        "ops": added.ops,
        "params": added.params,
        "seconds": added.seconds,
        "curve": [[step, _finite(loss)] for step, loss in added.curve],
        "rungs": [[step, psnr] for step, psnr in added.rungs],
        "environment": dict(added.environment),
        "error": added.error,
    }
    row = connection.execute(
        sa.select(evaluations.c.id, evaluations.c.status).where(*same)
    ).first()
    if row is None:
        inserting = sa.insert(evaluations).values(values).returning(evaluations.c.id)
        return int(connection.execute(inserting).scalar_one())
    if row.status in UNFINISHED:
        connection.execute(sa.update(evaluations).where(evaluations.c.id == row.id).values(values))
    return int(row.id)


def refer(connection: sa.Connection, study_id: int, found: Evaluation) -> None:
    """Insert ``found`` as a reference of the study, unless it is one."""
    row = {"study_id": study_id, "evaluation_id": keep(connection, found)}
    there = [references.c[name] == value for name, value in row.items()]
    if connection.execute(sa.select(references).where(*there)).first() is None:
        connection.execute(sa.insert(references).values(row))


def evaluation(row: sa.Row[Any], latency: float = math.nan) -> Evaluation:
    """A row of ``evaluations`` as the value it was."""
    return Evaluation(
        design=Design.model_validate(row.design),
        task=row.task,
        protocol=Protocol.model_validate(row.protocol),
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


def _same(
    design: Design, task: str, protocol: Protocol, data: str
) -> Sequence[sa.ColumnElement[bool]]:
    return (
        evaluations.c.design_key == design.key,
        evaluations.c.task == task,
        evaluations.c.protocol_key == protocol.key,
        evaluations.c.data == data,
    )


def study_config(content: Mapping[str, Any]) -> StudyConfig:
    fields = dict(content)
    fields["protocol"] = Protocol.model_validate(fields["protocol"])
    fields["objectives"] = tuple(fields["objectives"])
    if "interpolation" in fields:  # its name when super-resolution was the only task
        fields["skip_psnr"] = fields.pop("interpolation")
    return StudyConfig(**fields)


# Neither JSON nor every database has NaN and inf.
def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
