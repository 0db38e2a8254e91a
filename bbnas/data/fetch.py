"""Fetching: downloading a known set from its official address to where its name finds it."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import re
import shutil
import stat
import struct
import tarfile
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple
from urllib.parse import unquote, urlsplit

from bbnas import __version__
from bbnas.data.folders import is_hidden
from bbnas.data.reading import SUFFIXES
from bbnas.data.sets import (
    SETS,
    DataProgress,
    KnownSet,
    OnProgress,
    Source,
    check_folder,
    find_set,
    get_set,
    need_roots,
    spellings,
    stem_of,
)
from bbnas.errors import UserError

_DOWNLOADS = ".downloads"  # folder below the data root; hidden, so that no image is found in it
_CHUNK = 1 << 20  # bytes read at once from a file
_PIECE = 1 << 15  # bytes of a transfer written at once: the most that is lost when it breaks off
_LARGEST_IMAGE = 1 << 28  # bytes; no image of these sets comes near
_SECONDS = (20.0, 60.0)  # timeouts: to connect, and between two pieces of a transfer
_STALE_SECONDS = 24 * 3600.0  # age from which an unpacked folder is deleted: no fetch takes a day
# Errors of a damaged archive. RuntimeError: a password, or a compression unknown to zipfile.
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
)


class Fetched(NamedTuple):
    """A set in ``folder``; ``images`` counts those fetched, 0 if the set was complete before."""

    name: str
    folder: Path
    images: int


def fetch(
    known: KnownSet | str,
    data_root: str | Path | None = None,
    on_progress: OnProgress | None = None,
) -> list[Fetched]:
    """Download a set and unpack it below the data root, with the other sets of its archive.

    The next call resumes a transfer that broke off. The archive is compared with its checksum, if
    one is stated; the unpacked images are checked by number, sizes and decodability, and the
    folder appears whole or not at all. No existing file is replaced.

    Raises:
        UserError: the set must be requested by hand; an incomplete copy is in its place; the
            server cannot be reached; the download is damaged or another set; the disk is full;
            another fetch is running there.
    """
    if isinstance(known, str):
        known = get_set(known)
    root = need_roots(data_root)[0]
    if known.source is None:
        raise UserError(
            f"{known.name} cannot be fetched, it must be asked for at {known.page} "
            f"({known.terms}); then put its images into {root / known.folder}"
        )
    there = find_set(known.name, [root])
    if there is not None:
        checked = check_folder(known, there, on_progress)
        if not checked.ok:
            raise UserError(
                f"{there}: {known.name} is there with {checked.problem}; move it away and run "
                "the same command again"
            )
        return [Fetched(known.name, there, 0)]
    with _space_errors(root), _working(root) as downloads:
        return _fetch(known, known.source, root, downloads, on_progress)


def _fetch(
    known: KnownSet, source: Source, root: Path, downloads: Path, on_progress: OnProgress | None
) -> list[Fetched]:
    files = [downloads / f"{known.name}-{_file_name(address)}" for address in source.addresses]
    if len(files) == 1:
        files = [downloads / _file_name(source.addresses[0])]
    for address, file in zip(source.addresses, files, strict=True):
        if not file.exists():
            _download(address, file, known, on_progress)
    if source.checksum:
        _compare(files[0], source.checksum, on_progress)
    wanted = [known]
    if len(files) == 1:
        others = [other for other in SETS.values() if other.source == source]
        wanted += [other for other in others if other.name != known.name]
        wanted = [one for one in wanted if find_set(one.name, [root]) is None]
    fetched = []
    for one in wanted:
        try:
            fetched.append(_place(one, files, root, downloads, on_progress))
        except UserError:
            if not source.checksum:  # the download may be wrong: the next call starts afresh
                for file in files:
                    file.unlink(missing_ok=True)
            if one is known:
                raise
    for file in files:
        file.unlink(missing_ok=True)
    return fetched


@contextlib.contextmanager
def _working(root: Path) -> Iterator[Path]:
    """The folder of downloads, locked for this process; removed at the end if it is empty."""
    from filelock import FileLock, Timeout

    downloads = root / _DOWNLOADS
    downloads.mkdir(parents=True, exist_ok=True)
    lock = FileLock(downloads / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{root}: another fetch is running there; wait for it, or fetch to another data root"
        ) from None
    try:
        for left_over in downloads.glob("unpacked-*"):  # by a process that was killed
            if time.time() - left_over.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left_over, ignore_errors=True)
        yield downloads
    finally:
        (downloads / "lock").unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):  # not empty: a transfer that can be resumed
            downloads.rmdir()


@contextlib.contextmanager
def _space_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space" if full else "choose a folder that can be written"
        raise UserError(
            f"{error.filename or root}: {error.strerror or error}; {remedy} and run the same "
            "command again, what was downloaded is kept"
        ) from error


def _need_space(folder: Path, size: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"{folder}: {what} needs {size / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free; "
            "free some space or give another --data-root"
        )


def _file_name(address: str) -> str:
    return PurePosixPath(unquote(urlsplit(address).path)).name


def _download(address: str, file: Path, known: KnownSet, on_progress: OnProgress | None) -> None:
    """Download ``address`` to ``file`` by way of ``file``.part, which a later call resumes."""
    import requests

    part = file.with_name(f"{file.name}.part")
    done = part.stat().st_size if part.exists() else 0
    # No compression: its bytes would not be those of the file.
    headers = {"User-Agent": f"bbnas/{__version__}", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    total: int | None = None
    answered = False
    try:
        with requests.get(address, headers=headers, stream=True, timeout=_SECONDS) as answer:
            answered = True
            first, total = _range(answer.headers.get("Content-Range", ""))
            beyond = answer.status_code == requests.codes.requested_range_not_satisfiable
            if beyond and total == done:
                part.replace(file)
                return
            if answer.status_code >= 400 and not beyond:
                raise UserError(
                    f"{address}: the server answers {answer.status_code} {answer.reason}; try "
                    f"again later, or see {known.page}"
                )
            if beyond or answer.status_code != requests.codes.partial_content:
                # The server sends the file from its start: it overwrites the bytes there.
                first, total = 0, _number(answer.headers.get("Content-Length", ""))
            if beyond or first > done:
                part.unlink(missing_ok=True)  # the server's file has changed
                raise UserError(
                    f"{address}: the server cannot resume after {done:,} bytes; run the same "
                    "command again to start afresh"
                )
            done = first
            _need_space(part.parent, max(0, (total or 0) - done), known.name)
            with part.open("r+b" if part.exists() else "xb") as out:
                out.seek(done)
                for chunk in answer.iter_content(_PIECE):
                    out.write(chunk)
                    done += len(chunk)
                    if on_progress is not None:
                        on_progress(
                            DataProgress(f"downloading {file.name}", done, total, in_bytes=True)
                        )
                if total is None or done >= total:
                    out.truncate()
        broken = "" if total in (None, done) else "the transfer broke off"
    except requests.Timeout:
        broken = "the server is silent"
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        broken = "the connection was lost"
    except requests.RequestException as error:
        raise UserError(f"{address}: {error}; see {known.page}") from error
    if broken and not answered:
        raise UserError(
            f"{address}: the server cannot be reached; check the connection and run the same "
            f"command again, or see {known.page}"
        )
    if broken:
        of = f" of {total:,}" if total else ""
        raise UserError(
            f"{address}: {broken} after {done:,}{of} bytes; run the same command again to resume"
        )
    part.replace(file)


def _range(content_range: str) -> tuple[int, int | None]:
    """(first byte, whole length) of ``bytes 5-9/10`` or ``bytes */10``."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", content_range.strip())
    return (int(match[1] or 0), _number(match[2])) if match else (0, None)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _compare(file: Path, checksum: str, on_progress: OnProgress | None) -> None:
    algorithm, _, expected = checksum.partition(":")
    hashed, done, total = hashlib.new(algorithm), 0, file.stat().st_size
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            hashed.update(chunk)
            done += len(chunk)
            if on_progress is not None:
                on_progress(
                    DataProgress(f"comparing {algorithm.upper()}", done, total, in_bytes=True)
                )
    if hashed.hexdigest() != expected:
        file.unlink()
        raise UserError(
            f"{file.name}: {algorithm.upper()} is {hashed.hexdigest()} where {expected} is "
            "stated, so it was removed; run the same command again"
        )


