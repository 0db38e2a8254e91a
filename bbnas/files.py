"""Writing files atomically, and folders for what is thrown away.

What a process has not finished is removed at its end: by itself, or, of a temporary folder whose
process was killed, by the next process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bbnas.errors import UserError

# What the names of temporary folders begin with.
TEMPORARY = "bbnas-run-"
# Where they are: memory holds what is small, and Ray's sockets need a short path.
MEMORY, SHORT = Path("/dev/shm"), Path("/tmp")

# Files and folders of this process that are removed if it ends before they are finished.
_unfinished: set[Path] = set()


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``; on any failure the previous file stays intact.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    _unfinished.add(draft)
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # the draft is nobody's business
        raise
    finally:
        draft.unlink(missing_ok=True)
        _unfinished.discard(draft)


def write_output(path: str | Path, content: str | bytes) -> Path:
    """``write_atomically`` for what a user asked for: text is UTF-8, parent folders are made.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    # The name of a file may be bytes that are no text; they are written as they are.
    whole = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, whole)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); name another") from error
    return path


def disk_message(error: OSError, path: Path) -> str:
    """Why a file cannot be written, and the remedy; a full disk is named as such."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: the disk is full; make room"
    return f"{path}: cannot be written ({error.strerror or error}); check the folder"


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """A new folder, by default in the system's for temporary files, removed after the block.

    The process locks it. The lock ends with the process, however that ends, so that another one
    knows by :func:`remove_abandoned` that the folder is nobody's.
    """
    remove_abandoned()
    folder, lock = _locked_folder(parent)
    _unfinished.add(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unfinished.discard(folder)
        if lock is not None:
            os.close(lock)


def remove_abandoned() -> None:
    """Remove the temporary folders of processes that were killed."""
    for parent in {Path(tempfile.gettempdir()), MEMORY, SHORT}:
        for folder in parent.glob(f"{TEMPORARY}*"):
            with contextlib.suppress(OSError):  # it is another user's
                if (lock := _lock(folder)) is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(lock)


def remove_unfinished() -> None:
    """Remove what this process, which ends now, has not finished."""
    for path in list(_unfinished):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _locked_folder(parent: Path | None) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=parent))
        try:
            lock = _lock(folder)
        except FileNotFoundError:
            continue
        except OSError:  # a file system without locks, where nothing is ever abandoned
            return folder, None
        # Another process may have removed the folder just before it was locked.
        if lock is not None and folder.exists():
            return folder, lock


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the lock of ``folder``; None while another one holds it."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor
