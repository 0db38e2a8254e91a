from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.presets import load_design
from bbnas.tasks import get_task
from tests.engine.networks import run, saved


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return saved(load_design("bbcu", get_task("jpeg10")).replace(width=8), "jpeg10", tmp_path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "__MACOSX").mkdir(parents=True)
    pages = [Image.fromarray(np.full((20, 24, 3), level, np.uint8)) for level in (9, 99, 199)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    for name in ("._pages.tif", "__MACOSX/._pages.tif", "old.gif"):
        (folder / name).write_bytes(b"no image")
    return folder


def test_what_is_left_out_is_counted_and_named_and_no_fault(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("restore", photos, "--model", checkpoint, "-o", tmp_path / "out")
    code, out, err = run(capsys, *words)
    assert code == 0
    assert out.count("\n") == 1
    assert "the first of 3 frames" in out
    assert err.count("\n") == 1
    assert err.startswith("left out 3: ")
    for name in ("__MACOSX", "._pages.tif", "old.gif"):
        assert str(photos / name) in err
    code, out, _ = run(capsys, *words, "--json")
    found = json.loads(out)
    assert code == 0
    assert [item["note"] for item in found["restored"]] == ["the first of 3 frames"]
    assert (len(found["skipped"]), len(found["left_out"])) == (0, 3)


def test_a_faulty_file_is_still_told_by_the_exit_code(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.png").write_bytes(b"no image")
    code, _, err = run(capsys, "restore", photos, "--model", checkpoint, "-o", tmp_path / "out")
    assert code == 2
    assert err.splitlines()[-1] == "error: 1 of 2 images were skipped"


@pytest.mark.parametrize("also_output", [True, False])
def test_progress_on_a_terminal_and_the_lines_beside_it(also_output: bool, tmp_path: Path) -> None:
    """Standard output is the same terminal, or a file."""
    code = (
        "from types import SimpleNamespace\n"
        "from bbnas.cli.progress import restore_progress\n"
        "with restore_progress(False) as show:\n"
        "    for step in range(1, 5):\n"
        "        show(SimpleNamespace(source='a.png', done=step / 2, total=2))\n"
        "        print(f'line {step}')\n"
    )
    ours, theirs = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with (tmp_path / "out.txt").open("wb") as file:
        out = theirs if also_output else file
        subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=out, stderr=theirs, env=environ
        )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "2/2" in shown
    assert "0 s left" in shown
    lines = [f"line {step}" for step in range(1, 5)]
    if also_output:
        assert all(f"\x1b[2K{line}" in shown for line in lines)
    else:
        assert (tmp_path / "out.txt").read_text().splitlines() == lines
        assert "line" not in shown


def test_restore_in_a_pipe_shows_images_and_shares(capsys, monkeypatch) -> None:
    from types import SimpleNamespace

    from bbnas.cli import progress
    from bbnas.inference import RestoreProgress

    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    with progress.restore_progress(quiet=False) as show:
        for step in range(1, 9):
            clock.now = 3.0 * step
            show(RestoreProgress(Path("a.png"), step / 4, 2))
    assert capsys.readouterr().err.splitlines() == [
        "0/2 | 50 % of a.png | 6 s, 18 s left",
        "1/2 | a.png | 12 s, 12 s left",
        "1/2 | 50 % of a.png | 18 s, 6 s left",
        "2/2 | a.png | 24 s, 0 s left",
    ]
    with progress.restore_progress(quiet=True) as show:
        assert show is None
