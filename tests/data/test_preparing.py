from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.data import Patches, load_dataset
from bbnas.data.preparing import prepare
from bbnas.errors import UserError
from bbnas.tasks import TASKS, get_task

Write = Callable[..., Path]
NAMES = [f"DIV2K_train_HR/{i:04}.png" for i in range(1, 7)]
NAMES += [f"DIV2K_valid_HR/{i:04}.png" for i in range(801, 803)]


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.parametrize("task", ["sr4", "denoise25", "jpeg10"])
def test_what_is_prepared_is_what_training_uses(folder_of: Write, cache: Path, task: str) -> None:
    root = folder_of(*NAMES)
    done = prepare(root, get_task(task))
    assert done.made > 0
    assert set(done.files) == set(cache.iterdir()) - set(cache.glob("*.json"))
    assert done.size == sum(file.stat().st_size for file in done.files)

    before = times(cache)
    dataset = load_dataset(root)
    patches = Patches(dataset.train, get_task(task), 24, 2, 0)
    assert times(cache) == before  # training made nothing more
    assert dataset.fingerprint == done.dataset.fingerprint
    assert patches.batch_at(0)[1].shape == (2, get_task(task).channels, 24, 24)


def test_sizes_are_those_of_the_pixels(folder_of: Write) -> None:
    root = folder_of(*NAMES, height=120, width=144)
    hq = 8 * 120 * 144 * 3
    assert prepare(root).size == hq
    assert prepare(root, TASKS["sr2"]).size == hq + 6 * 60 * 72 * 3  # of the training side alone
    assert prepare(root, TASKS["jpeg10"]).size == hq + 2 * 6 * 120 * 144  # Y, and its LQ


def test_a_second_time_nothing_is_made(
    folder_of: Write, cache: Path, photograph: Callable[..., np.ndarray]
) -> None:
    root = folder_of(*NAMES)
    steps = []
    first = prepare(root, TASKS["sr4"], steps.append)
    assert [(s.what, s.done, s.total) for s in steps] == [
        *(("decoding", i, 8) for i in range(1, 9)),
        *(("degrading for sr4", i, 6) for i in range(1, 7)),
    ]
    assert first.made == 14
    before, told = times(cache), len(steps)
    again = prepare(root, TASKS["sr4"], steps.append)
    assert (again.made, again.files, again.size) == (0, first.files, first.size)
    assert times(cache) == before
    assert len(steps) == told
    Image.fromarray(photograph(seed=77)).save(root / NAMES[0])
    assert prepare(root, TASKS["sr4"]).made == 14  # a changed file is another set


def test_several_at_once_make_it_once_and_agree(folder_of: Write, cache: Path) -> None:
    root = folder_of(*NAMES)
    code = (
        "import sys\n"
        "from bbnas.data.preparing import prepare\n"
        "done = prepare(sys.argv[1])\n"
        "print(done.made, done.dataset.fingerprint, *done.files)\n"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [run.communicate(timeout=60)[0].split() for run in runs]
    assert sorted(int(made) for made, *_ in said) == [0, 0, 8]
    assert len({tuple(rest) for _, *rest in said}) == 1
    assert not [path for path in cache.iterdir() if path.suffix not in (".json", ".rgb")]


def test_a_cache_that_cannot_be_written_is_an_error(
    folder_of: Write, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder_of(*NAMES)
    (cache / "a file").touch()
    monkeypatch.setenv("BBNAS_CACHE", str(cache / "a file" / "below"))
    with pytest.raises(UserError, match="BBNAS_CACHE") as caught:
        prepare(root, TASKS["sr4"])
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        prepare(root / "nowhere")


# What a worker does with a set it was sent: it unpickles it and reads every pixel.
WORKER = """
import pickle, sys
import bbnas.data.images

def kilobytes(kind):
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith(kind + ":"):
            return int(line.split()[1])

sent = sys.stdin.buffer.read()
before = kilobytes("Anonymous")
images = pickle.loads(sent)
total = sum(int(image.max()) for image in images.images)
print(total, kilobytes("Anonymous") - before, kilobytes("Rss"))
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_workers_hold_none_of_many_large_images(
    tmp_path: Path, photograph: Callable[..., np.ndarray]
) -> None:
    """150 MB of pixels cost a worker less than 5 MB of memory of its own."""
    root = tmp_path / "DIV2K_train_HR"
    root.mkdir()
    for i in range(20):
        pixels = np.full((1356, 2040, 3), 10 * i, np.uint8)
        Image.fromarray(pixels).save(root / f"{i:04}.bmp")
    images = load_dataset(root).train
    pixels_kb = sum(image.nbytes for image in images.images) // 1024
    assert pixels_kb > 140_000
    run = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=pickle.dumps(images),
        capture_output=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    total, own_kb, resident_kb = map(int, run.stdout.split())
    assert total == sum(int(image.max()) for image in images.images)
    assert resident_kb > pixels_kb  # it did read them all, from pages that are shared
    assert own_kb < 5_000
