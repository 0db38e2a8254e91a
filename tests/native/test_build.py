from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bbnas.engine import isas
from bbnas.native import build


def test_without_a_compiler_there_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(build.NotBuiltError, match="no C\\+\\+ compiler"):
        build.build(tmp_path / "_native.so")
    assert not list(tmp_path.iterdir())


def test_a_compiler_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no license >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.raises(build.NotBuiltError, match="broken failed: no license"):
        build.build(tmp_path / "_native.so")
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


@pytest.mark.skipif(build.compiler() is None, reason="no compiler")
def test_only_changed_sources_are_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = tmp_path / "compiler"
    counted.write_text(
        '#!/bin/sh\n[ "$1" = -dumpmachine ] && exec uname -m\n'
        f'echo run >> {tmp_path}/runs\nwhile [ "$1" != -o ]; do shift; done\n: > "$2"\n'
    )
    counted.chmod(0o755)
    monkeypatch.setenv("CXX", str(counted))
    library = tmp_path / "_native.so"
    assert build.build(library)
    runs = (tmp_path / "runs").read_text()
    assert library.exists()
    assert not build.build(library)
    assert (tmp_path / "runs").read_text() == runs
    library.with_suffix(".stamp").write_text("of other sources")
    assert build.build(library)


def doctor(**environment: str) -> dict[str, object]:
    command = [sys.executable, "-m", "bbnas", "doctor", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PATH": "", **environment}
    )
    return dict(json.loads(done.stdout))


def test_doctor_says_what_runs_and_why(tmp_path: Path) -> None:
    found = doctor()
    assert found["isa"] == next((isa for isa in isas() if isa != "portable"), None)
    assert found["path"] == ("native" if found["isa"] else "torch")
    assert found["compiler"] is None
    without = doctor(BBNAS_LIBRARY=str(tmp_path / "none.so"))
    assert without["path"] == "torch"
    forced = doctor(BBNAS_ISA="torch")
    assert (forced["path"], forced["reason"]) == ("torch", "BBNAS_ISA=torch")
