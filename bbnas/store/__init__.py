"""What a database holds: studies, evaluations, latencies and fidelities. All SQL is here."""

from __future__ import annotations

from bbnas.store.places import (
    ABLATIONS,
    FIDELITY,
    RUNS,
    STUDIES,
    TABLE,
    default_url,
    find_study,
    open_store,
    open_study,
    paused_folder,
    spool_folder,
    storage_shown,
    storage_url,
    stored_studies,
    study_names,
)
from bbnas.store.store import Store

__all__ = [
    "ABLATIONS",
    "FIDELITY",
    "RUNS",
    "STUDIES",
    "TABLE",
    "Store",
    "default_url",
    "find_study",
    "open_store",
    "open_study",
    "paused_folder",
    "spool_folder",
    "storage_shown",
    "storage_url",
    "stored_studies",
    "study_names",
]
