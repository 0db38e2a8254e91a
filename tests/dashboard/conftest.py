"""A database that a search might have written, and the dashboard over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from bbnas.dashboard.app import make_app
from bbnas.dashboard.live import Live
from bbnas.dashboard.sources import Sources
from bbnas.store import Store
from bbnas.store.ledger import Job, Ledger
from bbnas.store.studies import enter
from bbnas.study import Candidate, Study


class Writer:
    """A search's side of a database: what a search would write, one candidate at a time."""

    def __init__(self, file: Path, study: Study) -> None:
        self.file, self.study = file, study
        store = Store(f"sqlite:///{file}", create=True)
        self.ledger = Ledger(store, enter(store, study.config), study.config)
        self.ledger.__enter__()

    def write(self, candidate: Candidate) -> None:
        job = self.ledger.claim(candidate.evaluation.design, candidate.baseline, 10**6)
        assert isinstance(job, Job)
        self.ledger.finish(job, candidate.evaluation, {})

    def close(self) -> None:
        self.ledger.__exit__()
        self.ledger.store.close()


@pytest.fixture
def writer(tmp_path: Path, synthetic_study: Callable[..., Study]) -> Iterator[Writer]:
    """A study of twelve designs, of which ten are written."""
    study = synthetic_study(12, name="live")
    writing = Writer(tmp_path / "live.db", study)
    for candidate in study.candidates[:10]:
        writing.write(candidate)
    yield writing
    writing.close()


@pytest.fixture
def live(writer: Writer) -> Iterator[Live]:
    found = Live(Sources([str(writer.file)]))
    found.start()
    assert found.wait(20)
    yield found
    found.stop()


@pytest.fixture
def client(live: Live) -> FlaskClient:
    return make_app(live).server.test_client()
