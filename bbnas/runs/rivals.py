"""Rivals measured: networks trained by one protocol, and timed beside the engine in one run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from bbnas.cost import count
from bbnas.data import Dataset, load_dataset, validation_pairs
from bbnas.design import Design
from bbnas.engine.compile import compile_network
from bbnas.engine.export import to_onnx
from bbnas.engine.file import to_bytes
from bbnas.engine.peers import Runtime, load, named, runtimes, to_int8
from bbnas.engine.units import UNITS, WIDTH, chain
from bbnas.environment import cpu, environment, today
from bbnas.errors import UserError
from bbnas.inference.checkpoint import load_checkpoint
from bbnas.inference.scoring import score, skip_psnr
from bbnas.native import choose_isa
from bbnas.processes import sheltered, worker_pool
from bbnas.recipe import Recipe
from bbnas.rivals import Entrant, Precision, Rivals
from bbnas.runs.contest import Runnable, TurnSetting, memory_of, take_turns
from bbnas.tasks import LQ_SIZE, Task
from bbnas.threads import available_cores
from bbnas.training.full import LAST, RECIPE, train

if TYPE_CHECKING:
    from bbnas.engine.program import Array, Program
    from bbnas.networks import RestorationNetwork
    from bbnas.protocol import Protocol

# Widths of the rivals, and their depths as shares of the backbone's.
WIDTHS = (4, 8, 12, 16, 24, 32, 48)
SHARES = (0.25, 1.0)
CALIBRATION = 8  # images whose activations decide the ranges of 8 bits
CROP = 192  # side in HQ pixels of a calibration image

# What is done, how much of it, and of how much.
Step = Callable[[str, int, int], None]


def usual_rivals(task: Task) -> list[Design]:
    """The task's backbone in full precision at WIDTHS and SHARES of its depth."""
    depths = [max(1, round(share * task.backbone.depth)) for share in SHARES]
    return [Design(width=w, depth=d).fitted(task) for d in depths for w in WIDTHS]


@dataclass(frozen=True)
class _Contender:
    """A trained network in a precision, by a runtime."""

    network: RestorationNetwork
    design: Design
    precision: Precision
    runnable: Runnable
    bytes: int


def measure_rivals(
    task: Task,
    protocol: Protocol,
    designs: Sequence[Design],
    rivals: Sequence[Design],
    folder: Path,
    *,
    data: str | None = None,
    lq: tuple[int, int] = LQ_SIZE,
    threads: int = 1,
    rounds: int = 5,
    workers: int | None = None,
    on_step: Step = lambda what, done, total: None,
) -> Rivals:
    """Train ``designs``, which are 1-bit, and ``rivals``, which are not, and time them together.

    Each is trained once into a folder below ``folder``: the same call again resumes, and one with
    further designs trains these alone. Each rival runs in fp32, bf16 where the processor has it,
    and 8 bits, by the fastest runtime that is installed.

    Raises:
        UserError: no compiled engine or no runtime here; a design without a 1-bit part, or a
            rival with one; more threads than cores; a training diverged.
    """
    isa, found = choose_isa(), runtimes()
    if not isa:
        raise UserError("there is no compiled engine to compare here: see bbnas doctor")
    if threads > available_cores():
        raise UserError(f"{threads} threads: this process may use {available_cores()} cores")
    for one in designs:
        if not one.binarize:
            raise UserError(f"{one.label()}: is not 1-bit; name it among the rivals")
    for one in rivals:
        if one.binarize:
            raise UserError(f"{one.label()}: is 1-bit, so it is no rival")
    dataset = load_dataset(data)
    place = folder / f"{protocol.key}-{dataset.fingerprint}"
    every = list({one.key: one.fitted(task) for one in (*designs, *rivals)}.values())
    trained = _train_all(task, protocol, every, place, data, workers, on_step)
    contenders = list(_contenders(trained, task, dataset, found, on_step))
    where = TurnSetting(lq, threads, isa)
    contenders = _fastest(contenders, where, on_step)
    units = dict(_units(found))
    chains = [model for pair in units.values() for model in pair]
    times = take_turns(
        [*(c.runnable for c in contenders), *chains],
        where,
        rounds,
        lambda done: on_step("timing", done, rounds),
    )
    by_chain = [statistics.median(one) for one in times[len(contenders) :]]
    seconds = {
        precision: max(0.0, by_chain[2 * i] - by_chain[2 * i + 1]) / UNITS
        for i, precision in enumerate(units)
    }
    entrants = []
    for done, (contender, taken) in enumerate(zip(contenders, times, strict=False)):
        on_step("scoring", done, len(contenders))
        entrants.append(_entrant(contender, taken, task, dataset, protocol, where))
    on_step("scoring", len(contenders), len(contenders))
    names = environment()
    return Rivals(
        task=task.name,
        protocol=protocol,
        data=dataset.fingerprint,
        skip_psnr=skip_psnr(task, dataset.validation, protocol.validation_side),
        lq=lq,
        threads=threads,
        rounds=rounds,
        machine=cpu(),
        isa=isa,
        measured=today(),
        versions={n: names[n] for n in ("bbnas", "torch") if n in names}
        | dict(named(runtime).split(" ", 1) for runtime in found),
        unit_seconds={p: s for p, s in seconds.items() if s > 0},
        entrants=tuple(sorted(entrants, key=lambda e: e.seconds)),
    )


