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
from bbnas.data import ImageSet, load_dataset, validation_pairs
from bbnas.design import Design
from bbnas.device import Precision
from bbnas.engine.compile import compile_network
from bbnas.engine.export import to_onnx
from bbnas.engine.file import to_bytes
from bbnas.engine.peers import Runtime, in_each_precision, load, named, runtimes, to_int8
from bbnas.environment import cpu, environment, today
from bbnas.errors import UserError
from bbnas.inference.checkpoint import load_checkpoint, read_checkpoint
from bbnas.inference.scoring import score, skip_psnr
from bbnas.native import choose_isa
from bbnas.processes import sheltered, worker_pool
from bbnas.recipe import Recipe
from bbnas.rivals import Entrant, Rivals
from bbnas.runs.contest import Runnable, TurnSetting, memory_of, take_turns
from bbnas.runs.measuring import unit_seconds, units_in_each_precision
from bbnas.tasks import LQ_SIZE, Part, Task
from bbnas.threads import available_cores
from bbnas.training.full import LAST, RECIPE, train

if TYPE_CHECKING:
    from bbnas.engine.program import Array
    from bbnas.networks import RestorationNetwork
    from bbnas.protocol import Protocol

# Widths of the rivals, and their depths as shares of the backbone's.
WIDTHS = (4, 8, 12, 16, 24, 32)
SHARES = (0.25, 1.0)
SEEDS = 3  # trainings of each network, whose mean PSNR counts
CALIBRATION = 8  # images whose activations decide the ranges of 8 bits
CROP = 192  # side in HQ pixels of a calibration image

# What is done, how much of it, and of how much.
Step = Callable[[str, int, int], None]


def usual_rivals(task: Task) -> list[Design]:
    """The task's backbone in full precision at WIDTHS and SHARES of its depth: as in the paper,
    and with everything computed on the smaller grid, as a fast network is built.
    """
    depths = [max(1, round(share * task.backbone.depth)) for share in SHARES]
    small = {"upsampler": "direct"} if Part.UPSAMPLING in task.parts else {"unshuffle": 2}
    plain = [Design(width=w, depth=d).fitted(task) for d in depths for w in WIDTHS]
    return [design.replace(**form).fitted(task) for form in ({}, small) for design in plain]


@dataclass(frozen=True)
class _Trained:
    """The networks of a design, one for each seed."""

    design: Design
    networks: tuple[RestorationNetwork, ...]


