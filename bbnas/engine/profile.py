"""A model's processor time by operation, by part of the network and by kind of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bbnas.engine.model import Model
from bbnas.engine.program import Program
from bbnas.evaluation import LatencySetting

# The kind of work of each operation. Its time includes all that is fused with it: scale,
# normalisation, activation, residual, PixelShuffle and the bits for the next binary convolution.
WORK = {
    "binary": "1-bit convolution",
    "conv": "full-precision convolution",
    "narrow": "full-precision convolution",
    "pack": "threshold and packing",
    "repeat": "repeated channels",
    "accumulate": "accumulated bits",
    "bilinear": "bilinear skip",
    "input": "image in and out",
    "output": "image in and out",
    "unshuffle": "image in and out",
    "shuffle": "PixelShuffle to the image",
}


@dataclass(frozen=True)
class LayerTime:
    """One operation: its part of the network, kind of work, and processor time in seconds."""

    index: int
    part: str
    work: str
    channels: str
    seconds: float


def profile(program: Program, setting: LatencySetting, runs: int = 5) -> list[LayerTime]:
    """The operations of ``program`` in order, each with its shortest time of ``runs`` runs.

    The times are summed over threads.

    Raises:
        UserError: there is no compiled library, and torch does not time its operations.
    """
    model = Model(program, setting.isa, setting.threads)
    times = model.profile(setting.lq[1], setting.lq[0], runs)
    return [
        LayerTime(
            time.index, time.part or "image", WORK[time.kind], _channels(program, op), time.seconds
        )
        for time, op in zip(times, program.ops, strict=True)
    ]


def by_part_and_work(layers: list[LayerTime]) -> dict[tuple[str, str], float]:
    """Seconds by (part, kind of work), in the order of the network."""
    sums: dict[tuple[str, str], float] = {}
    for layer in layers:
        place = (layer.part, layer.work)
        sums[place] = sums.get(place, 0.0) + layer.seconds
    return sums


def _channels(program: Program, op: Any) -> str:
    """Input and output channels of a layer before PixelShuffle, such as ``64→256``."""
    made = op.output if op.output >= 0 else op.bits
    out = (program.tensors[made].channels if made >= 0 else program.channels) * op.shuffle**2
    inputs = [program.tensors[t].channels for t in op.inputs]
    return f"{sum(inputs) or program.channels}→{out}"
