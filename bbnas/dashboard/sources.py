"""Which databases a dashboard reads, and which of their studies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bbnas.errors import UserError, unknown
from bbnas.store import STUDIES, Store, storage_url


class Sources:
    """What a user named: studies by name, path or URL, folders, and a storage.

    ``data`` names the images of the studies; None is those that come with bbnas.

    Raises:
        UserError: a name or path at which there is nothing. A URL may come to life later.
    """

    def __init__(
        self, given: Sequence[str] = (), storage: str | None = None, data: str | None = None
    ) -> None:
        self.data = data
        self._folders: list[Path] = []
        self._only: dict[str, set[str] | None] = {}
        if storage is not None and Path(storage).is_dir():
            given = [str(Path(storage) / f"{name}.db") for name in given] or [storage]
            storage = None
        if storage is not None:
            self._in_storage(storage_url(storage), given)
            return
        for name in given or [str(STUDIES)]:
            self._add(name)

    def databases(self) -> dict[str, set[str] | None]:
        """The URL of each database, and the names of the studies to show of it (None: all).

        Folders are listed anew at each call.
        """
        found = dict(self._only)
        for folder in self._folders:
            for file in sorted(folder.glob("*.db")):
                found.setdefault(storage_url(file), None)
        return found

    def words(self) -> str:
        """Where studies are looked for."""
        places = [f"{folder}/" for folder in self._folders]
        return ", ".join([*places, *(url.removeprefix("sqlite:///") for url in self._only)])

    def _in_storage(self, url: str, names: Sequence[str]) -> None:
        if "://" in url and not url.startswith("sqlite"):
            self._only[url] = set(names) or None
            return
        known = Store(url).studies()
        for name in names:
            if name not in known:
                raise unknown(f"study in {url}", name, known)
        self._only[url] = set(names) or None

    def _add(self, name: str) -> None:
        if "://" in name:
            self._only[name] = None
        elif Path(name).is_dir() or Path(name) == STUDIES:
            self._folders.append(Path(name))
        else:
            places = (STUDIES / f"{name}.db", Path(name), Path(f"{name}.db"), STUDIES / name)
            file = next((place for place in places if place.is_file()), None)
            if file is None:
                known = [f.stem for f in sorted(STUDIES.glob("*.db"))]
                if known:
                    raise unknown(f"study in {STUDIES}/", name, known)
                raise UserError(
                    f"{name}: no such study, database or folder; check the path, or search first"
                )
            self._only[storage_url(file)] = None