@dataclass(frozen=True)
class _Contender:
    """A trained design in a precision, by a runtime."""

    trained: _Trained
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
    seeds: int = SEEDS,
    workers: int | None = None,
    on_step: Step = lambda what, done, total: None,
) -> Rivals:
    """Train ``designs``, which are 1-bit, and ``rivals``, which are not, and time them together.

    Each is trained with ``seeds`` seeds into folders below ``folder``: the same call again
    resumes, and one with further designs or seeds trains these alone. Each rival runs in fp32,
    bf16 where the processor has it, and 8 bits, by the fastest runtime that is installed.

    Raises:
        UserError: no compiled engine or no runtime here; a design without a 1-bit part, or a
            rival with one; more threads than cores; a training diverged.
    """
    isa = choose_isa()
    if not isa:
        raise UserError("there is no compiled engine to compare here: see bbnas doctor")
    found = runtimes(isa)
    if threads > available_cores():
        raise UserError(f"{threads} threads: this process may use {available_cores()} cores")
    for one in designs:
        if not one.binarize:
            raise UserError(f"{one.label()}: is not 1-bit; name it among the rivals")
    for one in rivals:
        if one.binarize:
            raise UserError(f"{one.label()}: is 1-bit, so it is no rival")
    dataset = load_dataset(data)
    every = list({one.key: one.fitted(task) for one in (*designs, *rivals)}.values())
    protocols = [protocol.with_seed(protocol.seed + i) for i in range(seeds)]

    def place(by: Protocol, one: Design) -> Path:
        return folder / f"{by.key}-{dataset.fingerprint}" / one.key

    trained = _train_all(task, protocols, every, place, data, workers, on_step)
    some = dataset.train.select(range(min(CALIBRATION, len(dataset.train.images))))
    images = [_as_input(lq) for lq, _ in validation_pairs(some, task, CROP)]
    contenders = list(_contenders(trained, task, images, found, isa, on_step))
    where = TurnSetting(lq, threads, isa)
    contenders = _fastest(contenders, where, on_step)
    units = dict(units_in_each_precision(found, isa))
    chains = [model for pair in units.values() for model in pair]
    times = take_turns(
        [*(c.runnable for c in contenders), *chains],
        where,
        rounds,
        lambda done: on_step("timing", done, rounds),
    )
    seconds = unit_seconds(units, times[len(contenders) :])
    entrants = []
    for done, (contender, taken) in enumerate(zip(contenders, times, strict=False)):
        on_step("scoring", done, len(contenders))
        psnr = [
            _psnr(network, contender, task, images, dataset.validation, protocol.validation_side)
            for network in contender.trained.networks
        ]
        entrants.append(_entrant(contender, taken, psnr, task, where))
    on_step("scoring", len(contenders), len(contenders))
    names = environment()
    skip = skip_psnr(task, dataset.validation, protocol.validation_side)
    return Rivals(
        task=task.name,
        protocol=protocol,
        data=dataset.fingerprint,
        skip_psnr=skip,
        seeds=seeds,
        noise=_noise(entrants, protocol, skip + protocol.noise),
        lq=lq,
        threads=threads,
        rounds=rounds,
        machine=cpu(),
        isa=isa,
        measured=today(),
        versions={n: names[n] for n in ("bbnas", "torch") if n in names}
        | dict(named(runtime).split(" ", 1) for runtime in found),
        unit_seconds=seconds,
        entrants=tuple(sorted(entrants, key=lambda e: e.seconds)),
    )


def _train_all(
    task: Task,
    protocols: Sequence[Protocol],
    designs: Sequence[Design],
    place: Callable[[Protocol, Design], Path],
    data: str | None,
    workers: int | None,
    on_step: Step,
) -> list[_Trained]:
    """The networks of each design, one by each protocol."""
    every = [(protocol, design) for protocol in protocols for design in designs]
    waiting = [each for each in every if not _done(place(*each), each[0])]
    on_step("training", len(every) - len(waiting), len(every))
    if waiting:
        # The longest first, so that none is alone at the end.
        waiting.sort(key=lambda each: -each[1].width * each[1].depth)
        size = min(workers or available_cores(), len(waiting))
        with sheltered(), worker_pool(size, torch.set_num_threads, (1,)) as pool:
            asked = [pool.submit(_train, task, *each, place(*each), data) for each in waiting]
            for done, future in enumerate(as_completed(asked), len(every) - len(waiting) + 1):
                future.result()
                on_step("training", done, len(every))
    return [
        _Trained(one, tuple(load_checkpoint(place(p, one) / LAST)[0] for p in protocols))
        for one in designs
    ]


def _done(folder: Path, protocol: Protocol) -> bool:
    if not (folder / LAST).is_file():
        return False
    return read_checkpoint(folder / LAST)[0].iteration >= protocol.iterations


def _train(task: Task, protocol: Protocol, design: Design, folder: Path, data: str | None) -> None:
    recipe = Recipe(task=task.name, design=design, protocol=protocol, data=data)
    train(recipe, folder, resume=(folder / RECIPE).exists(), device="cpu")


def _contenders(
    trained: Sequence[_Trained],
    task: Task,
    images: Sequence[Array],
    found: Sequence[Runtime],
    isa: str,
    on_step: Step,
) -> Iterator[_Contender]:
    """What is timed: of each design the network of the first seed."""
    for done, one in enumerate(trained):
        on_step("quantizing", done, len(trained))
        program = compile_network(one.networks[0], task)
        if one.design.binarize:
            model = Runnable("bbnas", program, program.channels)
            yield _Contender(one, "1-bit", model, len(to_bytes(program)))
            continue
        for peer in in_each_precision(program, images, found, isa):
            model = Runnable.of(peer, program.channels)
            yield _Contender(one, peer.precision, model, peer.bytes)
    on_step("quantizing", len(trained), len(trained))