def _place(
    known: KnownSet, files: list[Path], root: Path, downloads: Path, on_progress: OnProgress | None
) -> Fetched:
    """Unpack, check, and rename the folder to its final name."""
    fresh = downloads / f"unpacked-{uuid.uuid4().hex}"
    try:
        fresh.mkdir()
        if len(files) == 1:
            _unpack(files[0], known, fresh, on_progress)
        else:
            for file in files:
                shutil.copyfile(file, fresh / file.name.removeprefix(f"{known.name}-"))
        checked = check_folder(known, fresh, on_progress)
        if not checked.ok:
            raise UserError(
                f"{known.name}: the download is not the set as it is known "
                f"({checked.problem}); see {known.page}"
            )
        final = root / known.folder
        final.parent.mkdir(parents=True, exist_ok=True)
        fresh.rename(final)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Fetched(known.name, final, checked.found)


class _Member(NamedTuple):
    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes] | None]


def _unpack(file: Path, known: KnownSet, folder: Path, on_progress: OnProgress | None) -> None:
    """Write the set's images to ``folder`` under their bare names: paths and links are ignored."""
    try:
        with contextlib.ExitStack() as stack:
            members = [one for one in _members(file, stack) if _belongs(one.path, known)]
            _need_space(folder, sum(one.size for one in members), f"unpacking {known.name}")
            for done, member in enumerate(members, 1):
                source = member.open() if member.size <= _LARGEST_IMAGE else None
                if source is None:
                    raise UserError(f"{file.name}: {member.path} is no image; see {known.page}")
                with source, (folder / member.path.name).open("xb") as out:
                    shutil.copyfileobj(source, out, _CHUNK)
                if on_progress is not None:
                    on_progress(DataProgress(f"unpacking {known.name}", done, len(members)))
    except FileExistsError as error:
        raise UserError(f"{file.name}: holds two images of one name; see {known.page}") from error
    except _DAMAGED as error:
        raise UserError(f"{file.name}: damaged archive ({error}); see {known.page}") from error


def _members(file: Path, stack: contextlib.ExitStack) -> Iterator[_Member]:
    """The plain files of a zip or tar archive."""
    if zipfile.is_zipfile(file):
        zipped = stack.enter_context(zipfile.ZipFile(file))
        for info in zipped.infolist():
            if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
                path = PurePosixPath(info.filename.replace("\\", "/"))
                yield _Member(path, info.file_size, partial(zipped.open, info))
        return
    if not tarfile.is_tarfile(file):
        raise UserError(
            f"{file.name}: neither a zip nor a tar archive; the set may have another address now"
        )
    tarred = stack.enter_context(tarfile.open(file))  # noqa: SIM115 - the stack closes it
    for entry in tarred:
        if entry.isfile():
            yield _Member(
                PurePosixPath(entry.name), entry.size, partial(tarred.extractfile, entry)
            )


def _belongs(path: PurePosixPath, known: KnownSet) -> bool:
    inside = PurePosixPath(known.inside).parts
    return (
        path.suffix.lower() in SUFFIXES
        and not is_hidden(path.name)
        and path.parent.parts[-len(inside) :] == inside
        and stem_of(path.stem) in spellings(known)
    )
