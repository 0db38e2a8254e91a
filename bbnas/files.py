"""Writing files atomically."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from bbnas.errors import UserError


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``; on any failure the previous file stays intact.

    Raises:
        OSError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def write_output(path: str | Path, content: str | bytes) -> Path:
    """``write_atomically`` for what a user asked for: text is UTF-8, its folder is made.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    whole = content if isinstance(content, bytes) else content.encode("utf-8")
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