def _train_all(
    task: Task,
    protocol: Protocol,
    designs: Sequence[Design],
    place: Path,
    data: str | None,
    workers: int | None,
    on_step: Step,
) -> list[tuple[RestorationNetwork, Design]]:
    """The trained network of each design."""
    waiting = [one for one in designs if not _done(place / one.key, protocol)]
    on_step("training", len(designs) - len(waiting), len(designs))
    if waiting:
        # The longest first, so that none is alone at the end.
        waiting.sort(key=lambda one: -one.width * one.depth)
        size = min(workers or available_cores(), len(waiting))
        with sheltered(), worker_pool(size, torch.set_num_threads, (1,)) as pool:
            asked = [pool.submit(_train, task, protocol, one, place, data) for one in waiting]
            first = len(designs) - len(waiting) + 1
            for done, future in enumerate(as_completed(asked), first):
                future.result()
                on_step("training", done, len(designs))
    return [(load_checkpoint(place / one.key / LAST)[0], one) for one in designs]


def _done(folder: Path, protocol: Protocol) -> bool:
    if not (folder / LAST).is_file():
        return False
    return load_checkpoint(folder / LAST)[1].iteration >= protocol.iterations


def _train(task: Task, protocol: Protocol, design: Design, place: Path, data: str | None) -> None:
    folder = place / design.key
    recipe = Recipe(task=task.name, design=design, protocol=protocol, data=data)
    train(recipe, folder, resume=(folder / RECIPE).exists(), device="cpu")


def _contenders(
    trained: Sequence[tuple[RestorationNetwork, Design]],
    task: Task,
    dataset: Dataset,
    found: Sequence[Runtime],
    on_step: Step,
) -> Iterator[_Contender]:
    some = dataset.train.select(range(min(CALIBRATION, len(dataset.train.images))))
    images = [_as_input(lq) for lq, _ in validation_pairs(some, task, CROP)]
    for done, (network, design) in enumerate(trained):
        on_step("quantizing", done, len(trained))
        program = compile_network(network, task)
        if design.binarize:
            model = Runnable("bbnas", program, program.channels)
            yield _Contender(network, design, "1-bit", model, len(to_bytes(program)))
            continue
        for precision, model, size in _peers(program, images, found):
            yield _Contender(network, design, precision, model, size)
    on_step("quantizing", len(trained), len(trained))


