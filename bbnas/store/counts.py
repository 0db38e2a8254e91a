"""How many candidates a study has in each state, by reading only those that have changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from bbnas.store.evaluations import SETTLED
from bbnas.store.tables import candidates, evaluations, runs


@dataclass(frozen=True)
class Counts:
    """The numbers of candidates of a study at one moment.

    ``claimed`` are all, ``done`` those that no run evaluates. ``stopped`` (at a rung), ``failed``
    (diverged ones too) and ``reused`` (evaluated by another study) are among ``done``.
    """

    claimed: int
    done: int
    stopped: int
    failed: int
    reused: int
    duplicates: int
    rejected: int


class _Kind(NamedTuple):
    state: str
    status: str | None  # of the evaluation, if there is one
    reused: bool


class Tally:
    """The candidates of a study by kind, as they were when it was read last."""

    def __init__(self, study_id: int) -> None:
        self._study_id = study_id
        self._revision = -1
        self._kinds: dict[int, _Kind] = {}
        self._numbers: Counter[_Kind] = Counter()

    def read(self, connection: sa.Connection) -> Counts:
        """The numbers of this moment."""
        changed = connection.execute(
            sa.select(candidates.c.number, candidates.c.revision, candidates.c.state)
            .add_columns(evaluations.c.status, candidates.c.reused)
            .select_from(candidates.outerjoin(evaluations))
            .where(candidates.c.study_id == self._study_id, candidates.c.revision > self._revision)
        ).all()
        duplicates, rejected = connection.execute(
            sa.select(
                sa.func.coalesce(sa.func.sum(runs.c.duplicates), 0),
                sa.func.coalesce(sa.func.sum(runs.c.rejected), 0),
            ).where(runs.c.study_id == self._study_id)
        ).one()
        for row in changed:
            if row.number in self._kinds:
                self._numbers[self._kinds[row.number]] -= 1
            kind = _Kind(row.state, row.status, row.reused)
            self._kinds[row.number] = kind
            self._numbers[kind] += 1
            self._revision = max(self._revision, row.revision)
        numbers = self._numbers.items()
        return Counts(
            claimed=len(self._kinds),
            done=sum(n for kind, n in numbers if kind.state in SETTLED),
            stopped=sum(n for kind, n in numbers if kind.state == "stopped"),
            failed=sum(n for kind, n in numbers if kind.status in ("diverged", "failed")),
            reused=sum(n for kind, n in numbers if kind.reused),
            duplicates=int(duplicates),
            rejected=int(rejected),
        )
