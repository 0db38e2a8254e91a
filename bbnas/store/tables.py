"""The tables of a study database, how it is opened, and what its errors mean."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from bbnas.errors import UserError

# The number of this schema. Whoever changes a table raises it, and adds a script to migrations/.
SCHEMA_VERSION = 8
# The oldest schema whose results are comparable with those of today; it can be upgraded. Schema 4
# changed networks and data: LeakyReLU after a binary conv_hr, smaller starts, biases in DnCNN-3,
# borders of bicubic.
COMPARABLE = 4
# Time after its last heartbeat at which a run counts as dead.
LEASE = timedelta(seconds=60)
# Seconds that a writer waits for another program's lock before it gives up.
BUSY_SECONDS = 60

# Seconds that a server may take to accept a connection.
CONNECT_SECONDS = 10
# A connection whose other end is gone is noticed in half a minute, not in a quarter of an hour.
_ALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # ms
}
# The advisory lock that a writer holds in PostgreSQL: any number that other programs do not use.
_WRITE_LOCK = 0x62626E6173

metadata = sa.MetaData()

version_table = sa.Table(
    "bbnas_version", metadata, sa.Column("version", sa.Integer, primary_key=True)
)
studies = sa.Table(
    "bbnas_studies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("created", sa.DateTime, nullable=False),
)
# One row per search process: its lease on the candidates it is evaluating, and its counts.
runs = sa.Table(
    "bbnas_runs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(studies.c.id), nullable=False, index=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.DateTime, nullable=False),
    sa.Column("seen", sa.DateTime, nullable=False),
    sa.Column("finished", sa.DateTime),
    sa.Column("duplicates", sa.Integer, nullable=False, default=0),
    sa.Column("rejected", sa.Integer, nullable=False, default=0),
)
# The number of designs that a run was asked for; runs of before schema 5 may have no row.
budgets = sa.Table(
    "bbnas_budgets",
    metadata,
    sa.Column("run_id", sa.ForeignKey(runs.c.id), primary_key=True),
    sa.Column("designs", sa.Integer, nullable=False),
)
# One row for each stretch of a candidate's training: from a claim, or from a rung, to an outcome.
# worker: its number in the run, NULL until it is known. outcome: a status of an evaluation, died
# (with its worker), interrupted (with its run), or empty. Runs of before schema 5 may have none.
attempts = sa.Table(
    "bbnas_attempts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(studies.c.id), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("run_id", sa.ForeignKey(runs.c.id), nullable=False),
    sa.Column("worker", sa.Integer),
    sa.Column("started", sa.DateTime, nullable=False),
    sa.Column("finished", sa.DateTime),
    sa.Column("outcome", sa.String(16), nullable=False, default=""),
)
evaluations = sa.Table(
    "bbnas_evaluations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("design_key", sa.String(16), nullable=False),
    sa.Column("task", sa.String(32), nullable=False),
    sa.Column("protocol_key", sa.String(12), nullable=False),
    sa.Column("data", sa.String(128), nullable=False),
    sa.Column("design", sa.JSON, nullable=False),
    sa.Column("protocol", sa.JSON, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("psnr", sa.Double),
    sa.Column("ssim", sa.Double),
    sa.Column("ops", sa.Double, nullable=False),
    sa.Column("params", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("curve", sa.JSON, nullable=False),
    sa.Column("rungs", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("environment", sa.JSON, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.UniqueConstraint("design_key", "task", "protocol_key", "data"),
)
# state: running (leased by a run), waiting (to be evaluated again), stopped (at a rung; may go on)
# or done. notes: the sampler's. revision: how many changes of the study's candidates there were
# with the last one of this row, so that who has read some of them finds what is new.
candidates = sa.Table(
    "bbnas_candidates",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.ForeignKey(studies.c.id), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("design_key", sa.String(16), nullable=False),
    sa.Column("design", sa.JSON, nullable=False),
    sa.Column("baseline", sa.String(100), nullable=False, default=""),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("run_id", sa.ForeignKey(runs.c.id)),
    sa.Column("deaths", sa.Integer, nullable=False, default=0),
    sa.Column("evaluation_id", sa.ForeignKey(evaluations.c.id), index=True),
    sa.Column("reused", sa.Boolean, nullable=False, default=False),
    sa.Column("notes", sa.JSON, nullable=False),
    sa.Column("finished", sa.DateTime),
    sa.Column("revision", sa.Integer, nullable=False, server_default="0"),
    sa.UniqueConstraint("study_id", "design_key"),
    sa.UniqueConstraint("study_id", "number"),
    sa.Index("ix_bbnas_candidates_revision", "study_id", "revision"),
    sa.Index("ix_bbnas_candidates_state", "study_id", "state"),
)
references = sa.Table(
    "bbnas_references",
    metadata,
    sa.Column("study_id", sa.ForeignKey(studies.c.id), primary_key=True),
    sa.Column("evaluation_id", sa.ForeignKey(evaluations.c.id), primary_key=True),
)
# Which run makes a training beside the candidates, such as a confirmation.
claims = sa.Table(
    "bbnas_claims",
    metadata,
    sa.Column("study_id", sa.ForeignKey(studies.c.id), primary_key=True),
    sa.Column("design_key", sa.String(16), primary_key=True),
    sa.Column("protocol_key", sa.String(12), primary_key=True),
    sa.Column("run_id", sa.ForeignKey(runs.c.id), nullable=False),
)
# The states of trainings that are paused at a rung, where no folder keeps them.
states = sa.Table(
    "bbnas_states",
    metadata,
    sa.Column("study_id", sa.ForeignKey(studies.c.id), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("kept", sa.DateTime, nullable=False),
)
# How long a design takes, by design and by setting; ``shape`` is shared by designs whose networks
# differ in their numbers alone.
latencies = sa.Table(
    "bbnas_latencies",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("design_key", sa.String(16), nullable=False),
    sa.Column("task", sa.String(32), nullable=False),
    sa.Column("setting_key", sa.String(16), nullable=False),
    sa.Column("shape", sa.String(16), nullable=False),
    sa.Column("setting", sa.JSON, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("ratio", sa.Double, nullable=False),
    sa.Column("reference", sa.Double, nullable=False),
    sa.Column("spread", sa.Double, nullable=False),
    sa.Column("runs", sa.Integer, nullable=False),
    sa.UniqueConstraint("design_key", "task", "setting_key"),
)
# How a proxy (with any seed) ranks designs of a space, against a longer protocol.
fidelities = sa.Table(
    "bbnas_fidelities",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("task", sa.String(32), nullable=False),
    sa.Column("space", sa.String(200), nullable=False),
    sa.Column("protocol_key", sa.String(12), nullable=False),
    sa.Column("data", sa.String(128), nullable=False),
    sa.Column("protocol", sa.JSON, nullable=False),
    sa.Column("long", sa.JSON, nullable=False),
    sa.Column("result", sa.JSON, nullable=False),
    sa.Column("environment", sa.JSON, nullable=False),
    sa.Column("measured", sa.DateTime, nullable=False),
)


def _readable(url: sa.URL) -> sa.URL:
    """``url``, opened as unchanging where its folder cannot take SQLite's side files."""
    if url.get_backend_name() != "sqlite" or url.query or url.database is None:
        return url
    file = Path(url.database).resolve()
    if os.access(file.parent, os.W_OK) or Path(f"{file}-wal").exists():
        return url
    return sa.make_url(f"sqlite:///file:{file}?mode=ro&immutable=1&uri=true")


