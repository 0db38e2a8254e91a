"""A table that nobody trained for: the paper's effects with interactions, and noise."""

from __future__ import annotations

import math

import numpy as np

from bbnas.bench.sampler.table import Row, Run, Table
from bbnas.cost import ops_and_params
from bbnas.design import Design
from bbnas.protocol import PROTOCOLS
from bbnas.space import Space, load_space
from bbnas.tasks import Part, get_task

NOISE = 0.03
PROTOCOL = PROTOCOLS["proxy"].model_copy(
    update={"iterations": 500, "rungs": (125, 250), "noise": NOISE}
)


def psnr_of(design: Design) -> float:
    """The paper's effects in dB at sr4, with the interactions that it describes."""
    parts = set(design.binarize)
    psnr = 26.6
    if not parts:
        psnr += 0.15 * math.log2(design.width / 64)
        return psnr - (0.0 if design.k_ratio is None else 0.02 * design.k_ratio)
    psnr += 0.35 * math.log2(design.width / 64)
    aligned = design.k_ratio is not None and 1 / 8 <= design.k_ratio <= 8
    # Without alignment the 1-bit branch drowns the signal, and BatchNorm makes up for a part.
    off = {True: 0.0, False: 0.15 if design.norm == "batchnorm" else 0.45}[aligned]
    if design.k_ratio is not None and design.k_ratio > 8:
        off = 0.20
    unit = off + (0.30 if design.norm == "batchnorm" else 0.0)
    if design.activation == "none":
        unit += 0.08
    elif design.activation_position == "after_addition":
        unit += 0.12 if design.norm == "none" else 0.04
    losses = {Part.HEAD: 0.30, Part.BODY: 0.10, Part.UPSAMPLING: 0.06, Part.TAIL: 0.90}
    psnr -= sum(losses[part] for part in parts)
    # A unit matters where it stands for much.
    psnr -= unit * (1.0 if Part.BODY in parts else 0.35)
    if Part.BODY in parts:
        span = design.convs_per_residual
        psnr -= {0: 0.7, 1: 0.0, 2: 0.05}.get(span, 0.05 * math.log2(max(span, 1)))
    if {Part.HEAD, Part.TAIL} <= parts:
        psnr -= 0.2
    return psnr


def make_table(space: Space | None = None, seed: int = 0, noise: float = NOISE) -> Table:
    """Of ``space``, of ``bbcu-table`` by default, at sr4; exact OPs and Params."""
    task = get_task("sr4")
    space = (space or load_space("bbcu-table")).fitted(task)
    rng = np.random.default_rng(seed)
    rows = []
    for design in space.enumerate():
        cost = ops_and_params(design, task)
        # What no effect explains of a design, and how fast it learns.
        psnr = psnr_of(design) + rng.normal(0, 0.02)
        slow = 0.25 + 0.25 * (design.k_ratio is None) + rng.normal(0, 0.03)
        dead = bool(design.binarize) and rng.random() < 0.03
        runs = []
        for _ in range(2):
            end = psnr + rng.normal(0, noise)
            rungs = tuple(
                (rung, end - slow * math.log2(PROTOCOL.iterations / rung) + rng.normal(0, noise))
                for rung in PROTOCOL.rungs
            )
            seconds = 4.0 + len(design.binarize) + rng.normal(0, 0.2)
            ok = Run("ok", end, seconds, rungs)
            runs.append(Run("diverged", math.nan, seconds / 4, ()) if dead else ok)
        rows.append(Row(design, cost.ops, cost.params, tuple(runs)))
    return Table(
        space=space,
        task="sr4",
        protocol=PROTOCOL,
        data="f" * 16,
        data_description="3 photographs",
        skip_psnr=24.8,
        about={"date": "2026-01-02", "command": "none", "environments": []},
        rows=tuple(rows),
    )
