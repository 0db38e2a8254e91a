"""Programs of units in a chain, as they lie inside a network: what is timed of a unit alone.

The time of a unit is that of one more in a chain, (chain of 1 + ``UNITS`` − chain of 1) /
``UNITS``: conversions at the ends cost nothing, and features stay in the layout that they have
inside a network.
"""

from __future__ import annotations

import numpy as np

from bbnas.engine.program import Array, Kind, Op, Program, Tensor

UNITS = 8  # units of the long chain, beyond the one of the short chain
WIDTH = 64  # channels of a unit: those of the paper's networks


def chain(units: int, binary: bool, width: int = WIDTH) -> Program:
    """A chain of BBCU units, or of bare convolutions, on an image of ``width`` channels."""
    rng = np.random.default_rng(0)
    tensors: list[Tensor] = []

    def make(kind: Kind) -> int:
        tensors.append(Tensor(kind, width))
        return len(tensors) - 1

    def floats(*shape: int) -> Array:
        # This scale keeps the size of the values through a chain of convolutions.
        return rng.normal(0, 1 / (3 * width**0.5), shape).astype(np.float32)

    image = make("planes")
    ops = [Op("input", output=image)]
    if not binary:
        x = image
        for _ in range(units):
            arrays = {"weight": floats(width, width, 3, 3)}
            ops.append(Op("conv", (x,), make("floats"), arrays=arrays))
            x = ops[-1].output
        return Program(1, width, units, tuple(tensors), (*ops, Op("output", (x,))))
    x, bits = make("floats"), make("bits")
    ops.append(Op("repeat", (image,), x))
    ops.append(Op("pack", (x,), bits=bits, arrays={"threshold": floats(width)}))
    for i in range(units):
        names = ["scale", "gamma", "beta", "zeta", *(["threshold"] if i < units - 1 else [])]
        arrays = {name: floats(width) for name in names}
        arrays["weight"] = rng.integers(0, 2, (width, width, 3, 3)).astype(np.uint8)
        unit = Op(
            "binary",
            (bits,),
            make("floats"),
            make("bits") if "threshold" in arrays else -1,
            residual=x,
            activation="prelu",
            place="after",
            arrays=arrays,
        )
        ops.append(unit)
        x, bits = unit.output, unit.bits
    return Program(1, width, units, tuple(tensors), (*ops, Op("output", (x,))))
