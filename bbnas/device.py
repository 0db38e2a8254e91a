"""Devices: how fast one computes with 1 bit and with more, and how long networks take on it.

``bbnas measure`` writes a device.json of the machine that it runs on, ``bbnas-run`` one of a
machine that has the runtime alone. The files in ``bbnas/devices`` come with bbnas.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bbnas.design import Design
from bbnas.errors import UserError
from bbnas.files import write_output
from bbnas.runtime import VERSION
from bbnas.schema import Value, read_json, validate
from bbnas.text import from_json, to_json

Precision = Literal["1-bit", "fp32", "bf16", "int8"]
# Versions of the file; one of another version is refused.
FORMAT = 1

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=1 << 17)]


class TimedNetwork(Value):
    """One image through the engine with a network of ``design``.

    ``seconds`` is the whole run, the fastest of several; ``operations`` holds the fastest time of
    each operation of the network's program, in its order.
    """

    task: str
    design: Design
    seconds: Positive
    operations: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(
        min_length=1
    )


class DeviceTiming(Value):
    """Networks timed on a device by ``threads`` threads of the ``engine`` (its version).

    ``lq`` is (width, height) of the image in LQ pixels, ``measured`` the date.
    """

    engine: int
    processor: str
    isa: str
    threads: int = Field(ge=1)
    lq: tuple[Side, Side]
    measured: str
    networks: tuple[TimedNetwork, ...] = Field(min_length=1)


class ForecastCheck(Value):
    """Forecasts from a device's timing beside the times of further ``designs``.

    ``error`` is the median of the errors relative to the times, ``spearman`` the rank correlation.
    """

    designs: int = Field(ge=2)
    error: Seconds
    spearman: float = Field(ge=-1, le=1)

    @property
    def words(self) -> str:
        """``median error 3.1 %, Spearman's ρ 0.99 over 60 further designs``."""
        return (
            f"median error {100 * self.error:.1f} %, Spearman’s ρ {self.spearman:.3f} over "
            f"{self.designs} further designs"
        )


class Device(Value):
    """A device and what is known of it.

    ``ratios`` tells how many 1-bit multiply-accumulates it does in the time of one in another
    precision, and ``source`` how that is known. A device that is known by its ratios alone has no
    ``timing``; ``check`` tells how well times are forecast, where that was measured.
    """

    format: int = FORMAT
    title: str
    source: str
    ratios: dict[Precision, Positive] = Field(default_factory=dict)
    timing: DeviceTiming | None = None
    check: ForecastCheck | None = None

    @property
    def key(self) -> str:
        """A digest of the content."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()[:12]

    def write(self, path: Path) -> Path:
        """Write the file in one step; returns ``path``.

        Raises:
            UserError: it cannot be written.
        """
        return write_output(path, to_json(self, indent=1) + "\n")


def read_device(path: Path) -> Device:
    """The device of a file that :meth:`Device.write` wrote.

    Raises:
        UserError: no such file, another format or version of it, networks timed in an engine of
            another version, or a time that is not a positive number.
    """
    again = "measure the device with bbnas measure"
    found = read_json(Device, path, "a device.json", again)
    used = VERSION if found.timing is None else found.timing.engine
    if used != VERSION:
        raise UserError(
            f"{path}: measured with version {used} of the engine, and this bbnas has version "
            f"{VERSION}; {again} of this version"
        )
    return found


@lru_cache(maxsize=1)
def shipped_devices() -> tuple[Device, ...]:
    """The classes of devices that come with bbnas, where 1 bit gains least first."""
    held = (f for f in (files("bbnas") / "devices").iterdir() if f.name.endswith(".json"))
    found = [validate(Device, from_json(file.read_bytes()), file.name) for file in held]
    return tuple(sorted(found, key=lambda device: min(device.ratios.values())))
