from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bbnas.paper import TABLES
from bbnas.resources import builtin

ROOT = Path(__file__).parents[1]


def test_the_built_in_spaces_are_found_by_name() -> None:
    spaces = builtin("search_spaces")
    assert "bbcu" in spaces
    assert all(path.is_file() and path.stem == name for name, path in spaces.items())


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs a source checkout")
def test_the_wheel_carries_every_built_in_file_and_no_database(tmp_path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    for kind in ("search_spaces", "ablations", "bench/sampler"):
        files = [*builtin(kind).values(), *builtin(kind, ".json.gz").values()]
        expected = {f"bbnas/{kind}/{path.name}" for path in files}
        assert expected
        assert expected <= set(inside)
    assert "bbnas/space.py" in inside
    assert {f"bbnas/paper/{table.file}" for table in TABLES.values()} <= set(inside)
    assert not [name for name in inside if name.startswith(("tests/", "studies/"))]
    assert not [name for name in inside if name.endswith((".db", ".pyc"))]

    # Unpacked anywhere, it finds them inside the package.
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "from bbnas.resources import builtin; print(*builtin('search_spaces').values())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "site",
        env={"PYTHONPATH": str(tmp_path / "site")},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert str(tmp_path / "site/bbnas/search_spaces/bbcu.yaml") in found
