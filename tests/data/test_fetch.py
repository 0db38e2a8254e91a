from __future__ import annotations

import hashlib
import io
import os
import socket
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from bbnas.data import find_benchmark
from bbnas.data.fetch import fetch
from bbnas.data.sets import SETS, KnownSet, Source
from bbnas.errors import UserError
from tests.data.serving import Served, serving

SET5 = ("baby", "bird", "butterfly", "head", "woman")
Files = dict[str, bytes]


@pytest.fixture
def server() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def images(photograph: Callable[..., np.ndarray]) -> Files:
    """Set5 as PNG files, by name."""
    files = {}
    for seed, name in enumerate(SET5):
        buffer = io.BytesIO()
        Image.fromarray(photograph(250, 300, seed)).save(buffer, "PNG")
        files[f"{name}.png"] = buffer.getvalue()
    return files


def tar_of(files: Files, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def as_distributed(images: Files) -> Files:
    """With what such archives hold beside the HR images."""
    low = {f"benchmark/Set5/LR_bicubic/X2/{name}": content for name, content in images.items()}
    high = {f"benchmark/Set5/HR/{name}": content for name, content in images.items()}
    return {"benchmark/README.txt": b"read me", **low, **high}


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"


@pytest.fixture
def offered(server: Served) -> Callable[..., KnownSet]:
    """Set5 at an address of the server, its checksum stated unless it is said otherwise."""

    def offer(content: bytes, name: str = "set5.tar", checksum: str | None = None) -> KnownSet:
        server.files[f"/{name}"] = content
        stated = md5(content) if checksum is None else checksum
        source = Source((f"{server.address}/{name}",), stated, "the test")
        return replace(SETS["Set5"], source=source)

    return offer


def content_of(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["tar", "tgz", "zip"])
def test_a_set_comes_to_where_it_is_found(
    tmp_path: Path, images: Files, offered: Callable[..., KnownSet], kind: str
) -> None:
    files = as_distributed(images)
    content = zip_of(files) if kind == "zip" else tar_of(files, "w:gz" if kind == "tgz" else "w")
    steps = []
    (got,) = fetch(offered(content, f"set5.{kind}"), tmp_path / "data", steps.append)
    assert got == ("Set5", tmp_path / "data" / "Set5", 5)
    assert content_of(got.folder) == images
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["Set5"]
    assert find_benchmark("set5", tmp_path / "data").names == tuple(sorted(images))
    downloaded = [step for step in steps if "downloading" in step.what]
    assert downloaded[-1].done == downloaded[-1].total == len(content)
    assert {step.what.split()[0] for step in steps} == {
        "downloading", "comparing", "unpacking", "checking",
    }  # fmt: skip


def test_what_is_there_is_not_asked_for_again(
    tmp_path: Path, images: Files, server: Served, offered: Callable[..., KnownSet]
) -> None:
    known = offered(tar_of(as_distributed(images)))
    fetch(known, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "Set5").iterdir()}
    assert fetch(known, tmp_path) == [("Set5", tmp_path / "Set5", 0)]
    assert len(server.seen) == 1
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "Set5").iterdir()} == times


def test_an_incomplete_set_is_not_touched(
    tmp_path: Path, images: Files, server: Served, offered: Callable[..., KnownSet]
) -> None:
    known = offered(tar_of(as_distributed(images)))
    fetch(known, tmp_path)
    (tmp_path / "Set5" / "baby.png").unlink()
    (tmp_path / "Set5" / "mine.txt").write_text("my notes")
    before = content_of(tmp_path / "Set5")
    with pytest.raises(UserError, match="1 missing: baby; move it away"):
        fetch(known, tmp_path)
    assert content_of(tmp_path / "Set5") == before
    assert len(server.seen) == 1


