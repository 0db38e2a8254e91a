"""A design's evaluation under a protocol: train, score, count."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from bbnas.cost import ops_and_params
from bbnas.evaluation import Evaluation, Status, paused_name
from bbnas.inference.scoring import score
from bbnas.training.loop import Diverged, Training
from bbnas.training.state import PausedEvaluation, pause, resume_paused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bbnas.data import Dataset
    from bbnas.design import Design
    from bbnas.protocol import Protocol
    from bbnas.tasks import Task

CURVE_POINTS = 64  # most points of a training's curve


def evaluate_design(
    design: Design,
    task: Task,
    protocol: Protocol,
    dataset: Dataset,
    device: str = "auto",
    progress: Callable[[int, float], None] | None = None,
    *,
    until: int | None = None,
    paused: Path | None = None,
) -> Evaluation:
    """Train ``protocol.trained(design)`` and score it on the dataset's validation images.

    PSNR (dB) and SSIM are means over the images; the cost is that of ``design`` itself. A
    training that diverges is a finding, with status ``diverged``, not an error. ``progress`` is
    called with (iterations done, mean loss) about 64 times; each pair is a point of the curve.

    The network is scored at each of the protocol's rungs. ``until``, one of the rungs, ends the
    training at that iteration with status ``stopped`` and writes its state to the folder
    ``paused``; a later call with the same folder resumes it. On a CPU the result is that of a
    training never paused, to the bit.

    Raises:
        UserError: the device is not there.
    """
    started = time.perf_counter()
    ops, params = ops_and_params(design, task)
    training = Training.of(design, task, protocol, dataset, device)
    before, file = PausedEvaluation(), None
    if paused is not None and protocol.rungs:
        file = paused / paused_name(design, task, protocol, dataset.fingerprint)
        before = resume_paused(file, training)
    curve, rungs = list(before.curve), list(before.rungs)
    end = protocol.iterations if until is None else until
    stride = math.ceil(protocol.iterations / CURVE_POINTS)
    status: Status = "ok" if end == protocol.iterations else "stopped"
    error, psnr, ssim = "", math.nan, math.nan

    def scored() -> tuple[float, float]:
        images, side = dataset.validation, protocol.validation_side
        mean = score(training.averaged, task, images, training.device, side)[-1]
        return mean.psnr, mean.ssim

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
        pause(file, training, PausedEvaluation(tuple(curve), tuple(rungs), seconds))
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
        environment=training.environment,
        error=error,
    )
