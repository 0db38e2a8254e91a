"""The files of devices: what is written is read, and what is wrong is told in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bbnas.design import Design
from bbnas.device import Device, DeviceTiming, TimedNetwork, read_device, shipped_devices
from bbnas.errors import UserError
from bbnas.runtime import VERSION

NETWORK = TimedNetwork(task="sr4", design=Design(width=8), seconds=0.2, operations=(0.1, 0.1))
TIMING = DeviceTiming(
    engine=VERSION,
    processor="a processor",
    isa="neon",
    threads=1,
    lq=(96, 64),
    measured="2026-11-28",
    networks=(NETWORK,),
)
DEVICE = Device(title="a board", source="a test", ratios={"fp32": 9.0}, timing=TIMING)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_device(DEVICE.write(tmp_path / "device.json")) == DEVICE


def test_the_key_is_that_of_the_content() -> None:
    assert DEVICE.key == Device.model_validate(DEVICE.model_dump()).key
    assert DEVICE.key != DEVICE.model_copy(update={"ratios": {"fp32": 10.0}}).key


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 99}, "not a device.json that this bbnas reads"),
        ({"timing": {"engine": VERSION + 1}}, f"version {VERSION + 1} of the engine"),
        ({"ratios": {"fp32": -1}}, "ratios.fp32 = -1: must be greater than 0"),
        ({"ratios": {"fp64": 2}}, "fp64"),
        ({"timing": {"networks": []}}, "timing.networks"),
        ({"timing": {"lq": [0, 4]}}, "timing.lq.0 = 0"),
        ({"speed": 1}, "unknown key 'speed'"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    content = json.loads(DEVICE.write(tmp_path / "device.json").read_text())
    for name, value in change.items():
        nested = name == "timing"
        content[name] = content[name] | value if nested else value
    (tmp_path / "device.json").write_text(json.dumps(content))
    with pytest.raises(UserError) as found:
        read_device(tmp_path / "device.json")
    assert words in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("seconds", ["-0.1", "NaN", "Infinity", '"soon"'])
def test_a_time_is_a_positive_number(tmp_path: Path, seconds: str) -> None:
    text = DEVICE.write(tmp_path / "device.json").read_text()
    (tmp_path / "device.json").write_text(text.replace('"seconds": 0.2', f'"seconds": {seconds}'))
    with pytest.raises(UserError, match=r"device\.json: "):
        read_device(tmp_path / "device.json")


def test_shipped_devices_have_ratios_and_sources() -> None:
    found = shipped_devices()
    assert len({one.title for one in found}) == len(found)
    words = " ".join(one.title for one in found)
    assert all(name in words for name in ("AVX2", "AVX-512", "NEON", "popcount", "FPGA"))
    for one in found:
        assert one.source
        assert one.ratios
        # One bit is never slower than full precision.
        assert all(ratio > 1 for ratio in one.ratios.values())
    least = [min(one.ratios.values()) for one in found]
    assert least == sorted(least)
