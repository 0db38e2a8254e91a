"""Outcomes on their way to a database server: each is a file until it is written there."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bbnas.errors import UserError
from bbnas.evaluation import Evaluation
from bbnas.files import disk_message, write_atomically
from bbnas.store.evaluations import read_evaluation, to_row
from bbnas.text import from_json, to_json


@dataclass(frozen=True)
class Told:
    """An outcome of the run ``run``: of the candidate ``number``, or of a reference where that is
    None. ``notes`` are the sampler's. ``worker`` trained it from ``began`` (None: from its claim)
    to ``ended``, in seconds of this machine's clock. ``state`` is that of a paused training, for
    the database to keep.
    """

    run: int
    number: int | None
    evaluation: Evaluation
    notes: Mapping[str, Any] = field(default_factory=dict)
    worker: int = 0
    began: float | None = None
    state: bytes | None = field(default=None, repr=False)
    ended: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        made = self.evaluation
        which = f"{made.design.key}-{made.protocol.key}" if self.number is None else self.number
        return f"{self.run}-{which}.json"


class Spool:
    """The files of outcomes in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, told: Told) -> None:
        """Keep an outcome.

        Raises:
            UserError: it cannot be written.
        """
        content = {
            "run": told.run,
            "number": told.number,
            "notes": dict(told.notes),
            "worker": told.worker,
            "began": told.began,
            "ended": told.ended,
            "state": base64.b64encode(told.state or b"").decode(),
        }
        file = self._folder / told.name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(file, to_json(content | to_row(told.evaluation)).encode())
        except OSError as error:
            raise UserError(disk_message(error, file)) from error

    def drop(self, told: Told) -> None:
        """Forget an outcome that the database has."""
        (self._folder / told.name).unlink(missing_ok=True)

    def kept(self) -> Iterator[Told]:
        """The outcomes that are not dropped yet, whichever run of this folder put them there."""
        for file in sorted(self._folder.glob("*.json")):
            try:
                row = SimpleNamespace(**from_json(file.read_text()))
            except FileNotFoundError:  # another search has just dropped it
                continue
            yield Told(
                run=row.run,
                number=row.number,
                evaluation=read_evaluation(row),
                notes=row.notes,
                worker=row.worker,
                began=row.began,
                ended=row.ended,
                state=base64.b64decode(row.state),
            )
