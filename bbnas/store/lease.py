"""The lease of a run: a row that says that its process lives, as long as its heart beats."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from bbnas.errors import UserError
from bbnas.store.database import Database, clock, waits
from bbnas.store.runs import lives
from bbnas.store.tables import LEASE, budgets, runs

# Seconds between heartbeats; a lease lasts four of them.
HEARTBEAT_SECONDS = 15.0


class Lease:
    """One run of a study, which was asked for ``budget`` designs, or does not say.

    All times are by the database's clock, so that a machine whose clock is wrong loses no lease.
    """

    def __init__(self, store: Database, study_id: int, budget: int | None) -> None:
        self.store = store
        self.run_id = 0
        self._study_id, self._budget = study_id, budget
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="bbnas-heartbeat", daemon=True)

    @waits
    def begin(self) -> None:
        """Write the row of the run, and keep it fresh from then on."""
        with self.store.write() as connection:
            started = clock(connection)
            self.run_id = connection.execute(
                sa.insert(runs)
                .values(
                    study_id=self._study_id,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    started=started,
                    seen=started,
                )
                .returning(runs.c.id)
            ).scalar_one()
            if self._budget is not None:
                connection.execute(
                    sa.insert(budgets).values(run_id=self.run_id, designs=self._budget)
                )
        self._heart.start()

    def stop(self) -> None:
        """End the heartbeat; the row is to be given the end of the run next."""
        self._stopped.set()
        self._heart.join()

    def renew(self, connection: sa.Connection, **values: Any) -> None:
        """Say that the run lives, and write ``values`` of its row."""
        connection.execute(
            sa.update(runs)
            .where(runs.c.id == self.run_id)
            .values(seen=clock(connection), **values)
        )

    def others(self, connection: sa.Connection, held: Collection[int | None]) -> set[int]:
        """Those of the runs ``held``, but for this one, whose claims hold."""
        others = {run for run in held if run is not None and run != self.run_id}
        if time.monotonic() - self.store.back < LEASE.total_seconds():
            return others  # nobody could renew a lease while the database was away
        rows = connection.execute(sa.select(runs).where(runs.c.id.in_(others))) if others else ()
        return {row.id for row in rows if lives(connection, row)}

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            try:
                with self.store.write() as connection:
                    self.renew(connection)
            except UserError:  # the main thread meets the same trouble, and tells of it
                continue
