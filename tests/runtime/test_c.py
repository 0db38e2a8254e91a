"""``bbnas.h``: the example of docs/deploy.md, and files of strangers under the sanitizers."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bbnas.engine import compile_network
from bbnas.engine.file import to_bytes
from bbnas.native import build, isas
from bbnas.presets import presets
from bbnas.runtime import LIBRARY, BbnModel
from bbnas.tasks import get_task
from tests.engine.fuzz import mutate
from tests.engine.networks import network

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "bbnas" / "native" / "src"

pytestmark = [
    pytest.mark.skipif(not isas(), reason="no compiled library"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(not (ROOT / "docs").exists(), reason="needs a source checkout"),
]


def packed(width: int, depth: int) -> bytes:
    design = presets(get_task("sr2"))["bbcu-m"].replace(width=width, depth=depth)
    return to_bytes(compile_network(network(design, "sr2"), get_task("sr2")))


def test_the_example_restores_a_photograph(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    (example,) = re.findall(r"^```c\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert example.count("\n") <= 40
    (tmp_path / "restore.c").write_text(example)
    shutil.copy(LIBRARY, tmp_path / "libbbnas.so")
    (command,) = re.findall(r"^cc -O2 .*restore$", page, re.MULTILINE)
    command = command.replace("bbnas/native/src", str(SOURCES)).replace("cc ", "cc -Wall -Werror ")
    subprocess.run(command.split(), cwd=tmp_path, check=True)

    content = packed(16, 3)
    (tmp_path / "m.bbn").write_bytes(content)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 300, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.ppm")

    def restore(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["./restore", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = restore("m.bbn", "a.ppm", "b.ppm")
    assert (done.returncode, done.stderr) == (0, "")
    with Image.open(tmp_path / "b.ppm") as image:
        assert np.array_equal(np.asarray(image), BbnModel(content)(pixels))
    (tmp_path / "half.bbn").write_bytes(content[: len(content) // 2])
    for words, said in (
        (("half.bbn", "a.ppm", "b.ppm"), "truncated"),
        (("none.bbn", "a.ppm", "b.ppm"), "No such file"),
        (("m.bbn", "m.bbn", "b.ppm"), "no PPM"),
    ):
        done = restore(*words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``load.c`` with the library's reader and portable code, under the sanitizers."""
    folder = tmp_path_factory.mktemp("sanitized")
    program = folder / "load"
    compiler = build.compiler()
    assert compiler is not None
    sources = [SOURCES / f"{name}.cpp" for name in ("engine", "file", "check")]
    command = [compiler, "-O0", "-g", "-std=c++17", "-pthread", "-fsanitize=address,undefined"]
    command += ["-fno-sanitize-recover=all", "-I", str(SOURCES)]
    command += [str(ROOT / "tests" / "runtime" / "load.cpp"), *map(str, sources)]
    command += [str(SOURCES / "kernels_portable.cpp"), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr and "asan" in done.stderr:
        pytest.skip("the compiler has no address sanitizer")
    assert done.returncode == 0, done.stderr
    return program


def test_damaged_files_do_no_harm(sanitized: Path, tmp_path: Path) -> None:
    """Truncated, flipped, and changed in the header with a checksum that fits."""
    content, rng = packed(5, 2), np.random.default_rng(0)
    files = [content]
    files += [content[: int(rng.integers(len(content)))] for _ in range(50)]
    for _ in range(100):
        flipped = bytearray(content)
        flipped[int(rng.integers(64 + 2000))] ^= 1 << int(rng.integers(8))
        files.append(bytes(flipped))
    files += [sealed(content, rng) for _ in range(200)]
    files += [mutate(content, rng) for _ in range(300)]
    with (tmp_path / "files").open("wb") as file:
        for one in files:
            file.write(len(one).to_bytes(8, "little") + one)
    done = subprocess.run(
        [sanitized, tmp_path / "files"], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    refused, ran = (int(number) for number in done.stdout.split())
    assert refused + ran == len(files)
    assert refused > 300
    assert ran > 10


def sealed(content: bytes, rng: np.random.Generator) -> bytes:
    """Flipped behind the prefix, where the unpacked header is read, with a new checksum."""
    stored = int.from_bytes(content[12:16], "little")
    flipped = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        flipped[64 + int(rng.integers(stored))] ^= 1 << int(rng.integers(8))
    flipped[32:64] = hashlib.sha256(flipped[64:]).digest()
    return bytes(flipped)
