"""Mutated model files and random image sizes: refused, or run without a fault.

By hand, under an address-sanitised library (see the end of this file):
    BBNAS_SANITIZE=1 python tests/engine/fuzz.py 10000
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from bbnas.engine import Model, isas
from bbnas.engine.file import from_bytes
from bbnas.errors import UserError
from bbnas.runtime import BbnModel, ModelError
from bbnas.tasks import get_task


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """A file that differs in its header or its arrays, but whose sizes and checksum fit."""
    stored = int.from_bytes(content[12:16], "little")
    header = json.loads(zlib.decompress(content[64 : 64 + stored]))
    data = bytearray(content[-(-(64 + stored) // 64) * 64 :])
    for _ in range(int(rng.integers(1, 4))):
        _change(header, data, rng)
    text = json.dumps(header).encode()
    packed = zlib.compress(text)
    rest = packed + bytes(-(64 + len(packed)) % 64) + bytes(data)
    sizes = ((1, 4), (len(packed), 4), (len(text), 4), (0, 4), (64 + len(rest), 8))
    prefix = content[:8] + b"".join(value.to_bytes(size, "little") for value, size in sizes)
    return prefix + hashlib.sha256(rest).digest() + rest


VALUES: list[Any] = [
    -1, 0, 1, 2, 3, 4, 5, 7, 16, 31, 33, 64, 65, 4096, 1 << 31, -(1 << 31), 1 << 63, 10**40,
    0.5, 1e300, True, None, "", "conv", "binary", "bits", "floats", "planes", [], {},
    "hardtanh", "before", "after", "f4", "u1", [1, 2], "weight", "beta", "none", "pack", "repeat",
    "shuffle", "unshuffle",
]  # fmt: skip


def _change(header: dict[str, Any], data: bytearray, rng: np.random.Generator) -> None:
    kind = rng.integers(6)
    if kind == 0 and data:  # bytes of the arrays
        for _ in range(int(rng.integers(1, 20))):
            data[rng.integers(len(data))] = int(rng.integers(256))
        return
    if kind == 1:
        del data[int(rng.integers(len(data) + 1)) :]
        return
    # Any value anywhere in the header: swapped for another of the same kind, or for any.
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            places.append((node, key))
            if isinstance(value, dict | list):
                visit(value)

    visit(header)
    node, key = places[rng.integers(len(places))]
    value = node[key]
    if kind == 2 and isinstance(node, list):
        del node[key]
    elif kind == 3 and isinstance(node, list):
        node.insert(key, value)
    elif kind in (2, 3, 4) and isinstance(value, int):
        node[key] = value + int(rng.choice([-2, -1, 1, 2, 16]))
    else:
        node[key] = VALUES[rng.integers(len(VALUES))]


def survives(content: bytes, rng: np.random.Generator) -> str:
    """What becomes of a file: it is refused by both readers, or the model that it holds runs."""
    program = model = None
    with contextlib.suppress(UserError):
        program = from_bytes(content, "x")
    if isas():
        with contextlib.suppress(ModelError):
            model = BbnModel(content)
        assert (program is None) == (model is None), "one of the two readers takes it"
    if program is None:
        return "refused"
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    if rng.integers(10) == 0:
        width = 300
    shape = (height, width, program.channels)
    image = rng.integers(0, 256, shape, np.uint8)
    isa = str(rng.choice(isas())) if isas() else "torch"
    if program.channels <= 64:
        Model(program, isa, threads=int(rng.integers(1, 4)))(image)
    return "ran"


def main(count: int, seed: int) -> None:
    from bbnas.engine import compile_network
    from bbnas.engine.file import to_bytes
    from bbnas.presets import presets
    from tests.engine.networks import network

    cases = [("sr2", "bbcu-m"), ("sr3", "btm"), ("sr4", "bam"), ("denoise25", "xnornet"),
             ("jpeg10", "reactnet"), ("sr4", "ma"), ("sr2", "srresnet")]  # fmt: skip
    files = []
    for task, name in cases:
        for width in (5, 20, 64):
            net = network(presets(get_task(task))[name].replace(width=width, depth=3), task)
            files.append(to_bytes(compile_network(net, get_task(task))))
    rng = np.random.default_rng(seed)
    outcomes: dict[str, int] = {}
    for number in range(count):
        found = survives(mutate(files[number % len(files)], rng), rng)
        outcomes[found] = outcomes.get(found, 0) + 1
        if number % 1000 == 999:
            print(number + 1, outcomes, flush=True)
    print(f"{count} mutated files on {', '.join(isas())}: {outcomes}, no fault")


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]] or [10_000]
    root = Path(__file__).resolve().parents[2]
    if os.environ.get("BBNAS_SANITIZE") == "1" and "LD_PRELOAD" not in os.environ:
        # The library is built with the sanitizers beside the plain one, and Python is started
        # again with their runtime.
        from bbnas.native import build

        library = Path(os.environ.get("BBNAS_LIBRARY", "/tmp/bbnas-sanitized/_native.so"))
        library.parent.mkdir(exist_ok=True)
        build.build(library)
        names = ("libasan.so", "libubsan.so")
        found = [
            subprocess.run(
                [build.compiler() or "c++", f"-print-file-name={name}"],
                capture_output=True, text=True, check=True,
            ).stdout.strip()
            for name in names
        ]  # fmt: skip
        environment = os.environ | {
            "LD_PRELOAD": " ".join(found),
            "BBNAS_LIBRARY": str(library),
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "halt_on_error=1",
            "PYTHONPATH": str(root),
        }
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    sys.path.insert(0, str(root))
    main(arguments[0], arguments[1] if len(arguments) > 1 else 0)
