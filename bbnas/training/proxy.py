"""A design's evaluation under a protocol: train, score, count."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from bbnas.cost import ops_and_params
from bbnas.data import Patches
from bbnas.evaluation import Evaluation, Status, environment
from bbnas.tasks import get_task
from bbnas.training.device import resolve_device
from bbnas.training.loop import Diverged, Training, initialise
from bbnas.training.scoring import score

if TYPE_CHECKING:
    from collections.abc import Callable

    from bbnas.data import Dataset
    from bbnas.design import Design
    from bbnas.protocol import Protocol

CURVE_POINTS = 64


def evaluate_design(
    design: Design,
    task: str,
    protocol: Protocol,
    dataset: Dataset,
    device: str = "cpu",
    progress: Callable[[int, float], None] | None = None,
) -> Evaluation:
    """Train ``protocol.trained(design)`` and score it on the dataset's validation images.

    PSNR (dB) and SSIM are means over the images; the cost is that of ``design`` itself. A
    training that diverges is a finding, with status ``diverged``, not an error. ``progress`` is
    called with (iterations done, mean loss) some 64 times; each pair is a point of the curve.

    Raises:
        UserError: the device is not there.
    """
    place = resolve_device(device)
    started = time.perf_counter()
    ops, params = ops_and_params(design, task)
    patches = Patches(dataset.train, get_task(task), protocol.patch, protocol.batch, protocol.seed)
    training = Training(initialise(design, task, protocol), patches, protocol, place)
    stride = math.ceil(protocol.iterations / CURVE_POINTS)
    curve: list[tuple[int, float]] = []
    status: Status = "ok"
    error, psnr, ssim = "", math.nan, math.nan
    try:
        while training.iteration < protocol.iterations:
            loss = training.advance(stride)
            curve.append((training.iteration, loss))
            if progress is not None:
                progress(training.iteration, loss)
        side = protocol.validation_side
        _, psnr, ssim = score(training.network, task, dataset.validation, place, side)[-1]
    except (Diverged, FloatingPointError) as divergence:
        status, error = "diverged", str(divergence)
    return Evaluation(
        design=design,
        task=task,
        protocol=protocol,
        data=dataset.fingerprint,
        status=status,
        psnr=psnr,
        ssim=ssim,
        ops=ops,
        params=params,
        seconds=time.perf_counter() - started,
        curve=tuple(curve),
        environment=environment(str(place)),
        error=error,
    )