def test_the_other_sets_of_an_archive_come_along(
    tmp_path: Path,
    images: Files,
    offered: Callable[..., KnownSet],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = as_distributed(images)
    other = {f"benchmark/Set14/HR/{name}": content for name, content in images.items()}
    known = offered(tar_of(files | other))
    few = replace(SETS["Set14"], images=SET5, source=known.source, longer=None, shorter=None)
    monkeypatch.setitem(SETS, "Set5", known)
    monkeypatch.setitem(SETS, "Set14", few)
    # Of a set that the archive should hold and does not, nothing is heard.
    monkeypatch.setitem(SETS, "Urban100", replace(SETS["Urban100"], source=known.source))
    assert [got.name for got in fetch("set5", tmp_path)] == ["Set5", "Set14"]
    assert content_of(tmp_path / "Set14") == images
    assert not (tmp_path / "Urban100").exists()


def test_one_address_per_image(tmp_path: Path, images: Files, server: Served) -> None:
    server.files.update({f"/raw/{name}": content for name, content in images.items()})
    addresses = tuple(f"{server.address}/raw/{name}" for name in images)
    known = replace(SETS["Set5"], source=Source(addresses, "", "the test"))
    del server.files["/raw/head.png"]
    with pytest.raises(UserError, match=r"head.png: the server answers 404 Not Found"):
        fetch(known, tmp_path)
    assert not (tmp_path / "Set5").exists()
    server.files["/raw/head.png"] = images["head.png"]
    fetch(known, tmp_path)
    assert content_of(tmp_path / "Set5") == images
    asked = [path for path, _, sent in server.seen if sent]
    assert sorted(asked) == sorted(f"/raw/{name}" for name in images)  # each of them once


@pytest.mark.parametrize("ranges", [True, False])
def test_a_transfer_that_broke_off_is_gone_on_with(
    tmp_path: Path,
    images: Files,
    server: Served,
    offered: Callable[..., KnownSet],
    ranges: bool,
) -> None:
    content = tar_of(as_distributed(images))
    known, part = offered(content), tmp_path / ".downloads" / "set5.tar.part"
    server.ranges = ranges
    begun = []
    # A server that ignores Range and breaks off sooner takes nothing away.
    for cut in (300_000, 100_000):
        server.cut = cut
        with pytest.raises(UserError, match=rf"of {len(content):,} bytes; run the same"):
            fetch(known, tmp_path)
        assert not (tmp_path / "Set5").exists()
        begun.append(part.stat().st_size)
        assert content.startswith(part.read_bytes())
    assert 200_000 < begun[0] <= 300_000
    assert begun[1] > begun[0] if ranges else begun[1] == begun[0]
    server.cut = None
    fetch(known, tmp_path)
    assert content_of(tmp_path / "Set5") == images
    assert [asked for _, asked, _ in server.seen] == [
        None, *(f"bytes={size}-" for size in begun),
    ]  # fmt: skip
    sent = len(content) - begun[1] if ranges else len(content)
    assert server.seen[-1][2] == sent


def test_a_partial_file_that_is_whole_needs_no_more_bytes(
    tmp_path: Path, images: Files, server: Served, offered: Callable[..., KnownSet]
) -> None:
    content = tar_of(as_distributed(images))
    known = offered(content)
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "set5.tar.part").write_bytes(content)
    fetch(known, tmp_path)
    assert server.seen == [("/set5.tar", f"bytes={len(content)}-", 0)]
    assert content_of(tmp_path / "Set5") == images


def test_an_archive_got_by_hand_is_used(
    tmp_path: Path, images: Files, server: Served, offered: Callable[..., KnownSet]
) -> None:
    content = tar_of(as_distributed(images))
    known = offered(content)
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "set5.tar").write_bytes(content)
    fetch(known, tmp_path)
    assert server.seen == []
    assert content_of(tmp_path / "Set5") == images