def make_engine(url: sa.URL, create: bool) -> sa.Engine:
    if url.get_backend_name() == "postgresql":
        engine = sa.create_engine(url, connect_args={"connect_timeout": CONNECT_SECONDS} | _ALIVE)
        _queue_writers(engine)
        return engine
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url)
    engine = sa.create_engine(
        url if create else _readable(url), connect_args={"timeout": BUSY_SECONDS}
    )
    # The journal mode is kept in the file: readers and the one writer do not block each other.
    _begin_explicitly(engine, ["journal_mode=WAL"] if create else [])
    return engine


def _begin_explicitly(engine: sa.Engine, pragmas: Sequence[str]) -> None:
    """Make SQLite transactions whole, and writers queue instead of failing.

    A deferred transaction that reads and then writes fails at once, whatever the timeout, if
    another process wrote in between; BEGIN IMMEDIATE takes the write lock first and waits for it.
    """

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own, later, BEGIN is not used
        for pragma in ("foreign_keys=ON", *pragmas):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("bbnas_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _queue_writers(engine: sa.Engine) -> None:
    """Make PostgreSQL's writers queue, as SQLite's do, and reads see one state."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # What a writer that hangs, or whose machine is gone, may keep the others waiting.
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{BUSY_SECONDS}s'")
        connection.commit()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("bbnas_write"):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")
        else:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def shown(url: sa.URL) -> str:
    """``url`` as it may be read by anyone: without a password."""
    kept = url.difference_update_query(["password"])
    return kept._replace(password=None).render_as_string()


def explain(where: str, error: BaseException) -> UserError:
    """A database error in one line: what is wrong with the database ``where``, and the remedy."""
    cause: BaseException = error
    while not isinstance(cause, SQLAlchemyError) and cause.__cause__ is not None:
        cause = cause.__cause__
    text = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
    remedies = {
        "readonly": "it cannot be written: check its permissions, or give another --storage",
        "unable to open": "check that the folder exists and may be written",
        "full": "free some space and run the same command again: what was finished is kept",
        "disk i/o": "the disk may be full or failing: free some space and run the same command "
        "again; what was finished is kept",
        "locked": f"another program has held it for {BUSY_SECONDS} s: close that program",
        "not a database": "give another file, or --name for a new study",
        "connection refused": "start the server, or check host and port",
        "authentication failed": "check the user, and the password in ~/.pgpass or BBNAS_STORAGE",
        "no password supplied": "put it in ~/.pgpass, or the URL in BBNAS_STORAGE",
        "malformed": "the file is damaged: restore a copy",
    }
    remedy = next((r for sign, r in remedies.items() if sign in text.lower()), "check --storage")
    return UserError(f"{where}: {text}; {remedy}")
