"""What a database holds: studies, evaluations, latencies and fidelities. All SQL is here."""

from __future__ import annotations

from bbnas.store.places import (
    ABLATIONS,
    FIDELITY,
    STUDIES,
    TABLE,
    default_url,
    open_study,
    paused_folder,
    ready_url,
    storage_url,
    valid_name,
)
from bbnas.store.store import Store

__all__ = [
    "ABLATIONS",
    "FIDELITY",
    "STUDIES",
    "TABLE",
    "Store",
    "default_url",
    "open_study",
    "paused_folder",
    "ready_url",
    "storage_url",
    "valid_name",
]