def test_a_server_that_has_another_file_now_is_started_with_afresh(
    tmp_path: Path, images: Files, server: Served, offered: Callable[..., KnownSet]
) -> None:
    content = tar_of(as_distributed(images))
    known = offered(content)
    (tmp_path / ".downloads").mkdir()
    part = tmp_path / ".downloads" / "set5.tar.part"
    part.write_bytes(bytes(len(content) + 5))  # longer than the file is now
    with pytest.raises(UserError, match="start afresh"):
        fetch(known, tmp_path)
    (tmp_path / ".downloads").mkdir()
    part.write_bytes(bytes(1000))  # other bytes: the checksum tells
    with pytest.raises(UserError, match=r"MD5 is .* where .* is stated, so it was removed"):
        fetch(known, tmp_path)
    fetch(known, tmp_path)
    assert content_of(tmp_path / "Set5") == images


def test_without_a_stated_length(
    tmp_path: Path, images: Files, server: Served, offered: Callable[..., KnownSet]
) -> None:
    known = offered(tar_of(as_distributed(images)))
    server.tell_length = False
    fetch(known, tmp_path)
    assert content_of(tmp_path / "Set5") == images


def test_a_wrong_checksum_leaves_nothing(
    tmp_path: Path, images: Files, offered: Callable[..., KnownSet]
) -> None:
    known = offered(tar_of(as_distributed(images)), checksum=f"sha256:{'0' * 64}")
    with pytest.raises(UserError, match="SHA256 is") as caught:
        fetch(known, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>Please log in</html>", "neither a zip nor a tar archive"),
        (tar_of({"elsewhere/baby.png": b"x"}), "5 missing: baby, bird, butterfly and 2 more"),
        (tar_of({f"Set5/HR/{n}.png": b"text" for n in SET5}), "5 cannot be decoded"),
    ],
)
def test_what_is_not_the_set_is_refused_and_not_kept(
    tmp_path: Path, offered: Callable[..., KnownSet], content: bytes, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        fetch(offered(content, checksum=""), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_a_damaged_archive_is_one_line(
    tmp_path: Path, images: Files, offered: Callable[..., KnownSet], kind: str
) -> None:
    files = as_distributed(images)
    content = bytearray(zip_of(files) if kind == "zip" else tar_of(files, "w:gz"))
    middle = len(content) * 2 // 3
    content[middle : middle + 4000] = bytes(4000)
    with pytest.raises(UserError) as caught:
        fetch(offered(bytes(content), f"set5.{kind}", checksum=""), tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_no_path_or_link_of_an_archive_is_followed(
    tmp_path: Path, images: Files, offered: Callable[..., KnownSet]
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(images["baby.png"])
    root = tmp_path / "data"
    evil = {
        "../../../escaped/Set5/HR/baby.png": images["baby.png"],
        "/tmp/absolute/Set5/HR/bird.png": images["bird.png"],
        "../evil.png": b"evil",
    }
    buffer = io.BytesIO(tar_of(evil))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for kind, name in ((tarfile.SYMTYPE, "butterfly"), (tarfile.LNKTYPE, "head")):
            entry = tarfile.TarInfo(f"Set5/HR/{name}.png")
            entry.type, entry.linkname = kind, str(secret)
            archive.addfile(entry)
        device = tarfile.TarInfo("Set5/HR/woman.png")
        device.type = tarfile.FIFOTYPE
        archive.addfile(device)
    with pytest.raises(UserError, match="3 missing: butterfly, head, woman"):
        fetch(offered(buffer.getvalue(), checksum=""), root)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "secret.png"]
    assert not Path("/tmp/absolute").exists()


def test_links_in_a_zip_are_not_followed(
    tmp_path: Path, images: Files, offered: Callable[..., KnownSet]
) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(images["baby.png"])
    files = {f"Set5\\HR\\{name}": content for name, content in images.items()}
    del files["Set5\\HR\\baby.png"]
    buffer = io.BytesIO(zip_of(files))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("Set5/HR/baby.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(secret))
    with pytest.raises(UserError, match="1 missing: baby"):
        fetch(offered(buffer.getvalue(), "set5.zip", checksum=""), tmp_path / "data")


def test_a_decompression_bomb_is_not_unpacked(
    tmp_path: Path, images: Files, offered: Callable[..., KnownSet]
) -> None:
    buffer = io.BytesIO(zip_of({f"Set5/HR/{name}": content for name, content in images.items()}))
    with (
        zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("Set5/HR/woman_GT.png", "w", force_zip64=True) as bomb,
    ):
        for _ in range(257):
            bomb.write(bytes(1 << 20))
    assert len(buffer.getvalue()) < 5_000_000
    with pytest.raises(UserError, match=r"Set5/HR/woman_GT.png is no image"):
        fetch(offered(buffer.getvalue(), "set5.zip", checksum=""), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_hears_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as bound:  # bound and not listening: it refuses
        bound.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{bound.getsockname()[1]}/set5.tar"
        source = Source((address,), "", "the test")
        with pytest.raises(UserError, match="cannot be reached; check the connection") as caught:
            fetch(replace(SETS["Set5"], source=source), tmp_path)
    assert address in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_sets_to_ask_for_say_where(tmp_path: Path) -> None:
    for name in ("Manga109", "LIVE1"):
        with pytest.raises(UserError, match="it must be asked for at http") as caught:
            fetch(name, tmp_path)
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(UserError, match="unknown set 'Set6'"):
        fetch("Set6", tmp_path)


def test_one_fetch_at_a_time(
    tmp_path: Path, images: Files, offered: Callable[..., KnownSet]
) -> None:
    known = offered(tar_of(as_distributed(images)))
    (tmp_path / ".downloads").mkdir()
    with (
        FileLock(tmp_path / ".downloads" / "lock"),
        pytest.raises(UserError, match="another fetch is running there"),
    ):
        fetch(known, tmp_path)
    fetch(known, tmp_path)
    assert content_of(tmp_path / "Set5") == images


FETCH = (
    "import resource, signal, sys\n"
    "from dataclasses import replace\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)\n"
    "from bbnas.cli.console import guarded\n"
    "from bbnas.data.fetch import fetch\n"
    "from bbnas.data.sets import SETS, Source\n"
    "known = replace(SETS['Set5'], source=Source((sys.argv[1],), sys.argv[4], 'the test'))\n"
    "sys.exit(guarded(lambda: fetch(known, sys.argv[2]) and None, False))\n"
)


def test_a_full_disk_is_one_line_and_the_next_call_goes_on(
    tmp_path: Path, images: Files, server: Served, offered: Callable[..., KnownSet]
) -> None:
    """In a process that may write no file above 128 KiB, as if the disk were full."""
    content = tar_of(as_distributed(images))
    known = offered(content)
    root = tmp_path / "data"
    address = known.source.addresses[0]
    done = subprocess.run(
        [sys.executable, "-c", FETCH, address, str(root), "131072", known.source.checksum],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "free some space and run the same command again" in done.stderr
    assert not (root / "Set5").exists()
    fetch(known, root)
    assert content_of(root / "Set5") == images
    assert server.seen[-1][1] == "bytes=131072-"


def test_too_little_space_is_said_before_the_transfer(
    tmp_path: Path,
    images: Files,
    offered: Callable[..., KnownSet],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"Set5 needs \d MB and 0 MB are free"):
        fetch(offered(tar_of(as_distributed(images))), tmp_path)
    assert not (tmp_path / "Set5").exists()


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, images: Files, offered: Callable[..., KnownSet]
) -> None:
    (tmp_path / "a file").touch()
    known = offered(tar_of(as_distributed(images)))
    with pytest.raises(UserError, match="choose a folder that can be written"):
        fetch(known, tmp_path / "a file" / "data")
    with pytest.raises(UserError, match="a file, not a folder"):
        fetch(known, tmp_path / "a file")
