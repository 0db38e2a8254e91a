"""Compiles the library: python -m bbnas.native.build [FILE], or the build of the package.

$CXX may be a compiler for another machine. This module imports nothing of bbnas, because the build
runs it before the package exists.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).resolve().with_name("src")
LIBRARY = Path(__file__).resolve().with_name("_native.so")
COMPILERS = ("c++", "g++", "clang++")

# -ffp-contract=off: the compiler fuses no multiply-add by itself, so that all instruction sets
# give the same bits.
FLAGS = (
    "-O3", "-std=c++17", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden",
    "-pthread",
)  # fmt: skip
_AVX2 = ("-mavx2", "-mfma")
_AVX512 = tuple(f"-mavx512{part}" for part in ("f", "bw", "vl", "dq", "vpopcntdq"))
COMMON = ("engine", "file", "check", "training", "kernels_portable", "training_portable")
KERNELS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {
        "kernels_avx2": _AVX2,
        "kernels_avx512": (*_AVX2, *_AVX512),
        "training_avx2": _AVX2,
        "training_avx512": (*_AVX2, *_AVX512),
    },
    "aarch64": {"kernels_neon": (), "training_neon": ()},
}


class NotBuiltError(Exception):
    """The library could not be built; the message is the reason."""


def compiler() -> str | None:
    """The path of $CXX, or of the first of ``COMPILERS`` on the path; None if there is none."""
    return next(
        (
            found
            for name in (os.environ.get("CXX"), *COMPILERS)
            if name and (found := shutil.which(name))
        ),
        None,
    )


@cache
def machine(program: str | None) -> str:
    """The architecture that ``program``, a compiler, compiles for; without one, this machine's.

    It is a key of ``KERNELS`` where the library has vector kernels for it.
    """
    name = platform.machine().lower()
    if program is not None:
        asked = [program, "-dumpmachine"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        name = done.stdout.partition("-")[0].strip() or name
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def sanitized() -> bool:
    """Whether to build with sanitizers ($BBNAS_SANITIZE=1), for tests/engine/fuzz.py."""
    return os.environ.get("BBNAS_SANITIZE") == "1"


def fingerprint() -> str:
    """A digest of sources, flags and machine; a library with another one is out of date."""
    digest = hashlib.sha256(repr((FLAGS, KERNELS, machine(compiler()), sanitized())).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def build(library: Path = LIBRARY) -> bool:
    """Compile the library if its sources changed; returns whether it was compiled.

    Raises:
        NotBuiltError: there is no compiler, the platform is not supported, or the compiler failed.
    """
    stamp = library.with_suffix(".stamp")
    wanted = fingerprint()
    if library.exists() and stamp.exists() and stamp.read_text() == wanted:
        return False
    if os.name != "posix":
        raise NotBuiltError(f"the library does not support {platform.system()}")
    program = compiler()
    if program is None:
        raise NotBuiltError("no C++ compiler was found (c++, g++, clang++ or $CXX)")
    extra = ("-O1", "-fsanitize=address,undefined", "-g") if sanitized() else ()
    units = dict.fromkeys(COMMON, ()) | KERNELS.get(machine(program), {})
    with tempfile.TemporaryDirectory() as folder:
        objects = {name: str(Path(folder) / f"{name}.o") for name in units}

        def compile_unit(name: str) -> None:
            source = str(SOURCES / f"{name}.cpp")
            _run([program, *FLAGS, *extra, *units[name], "-c", source, "-o", objects[name]])

        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            list(pool.map(compile_unit, units))
        # Replaced in one step: a process that has loaded the old library keeps it.
        draft = library.with_name(f".{library.name}.{os.getpid()}")
        _run([program, "-shared", "-pthread", *extra, *objects.values(), "-o", str(draft)])
        draft.replace(library)
    stamp.write_text(wanted)
    return True


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise NotBuiltError(
            f"{Path(command[0]).name} failed: {lines[0] if lines else 'no message'}"
        )


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else LIBRARY
    try:
        print(f"{target}: {'built' if build(target) else 'up to date'}")
    except NotBuiltError as error:
        sys.exit(f"error: {error}")
