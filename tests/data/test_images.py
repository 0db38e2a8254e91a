from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.data import ImageSet, load_images
from bbnas.errors import UserError

Write = Callable[..., Path]


def packs(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.rgb"))


def test_nested_folders_in_the_order_of_names(folder_of: Write) -> None:
    root = folder_of("b.png", "a/z.png", "a/b/c.png")
    (root / "notes.txt").write_text("not an image")
    images = load_images(root)
    assert images.names == ("a/b/c.png", "a/z.png", "b.png")
    assert images.skipped == ()
    for name, pixels in zip(images.names, images.images, strict=True):
        assert np.array_equal(pixels, np.asarray(Image.open(root / name)))
        assert not pixels.flags.writeable


def test_a_single_file(folder_of: Write) -> None:
    root = folder_of("a.png", "b.png")
    assert load_images(root / "b.png").names == ("b.png",)


def test_skips_are_named_with_their_reason(folder_of: Write) -> None:
    root = folder_of("good.png")
    (root / "corrupt.png").write_bytes((root / "good.png").read_bytes()[:200])
    Image.new("RGB", (95, 200)).save(root / "tiny.png")
    (root / "camera.heic").write_bytes(b"HEIC")
    for name in ("._good.PNG", "__MACOSX/._good.png", ".thumbnails/good.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"not an image")
    (root / ".DS_Store").write_bytes(b"not an image at all")
    (root / "lost").symlink_to(root / "no folder")
    (root / "gone.png").symlink_to(root / "nowhere.png")
    folder_of("LRbicx4/low.png", "X_LR_bicubic/X4/low.png")
    for cached in (False, True):
        images = load_images(root, min_side=96)
        assert images.names == ("good.png",), cached
        reasons = dict(images.skipped)
        assert reasons.keys() == {
            "corrupt.png", "tiny.png", "camera.heic", "gone.png", "LRbicx4/", "X_LR_bicubic/",
            "._good.PNG", "__MACOSX/", ".thumbnails/", "lost",
        }  # fmt: skip
        assert "damaged" in reasons["corrupt.png"]
        assert "95×200" in reasons["tiny.png"]
        assert "96" in reasons["tiny.png"]
        assert "No such file" in reasons["gone.png"]
        assert "low-resolution" in reasons["LRbicx4/"]


def test_low_resolution_twins_are_not_taken(folder_of: Write) -> None:
    root = folder_of("img_1_HR.png", "img_1_LR.png", "exported_LR.png", "ALREADY/x.png")
    assert load_images(root).names == ("ALREADY/x.png", "exported_LR.png", "img_1_HR.png")


def test_the_frames_after_the_first_are_named(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    frames = [Image.new("RGB", (120, 100), colour) for colour in ("red", "green", "blue")]
    for name in ("pages.tif", "moving.png", "moving.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "one.tif")
    frames[0].save(tmp_path / "preview.jpg", "MPO", save_all=True, append_images=frames[1:])
    for cache in ("cached", "cached", "/dev/full/x"):
        monkeypatch.setenv("BBNAS_CACHE", str(tmp_path / cache))
        images = load_images(tmp_path)
        assert len(images) == 5
        assert {name for name, _ in images.skipped} == {
            f"{name}, frames 2 to 3" for name in ("pages.tif", "moving.png", "moving.webp")
        }


def test_linked_folders_are_followed_once(folder_of: Write, tmp_path: Path) -> None:
    elsewhere = folder_of("a.png", root="elsewhere")
    root = folder_of("b.png")
    (root / "linked").symlink_to(elsewhere)
    (root / "circle").symlink_to(root)
    assert load_images(root).names == ("b.png", "linked/a.png")


@pytest.mark.parametrize("content", ["nothing", "corrupt", "only low resolution"])
def test_a_folder_with_none_left_is_an_error(
    tmp_path: Path, content: str, folder_of: Write
) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    if content == "corrupt":
        (root / "a.png").write_text("no image")
    elif content == "only low resolution":
        folder_of("LR/a.png")
    with pytest.raises(UserError, match="no usable image") as caught:
        load_images(root)
    if content != "nothing":
        assert ("a.png" if content == "corrupt" else "LR/") in str(caught.value)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        load_images(tmp_path / "nowhere")


def test_the_second_time_nothing_is_decoded(
    folder_of: Write, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder_of("a.png", "b.png")
    first = load_images(root)
    assert len(packs(cache)) == 1
    pack = packs(cache)[0].stat()
    again = load_images(root)
    assert packs(cache)[0].stat().st_mtime_ns == pack.st_mtime_ns
    assert (again.fingerprint, again.names, again.digests) == (
        first.fingerprint, first.names, first.digests,
    )  # fmt: skip
    assert not list(cache.glob("*.unfinished"))


def test_a_changed_file_is_read_again(
    folder_of: Write, photograph: Callable[..., np.ndarray]
) -> None:
    root = folder_of("a.png", "b.png")
    before = load_images(root)
    old = before.images[0].copy()
    new = photograph(seed=9)
    Image.fromarray(new).save(root / "a.png")
    after = load_images(root)
    assert np.array_equal(after.images[0], new)
    assert after.fingerprint != before.fingerprint
    assert np.array_equal(before.images[0], old)  # a set in use keeps its pixels


@pytest.mark.parametrize("damage", ["cut", "gone", "index text", "index keys", "index shapes"])
def test_a_damaged_cache_is_made_again(folder_of: Write, cache: Path, damage: str) -> None:
    root = folder_of("a.png", "b.png")
    fingerprint = load_images(root).fingerprint
    (index,) = cache.glob("*.json")
    if damage == "cut":
        os.truncate(packs(cache)[0], 1000)
    elif damage == "gone":
        packs(cache)[0].unlink()
    elif damage == "index text":
        index.write_text("{")
    elif damage == "index keys":
        index.write_text("[1, 2]")
    else:
        content = json.loads(index.read_text())
        content["shapes"][0][0] += 1
        index.write_text(json.dumps(content))
    images = load_images(root)
    assert images.fingerprint == fingerprint
    assert np.array_equal(images.images[1], np.asarray(Image.open(root / "b.png")))
    assert packs(cache)[0].stat().st_size == 2 * 120 * 140 * 3


def test_where_the_cache_cannot_be_written_memory_does(
    folder_of: Write,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = folder_of("a.png", "b.png")
    cached = load_images(root)
    (cache / "a file").touch()
    for place in (cache / "a file" / "below", Path("/dev/full/x")):
        monkeypatch.setenv("BBNAS_CACHE", str(place))
        held = load_images(root)
        assert held.pack is None
        assert held.fingerprint == cached.fingerprint
        assert all(map(np.array_equal, held.images, cached.images))
        assert not held.images[0].flags.writeable
        assert "set BBNAS_CACHE" in caplog.text
        copied = pickle.loads(pickle.dumps(held))  # noqa: S301
        assert copied.fingerprint == held.fingerprint


def test_a_full_disk_leaves_nothing_behind(folder_of: Write, tmp_path: Path) -> None:
    """In a process that may write no file above 64 KiB, as if the disk were full."""
    root = folder_of("a.png", "b.png")
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "from bbnas.data import load_images\n"
        "images = load_images(sys.argv[1])\n"
        "print(len(images), images.pack)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"BBNAS_CACHE": str(tmp_path / "full")},
    )
    assert done.stdout.split() == ["2", "None"]
    assert "set BBNAS_CACHE" in done.stderr
    assert list((tmp_path / "full").iterdir()) == []


def test_left_overs_of_killed_processes_are_removed(folder_of: Write, cache: Path) -> None:
    old, new = cache / "old.unfinished", cache / "new.unfinished"
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    load_images(folder_of("a.png"))
    assert not old.exists()
    assert new.exists()


def test_workers_share_the_pixels(folder_of: Write, cache: Path) -> None:
    images = load_images(folder_of("a.png", "b.png", "c.png")).select([2, 0])
    sent = pickle.dumps(images)
    assert len(sent) < 2000  # the pixels of one image alone take 50,400 bytes
    code = (
        "import hashlib, pickle, sys\n"
        "images = pickle.loads(sys.stdin.buffer.read())\n"
        "print(images.fingerprint, hashlib.sha256(images.images[0].data).hexdigest())\n"
        "print(open('/proc/self/maps').read())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    first, maps = run.stdout.decode().split("\n", 1)
    import hashlib

    expected = hashlib.sha256(images.images[0].tobytes()).hexdigest()
    assert first.split() == [images.fingerprint, expected]
    assert str(packs(cache)[0]) in maps


def test_a_pickled_set_whose_cache_is_gone_says_so(folder_of: Write, cache: Path) -> None:
    sent = pickle.dumps(load_images(folder_of("a.png")))
    packs(cache)[0].unlink()
    with pytest.raises(UserError, match="missing or damaged"):
        pickle.loads(sent)  # noqa: S301


def test_the_fingerprint_is_of_names_sizes_and_pixels(
    photograph: Callable[..., np.ndarray],
) -> None:
    pixels = photograph(12, 10)
    base = ImageSet.from_arrays(["a"], [pixels])
    assert base.fingerprint == ImageSet.from_arrays(["a"], [pixels.copy()]).fingerprint
    changed = pixels.copy()
    changed[0, 0, 0] ^= 1
    others = [
        ImageSet.from_arrays(["b"], [pixels]),
        ImageSet.from_arrays(["a"], [changed]),
        ImageSet.from_arrays(["a"], [pixels.reshape(10, 12, 3)]),
        ImageSet.from_arrays(["a", "a"], [pixels, pixels]),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert pixels.flags.writeable  # the caller's array is left as it was
