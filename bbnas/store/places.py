"""Where databases lie: their URLs, the folders that hold them, and how a study is found."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from bbnas.errors import UserError, unknown
from bbnas.store.store import Store
from bbnas.store.tables import shown
from bbnas.study import Study

# Folder of the studies' databases, one a study, below the current folder.
STUDIES = Path("studies")
# Folder of what else commands keep: trained networks, and the databases below.
RUNS = Path("runs")
# Trainings of `bbnas fidelity`, and how well protocols ranked designs.
FIDELITY = RUNS / "fidelity.db"
# Trainings of `bbnas ablation run`, shared by all ablations.
ABLATIONS = RUNS / "ablations.db"
# Trainings of `bbnas bench tabulate`, until they are a table.
TABLE = RUNS / "sampler-table.db"


def storage_url(storage: str | Path) -> str:
    """``storage`` as a database URL; a plain path is a SQLite file."""
    text = str(storage)
    return text if "://" in text else f"sqlite:///{text}"


def storage_shown(storage: str) -> str:
    """``storage`` as it may be printed: a URL without its password, a path as it is."""
    return shown(sa.make_url(storage)) if "://" in storage else storage


def default_url(name: str) -> str:
    """Where the study ``name`` is kept unless a storage is given."""
    return storage_url(STUDIES / f"{name}.db")


def open_store(
    storage: str | Path | None, default: str | Path, create: bool = False, patience: float = 0.0
) -> Store:
    """The database at ``storage``, or at ``default`` where it is None: URLs or paths of files.

    ``create`` makes what is missing: the tables, the file and its parent folders. ``patience`` is
    the time (s) that a server which goes away later is waited for.

    Raises:
        UserError: no such database, one that cannot be opened, or a folder that cannot be made.
    """
    url = storage_url(default if storage is None else storage)
    if create and url.startswith("sqlite:///") and "?" not in url:
        _make_folder(Path(url.removeprefix("sqlite:///")).parent)
    return Store(url, create, patience)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder}/ cannot be made ({error.strerror}); name another place by --storage"
        ) from error


def paused_folder(url: sa.URL) -> Path | None:
    """Where the trainings that a study stopped are kept: beside its database if that is a file,
    which is then the study's own; None for a server, which keeps them itself.
    """
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database).with_suffix(".paused").absolute()


def spool_folder(url: sa.URL, name: str) -> Path | None:
    """Where a search keeps outcomes while its database server is away; None for a file."""
    file = url.get_backend_name() == "sqlite"
    return None if file else (STUDIES / f"{name}.spool").absolute()


def open_study(study: str, storage: str | None = None) -> Study:
    """A stored study; see :func:`find_study`."""
    store, name = find_study(study, storage)
    return store.load_study(name)


def find_study(study: str, storage: str | None = None) -> tuple[Store, str]:
    """The database and the name of a stored study: by name (in ``studies/``, or in ``storage``),
    or by any path or URL that leads to its database, with or without ``.db``.

    Raises:
        UserError: there is no such study, or the database cannot be read.
    """
    if storage is not None:
        store = Store(storage_url(storage))
        return store, store.named(study)
    if "://" in study:
        store = Store(study)
        return store, store.named()
    places = (STUDIES / f"{study}.db", Path(study), Path(f"{study}.db"), STUDIES / study)
    for file in places:
        if file.is_file():
            store = Store(storage_url(file))
            return store, store.named(file.stem if file.stem in store.studies() else None)
    path = "/" in study or study.endswith(".db")
    folder = Path(study).parent if path else STUDIES
    if known := [file.stem for file in sorted(folder.glob("*.db"))]:
        raise unknown(f"study in {folder}/", Path(study).stem if path else study, known)
    if path:
        Store(storage_url(study))  # which says that there is none
    raise UserError(
        f"no study {study!r}: {STUDIES}/ holds none; give the path of its database, or --storage"
    )


def stored_studies(storage: str | None = None) -> tuple[list[Study], list[str]]:
    """The studies in ``storage``, or in ``studies/`` by default; and of each database there that
    cannot be read, the reason.

    Raises:
        UserError: ``storage`` cannot be read.
    """
    if storage is not None:
        store = Store(storage_url(storage))
        return [store.load_study(name) for name in store.studies()], []
    studies: list[Study] = []
    unread: list[str] = []
    for file in sorted(STUDIES.glob("*.db")):
        try:
            studies += stored_studies(str(file))[0]
        except UserError as error:
            unread.append(str(error))
    return studies, unread


def study_names() -> list[str]:
    """The names of the databases in ``studies/``; none is opened."""
    return [file.stem for file in sorted(STUDIES.glob("*.db"))]
