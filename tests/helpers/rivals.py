"""Measured rivals of a moment."""

from __future__ import annotations

from typing import Any

from bbnas.design import Design
from bbnas.presets import load_design
from bbnas.protocol import PROTOCOLS
from bbnas.rivals import Entrant, Rivals
from bbnas.tasks import get_task

TASK = get_task("sr4")
NOISE = 0.03
UNITS = {"1-bit": 0.003, "fp32": 0.036, "int8": 0.009}


def entrant(precision: str, psnr: float, ms: float, **more: Any) -> Entrant:
    design = load_design("bbcu-m", TASK) if precision == "1-bit" else Design(width=12, depth=8)
    fields = {"bytes": 1000, "memory": 0, "macs_full": 1e9, "macs_binary": 0.0}
    fields |= {"weights_full": 1000, "weights_binary": 0} | more
    return Entrant(
        design=design,
        precision=precision,  # type: ignore[arg-type]
        runtime="r",
        psnr=psnr,
        runs=(psnr,),
        seconds=ms / 1e3,
        spread=0.0,
        **fields,
    )


def rivals(*entrants: Entrant) -> Rivals:
    return Rivals(
        task="sr4",
        protocol=PROTOCOLS["true-width"],
        seeds=1,
        noise=NOISE,
        data="d",
        skip_psnr=24.8,
        lq=(320, 180),
        threads=1,
        rounds=3,
        machine="a machine",
        isa="avx512",
        measured="2026-11-27",
        versions={},
        unit_seconds=UNITS,  # type: ignore[arg-type]
        entrants=entrants,
    )
