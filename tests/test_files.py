from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bbnas.files import remove_abandoned, temporary_folder, write_atomically


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "text is no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


HOLDER = (
    "import sys, time; from bbnas.files import temporary_folder\n"
    "with temporary_folder() as folder:\n"
    "    (folder / 'sub').mkdir(); print(folder, flush=True); time.sleep(600)"
)


def holder(temporary: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_next_process_removes_the_folder_of_one_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    others = tmp_path / "bbnas-of-somebody-else"
    others.mkdir()
    with holder(tmp_path) as living, holder(tmp_path) as killed:
        assert living.stdout is not None
        assert killed.stdout is not None
        its, left = (Path(process.stdout.readline().strip()) for process in (living, killed))
        assert its.parent == left.parent == tmp_path
        killed.kill()
        killed.wait()
        assert left.is_dir()
        with temporary_folder() as own:
            # The id of the process that was killed may be another one's by now: it does not count.
            assert {*tmp_path.iterdir()} == {others, its, own}
            remove_abandoned()
            assert own.is_dir()
        assert {*tmp_path.iterdir()} == {others, its}
        living.kill()
        living.wait()
        # Any command does so as well.
        command = [sys.executable, "-m", "bbnas", "space", "list"]
        environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        subprocess.run(
            command, check=True, env=environ | {"TMPDIR": str(tmp_path)}, capture_output=True
        )
    assert {*tmp_path.iterdir()} == {others}


def test_an_error_names_the_file_and_not_its_draft(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(OSError, match="No such file") as found:
        write_atomically(path, b"x")
    assert found.value.filename == str(path)
