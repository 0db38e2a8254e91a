"""Where databases lie: their URLs, their folders, and how a study is found."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

from bbnas.errors import UserError, unknown
from bbnas.store.store import Store
from bbnas.study import Study

STUDIES = Path("studies")
# A database that is no study: how protocols were found to rank designs.
FIDELITY = "fidelity"
# Where the trainings of the studies in studies/*.yaml are kept.
ABLATIONS = "ablations"
# Where the trainings of a whole space are kept until they are a table.
TABLE = "sampler-table"


def storage_url(storage: str | Path) -> str:
    """``storage`` as a database URL; a plain path is a SQLite file."""
    text = str(storage)
    return text if "://" in text else f"sqlite:///{text}"


def default_url(name: str) -> str:
    """Where the study ``name`` is kept unless said otherwise."""
    return f"sqlite:///{STUDIES / name}.db"


def ready_url(name: str) -> str:
    """``default_url``, with the folder made.

    Raises:
        UserError: the folder cannot be made here.
    """
    try:
        STUDIES.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{STUDIES}/ cannot be made here ({error.strerror}); change the folder, or give "
            "--storage URL"
        ) from error
    return default_url(name)


def paused_folder(url: str, name: str) -> Path:
    """Where the trainings that a study stopped are kept: beside its database if that is a file."""
    found = sa.make_url(url)
    beside = found.database if found.get_backend_name() == "sqlite" else None
    return (Path(beside) if beside else STUDIES / name).with_suffix(".paused").absolute()


def valid_name(name: str) -> str:
    """``name`` if a study, and so a file, may be called that; else UserError."""
    if not re.fullmatch(r"[^\W_][\w.+-]{0,99}", name):
        raise UserError(
            f"study name {name!r}: must be at most 100 letters, digits, '-', '_', '.' or '+' and "
            "begin with a letter or digit"
        )
    return name


def open_study(study: str, storage: str | None = None) -> Study:
    """A stored study by name (``studies/NAME.db`` or in ``storage``), or by the path of a .db.

    Raises:
        UserError: there is no such study, or the database cannot be read.
    """
    if storage is not None:
        return Store(storage_url(storage)).load_study(study)
    if "/" in study or study.endswith(".db"):
        return Store(storage_url(study)).load_study()
    if not (STUDIES / f"{study}.db").exists():
        known = sorted(path.stem for path in STUDIES.glob("*.db"))
        if known:
            raise unknown(f"study in {STUDIES}/", study, known)
        raise UserError(
            f"no study {study!r}: {STUDIES}/ holds none; give the path of its .db or --storage URL"
        )
    return Store(default_url(study)).load_study(study)
