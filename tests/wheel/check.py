"""Exits with 1 if the installed wheel does not work. Run by cibuildwheel and tests/test_wheel.py.

The commands start, the library is inside and loads, and a network gives the same pixels on each
instruction set of this machine. It needs no test framework and no checkout.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import torch

import bbnas
from bbnas.engine import Model, compile_network, isas


def command(*words: str) -> str:
    program = Path(sysconfig.get_path("scripts")) / "bbnas"
    done = subprocess.run([program, *words], capture_output=True, text=True, check=True)
    return done.stdout


package = Path(bbnas.__file__).parent
assert package.parent == Path(sysconfig.get_path("platlib")), f"{package} is not the wheel's"
assert command("--version").split() == ["bbnas", bbnas.__version__]
assert "bbcu" in command("space", "list")
found = json.loads(command("doctor", "--json"))
assert found["current"], found
assert Path(found["library"]).parent == package / "native", found

torch.manual_seed(0)
task = bbnas.get_task("sr4")
design = bbnas.load_design("bbcu-m", task).replace(width=16, depth=3)
program = compile_network(bbnas.build(design, task).eval(), task)
image = np.random.default_rng(0).integers(0, 256, (19, 23, program.channels), np.uint8)
assert "portable" in isas()
expected = Model(program, "portable")(image)
for isa in isas():
    assert np.array_equal(Model(program, isa)(image), expected), f"{isa} is not as portable"
# PyTorch adds in another order: see "How exact the engine is" in docs/guide/device.md.
apart = np.abs(Model(program, "torch")(image).astype(int) - expected) > 1
assert apart.mean() < 0.01, f"{apart.mean():.1%} of the values differ from PyTorch's"
print(f"bbnas {bbnas.__version__} works from its wheel: {', '.join(isas())}")
