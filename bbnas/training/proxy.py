"""A design's evaluation under a protocol: train, score, count."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from bbnas.cost import ops_and_params
from bbnas.data import Patches
from bbnas.environment import environment
from bbnas.evaluation import Evaluation, Status
from bbnas.inference.device import resolve_device
from bbnas.inference.scoring import score
from bbnas.training.loop import Diverged, Training, initialise
from bbnas.training.paused import Progress, go_on, pause, paused_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bbnas.data import Dataset
    from bbnas.design import Design
    from bbnas.protocol import Protocol
    from bbnas.tasks import Task

CURVE_POINTS = 64


def evaluate_design(
    design: Design,
    task: Task,
    protocol: Protocol,
    dataset: Dataset,
    device: str = "cpu",
    progress: Callable[[int, float], None] | None = None,
    *,
    until: int | None = None,
    paused: Path | None = None,
) -> Evaluation:
    """Train ``protocol.trained(design)`` and score it on the dataset's validation images.

    PSNR (dB) and SSIM are means over the images; the cost is that of ``design`` itself. A
    training that diverges is a finding, with status ``diverged``, not an error. ``progress`` is
    called with (iterations done, mean loss) some 64 times; each pair is a point of the curve.

    The network is scored at each of the protocol's rungs. ``until`` ends the training at that
    iteration, one of the rungs, with status ``stopped``; the folder ``paused`` then keeps its
    state, from which another call goes on: the end is the same to the bit.

    Raises:
        UserError: the device is not there.
    """
    place = resolve_device(device)
    started = time.perf_counter()
    ops, params = ops_and_params(design, task)
    patches = Patches(dataset.train, task, protocol.patch, protocol.batch, protocol.seed)
    training = Training(initialise(design, task, protocol), patches, protocol, place)
    before, file = Progress(), None
    if paused is not None and protocol.rungs:
        file = paused_file(paused, design, task, protocol, dataset.fingerprint)
        before = go_on(file, training)
    curve, rungs = list(before.curve), list(before.rungs)
    end = protocol.iterations if until is None else until
    stride = math.ceil(protocol.iterations / CURVE_POINTS)
    status: Status = "ok" if end == protocol.iterations else "stopped"
    error, psnr, ssim = "", math.nan, math.nan

    def scored() -> tuple[float, float]:
        side = protocol.validation_side
        _, psnr, ssim = score(training.network, task, dataset.validation, place, side)[-1]
        return psnr, ssim

    try:
        while training.iteration < end:
            here = training.iteration
            rung = min((r for r in (*protocol.rungs, end) if r > here), default=end)
            loss = training.advance(min(stride - here % stride, rung - here))
            curve.append((training.iteration, loss))
            if progress is not None:
                progress(training.iteration, loss)
            if training.iteration in protocol.rungs:
                rungs.append((training.iteration, scored()[0]))
        if status == "ok":
            psnr, ssim = scored()
    except (Diverged, FloatingPointError) as divergence:
        status, error = "diverged", str(divergence)
    seconds = before.seconds + time.perf_counter() - started
    if file is not None and status == "stopped":
        pause(file, training, Progress(tuple(curve), tuple(rungs), seconds))
    elif file is not None:
        file.unlink(missing_ok=True)
    return Evaluation(
        design=design,
        task=task.name,
        protocol=protocol,
        data=dataset.fingerprint,
        status=status,
        psnr=psnr,
        ssim=ssim,
        ops=ops,
        params=params,
        seconds=seconds,
        curve=tuple(curve),
        rungs=tuple(rungs),
        environment=environment(str(place)),
        error=error,
    )
