"""A place for the states of paused trainings that workers read and write themselves: a folder, or
what fsspec reaches by a URL.

Without one, the states are kept in the study's database, if a server keeps that. Workers never
open it: there the state goes to them with the Job, and comes back with its outcome.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec

from bbnas.errors import UserError, why
from bbnas.files import temporary_folder

_log = logging.getLogger(__name__)


def artifacts_place(artifacts: str, study: str) -> str:
    """The place of a study's paused trainings in ``artifacts``: a path, or a URL with ``://``.

    Raises:
        UserError: it cannot be written, or the library that reaches it is not installed.
    """
    place = artifacts if "://" in artifacts else str(Path(artifacts).absolute())
    place = f"{place.rstrip('/')}/{study}.paused"
    try:
        system, root = fsspec.url_to_fs(place)
        system.makedirs(root, exist_ok=True)
        probe = f"{root}/{uuid.uuid4().hex}"
        system.pipe_file(probe, b"")
        system.rm_file(probe)
    except ImportError as error:  # fsspec says which library
        raise UserError(
            f"artifacts {artifacts}: {why(error)}; pip install it on every machine of the search"
        ) from error
    except Exception as error:  # each file system raises classes of its own
        raise UserError(
            f"artifacts {artifacts}: cannot be written ({why(error)}); check the address and its "
            "rights"
        ) from error
    return place


@contextmanager
def local_copy(place: str, name: str) -> Iterator[Path]:
    """A local folder with the file ``name`` of the URL ``place``, as far as it is there.

    After the block the file at the URL is as the one in the folder, or gone as that is. Trouble on
    the way is logged and ignored: a training is deterministic, so to lose its state costs time.
    """
    with temporary_folder() as folder:
        file = folder / name
        system, root = fsspec.url_to_fs(place)
        there = False
        try:
            if there := system.exists(f"{root}/{name}"):
                system.get_file(f"{root}/{name}", str(file))
        except Exception as error:  # noqa: BLE001 - each file system raises classes of its own
            file.unlink(missing_ok=True)
            _log.warning("%s/%s: cannot be read (%s)", place, name, why(error))
        yield folder
        try:
            if file.exists():
                system.put_file(str(file), f"{root}/{name}")
            elif there:
                system.rm_file(f"{root}/{name}")
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("%s/%s: cannot be written (%s)", place, name, why(error))