def _peers(
    program: Program, images: Sequence[Array], found: Sequence[Runtime]
) -> Iterator[tuple[Precision, Runnable, int]]:
    """A full-precision program in each precision by each runtime, and the bytes of its file."""
    full, small = to_onnx(program).SerializeToString(), to_int8(program, images)
    channels, numbers = (
        program.channels,
        sum(array.size for op in program.ops for array in op.arrays.values()),
    )
    for runtime in found:
        yield "fp32", Runnable(runtime, full, channels), len(full)
        yield "int8", Runnable(runtime, small, channels), len(small)
        if runtime == "OpenVINO" and _has_bf16():
            # A file of 16-bit weights is two bytes a number smaller.
            yield "bf16", Runnable(runtime, full, channels, bf16=True), len(full) - 2 * numbers


def _has_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _as_input(lq: Array) -> Array:
    """An LQ image (h, w, C), uint8 or float32 in 0..1, as a runtime takes it."""
    scale = 255.0 if lq.dtype == np.uint8 else 1.0
    return np.ascontiguousarray(lq.transpose(2, 0, 1)[None].astype(np.float32) / scale)


def _units(found: Sequence[Runtime]) -> Iterator[tuple[Precision, tuple[Runnable, Runnable]]]:
    """The long and the short chain of 64→64 units in each precision, by the first runtime."""
    both = [Runnable("bbnas", chain(units, True), WIDTH) for units in (1 + UNITS, 1)]
    yield "1-bit", (both[0], both[1])
    rng = np.random.default_rng(0)
    images = [rng.random((1, WIDTH, 32, 32), np.float32)]
    pairs = [
        {precision: model for precision, model, _ in _peers(program, images, found[:1])}
        for program in (chain(1 + UNITS, False), chain(1, False))
    ]
    for precision in pairs[0]:
        yield precision, (pairs[0][precision], pairs[1][precision])


def _fastest(
    contenders: Sequence[_Contender], where: TurnSetting, on_step: Step
) -> list[_Contender]:
    """Of each network in each precision the runtime that is fastest in a first turn."""
    times = take_turns(
        [c.runnable for c in contenders], where, 1, lambda done: on_step("first turns", done, 1)
    )
    best: dict[tuple[str, str], tuple[float, _Contender]] = {}
    for one, (taken,) in zip(contenders, times, strict=True):
        held = best.get(key := (one.design.key, one.precision))
        if held is None or taken < held[0]:
            best[key] = taken, one
    return [one for _, one in best.values()]


def _entrant(
    one: _Contender,
    taken: tuple[float, ...],
    task: Task,
    dataset: Dataset,
    protocol: Protocol,
    where: TurnSetting,
) -> Entrant:
    side = protocol.validation_side
    runtime, model = one.runnable.runtime, one.runnable.model
    restorer = one.network
    rows = (
        score(restorer, task, dataset.validation, "cpu", side)
        if runtime == "bbnas" or one.precision == "fp32"
        else score(
            partial(_on_tensors, load(model, runtime, one.runnable.bf16)),  # type: ignore[arg-type]
            task,
            dataset.validation,
            "cpu",
            side,
        )
    )
    cost = count(one.design, task)
    median = statistics.median(taken)
    low, high = np.quantile(taken, (0.25, 0.75))
    psnr = rows[-1].psnr
    if not math.isfinite(psnr):
        raise UserError(f"{one.design.label()} in {one.precision}: PSNR {psnr} is not finite")
    return Entrant(
        design=one.design,
        precision=one.precision,
        runtime=f"bbnas {where.isa}" if runtime == "bbnas" else named(runtime),
        psnr=psnr,
        seconds=median,
        spread=float(high - low) / 2 / median,
        bytes=one.bytes,
        memory=memory_of(one.runnable, where),
        macs_full=cost.macs_fp,
        macs_binary=cost.macs_binary,
    )


def _on_tensors(run: Callable[[Array], Array], lq: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(run(np.ascontiguousarray(lq.numpy())).copy())
