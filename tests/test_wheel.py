"""The wheel: what is in it, and that it works where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from bbnas.data import load_dataset
from bbnas.data.datasets import PHOTOGRAPHS
from bbnas.native import build
from bbnas.paper import TABLES
from bbnas.resources import builtin
from bbnas.store.tables import SCHEMA_VERSION
from tests.helpers.wheels import built_wheel

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists(), reason="needs a source checkout"
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_wheel(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel, and sees the dependencies of this one.

    The path of a .pth file comes last, and the .pth files behind it are not read: what is
    installed here in editable form stays out.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--quiet"]
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (site,) = folder.glob("lib/python*/site-packages")
    here = [sysconfig.get_path(kind) for kind in ("purelib", "platlib")]
    (site / "dependencies.pth").write_text("\n".join(here))
    return python


def test_it_carries_every_built_in_file_and_no_database(wheel: Path) -> None:
    inside = zipfile.ZipFile(wheel).namelist()
    for kind in ("search_spaces", "ablations", "bench/sampler"):
        files = [*builtin(kind).values(), *builtin(kind, ".json.gz").values()]
        expected = {f"bbnas/{kind}/{path.name}" for path in files}
        assert expected
        assert expected <= set(inside)
    assert "bbnas/space.py" in inside
    assert f"bbnas/store/migrations/versions/schema_{SCHEMA_VERSION}.py" in inside
    assert {f"bbnas/paper/{table.file}" for table in TABLES.values()} <= set(inside)
    assert not [name for name in inside if name.startswith(("tests/", "docs/", "studies/"))]
    assert not [name for name in inside if name.endswith((".db", ".pyc"))]


def test_it_carries_the_photographs_and_their_licences(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = {path for path in PHOTOGRAPHS.rglob("*") if path.is_file()}
    assert len([path for path in files if path.suffix == ".webp"]) == 46
    assert {path.name for path in files if path.suffix != ".webp"} == {"licences.csv", "README.md"}
    assert {
        f"bbnas/data/photographs/{p.relative_to(PHOTOGRAPHS).as_posix()}" for p in files
    } <= inside
    assert wheel.stat().st_size <= 12.5e6


def test_it_trains_on_its_photographs(installed: Path, tmp_path: Path) -> None:
    code = "import bbnas; print(bbnas.load_dataset().fingerprint)"
    assert run(installed, "-c", code, cwd=tmp_path).strip() == load_dataset().fingerprint


def test_its_metadata_name_the_licences(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    text = archive.read(metadata).decode()
    assert "License-Expression: Apache-2.0 AND CC0-1.0 AND MIT\n" in text
    assert metadata.replace("METADATA", "licenses/LICENSE") in archive.namelist()


def test_the_built_in_files_are_found_inside_it(installed: Path, tmp_path: Path) -> None:
    code = "from bbnas.resources import builtin; print(*builtin('search_spaces').values())"
    found = run(installed, "-c", code, cwd=tmp_path).split()
    assert found
    assert all(Path(path).is_relative_to(installed.parents[1]) for path in found)


@pytest.mark.skipif(build.compiler() is None, reason="no compiler")
def test_it_works_in_an_empty_environment(installed: Path, tmp_path: Path) -> None:
    assert "works" in run(installed, ROOT / "tests" / "wheel" / "check.py", cwd=tmp_path)


def run(python: Path, *words: str | Path, cwd: Path) -> str:
    hidden = ("PYTHON", "BBNAS_", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    done = subprocess.run(
        [python, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