def _as_input(lq: Array) -> Array:
    """An LQ image (h, w, C), uint8 or float32 in 0..1, as a runtime takes it."""
    scale = 255.0 if lq.dtype == np.uint8 else 1.0
    return np.ascontiguousarray(lq.transpose(2, 0, 1)[None].astype(np.float32) / scale)


def _fastest(
    contenders: Sequence[_Contender], where: TurnSetting, on_step: Step
) -> list[_Contender]:
    """Of each network in each precision the runtime that is fastest in a first turn."""
    times = take_turns(
        [c.runnable for c in contenders], where, 1, lambda done: on_step("first turns", done, 1)
    )
    best: dict[tuple[str, str], tuple[float, _Contender]] = {}
    for one, (taken,) in zip(contenders, times, strict=True):
        held = best.get(key := (one.trained.design.key, one.precision))
        if held is None or taken < held[0]:
            best[key] = taken, one
    return [one for _, one in best.values()]


def _psnr(
    network: RestorationNetwork,
    as_in: _Contender,
    task: Task,
    images: Sequence[Array],
    validation: ImageSet,
    side: int,
) -> float:
    """PSNR (dB) of a network in the precision of a contender, by its runtime."""
    runtime, precision = as_in.runnable.runtime, as_in.precision
    restorer: RestorationNetwork | Callable[[torch.Tensor], torch.Tensor] = network
    if runtime != "bbnas" and precision != "fp32":
        program = compile_network(network, task)
        if precision == "int8":
            model = to_int8(program, images)
        else:
            model = to_onnx(program).SerializeToString()
        restorer = partial(_on_tensors, load(model, runtime, precision == "bf16"))
    found = score(restorer, task, validation, "cpu", side)[-1].psnr
    if not math.isfinite(found):
        label = as_in.trained.design.label()
        raise UserError(f"{label} in {precision}: PSNR {found} is not finite")
    return found


def _entrant(
    one: _Contender,
    taken: tuple[float, ...],
    psnr: Sequence[float],
    task: Task,
    where: TurnSetting,
) -> Entrant:
    runtime, design = one.runnable.runtime, one.trained.design
    cost, median = count(design, task), statistics.median(taken)
    low, high = np.quantile(taken, (0.25, 0.75))
    return Entrant(
        design=design,
        precision=one.precision,
        runtime=f"bbnas {where.isa}" if runtime == "bbnas" else named(runtime),
        psnr=statistics.fmean(psnr),
        runs=tuple(psnr),
        seconds=median,
        spread=float(high - low) / 2 / median,
        bytes=one.bytes,
        memory=memory_of(one.runnable, where),
        macs_full=cost.macs_fp,
        macs_binary=cost.macs_binary,
        weights_full=round(cost.params_fp),
        weights_binary=round(cost.params_binary),
    )


def _noise(entrants: Sequence[Entrant], protocol: Protocol, floor: float) -> float:
    """The standard deviation of PSNR (dB) between seeds, from those of what has learned; that of
    the protocol where there is one seed.

    It is from their median, since a network that learns late with one seed varies by tenths.
    """
    from scipy.special import chdtri

    plain = [e for e in entrants if e.precision in ("1-bit", "fp32") and min(e.runs) > floor]
    variances = [statistics.variance(e.runs) for e in plain if len(e.runs) > 1]
    if not variances:
        return protocol.noise
    freedom = len(plain[0].runs) - 1
    middle = float(chdtri(freedom, 0.5)) / freedom  # the median of a variance, by the variance
    return math.sqrt(statistics.median(variances) / middle)


def _on_tensors(run: Callable[[Array], Array], lq: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(run(np.ascontiguousarray(lq.numpy())).copy())
