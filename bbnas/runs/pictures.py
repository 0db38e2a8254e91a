"""Restored crops for a report: networks of a study, trained again, and what they restore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from bbnas.data import validation_pairs
from bbnas.design import Design
from bbnas.inference.device import resolve_device
from bbnas.inference.scoring import bicubic, compared, score, skip
from bbnas.metrics import psnr
from bbnas.tasks import Task, get_task
from bbnas.threads import torch_threads
from bbnas.training.loop import Diverged, Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from bbnas.data import Dataset
    from bbnas.networks import RestorationNetwork
    from bbnas.study import Candidate, Study

    Image = NDArray[np.uint8]

# The methods by which a crop was restored.
BICUBIC = "bicubic interpolation"
DEGRADED = "the degraded image"
FULL_PRECISION = "full precision"
RECOMMENDED = "recommended"
HQ = "HQ"

IMAGES = 4  # at most this many validation images are shown
SIDE = 96  # side of a crop in HQ pixels


@dataclass(frozen=True)
class Crop:
    """One place in one image, restored in several ways.

    ``images`` maps each method, in the order in which to show them, to an (H, W, 3) uint8 array of
    one size; ``psnr`` maps each but HQ to its PSNR in dB.
    """

    name: str
    images: Mapping[str, NDArray[np.uint8]]
    psnr: Mapping[str, float]


@dataclass(frozen=True)
class Pictures:
    """Crops restored by the design of ``trial`` and by what it is compared with.

    ``mean_psnr`` is the mean PSNR (dB) over all validation images of the study, by method.
    Published designs are compared with the study's through the PSNR of ``bicubic``. ``note`` says
    how the networks were trained.
    """

    trial: int
    crops: tuple[Crop, ...]
    mean_psnr: Mapping[str, float]
    note: str = ""

    @property
    def bicubic(self) -> float | None:
        """The PSNR (dB) of bicubic interpolation, where it was scored."""
        return self.mean_psnr.get(BICUBIC)


def restored_crops(
    study: Study,
    candidate: Candidate,
    dataset: Dataset,
    device: str = "auto",
    *,
    side: int = SIDE,
) -> Pictures:
    """Validation images restored by ``candidate``, full precision of its size, and a baseline.

    The baseline is bicubic interpolation; for denoising and deblocking it is the degraded image.
    A study keeps figures, not networks, so both networks are trained again under the study's
    protocol: a few seconds each, and the same weights on the same machine. A crop is the pixels
    of an image with most detail in HQ, ``side`` wide and high. ``dataset`` is the study's.

    Raises:
        UserError: the device is not there.
    """
    config, place = study.config, resolve_device(device)
    task, side = get_task(config.task), config.protocol.validation_side
    validation = dataset.validation
    means: dict[str, float] = {}
    restored: dict[str, dict[str, Image]] = {}

    def run(name: str, model: RestorationNetwork | Callable[[Tensor], Tensor]) -> None:
        images: dict[str, Image] = {}
        rows = score(model, task, validation, place, side, keep=images.__setitem__)
        means[name], restored[name] = rows[-1].psnr, images

    if task.degradation == "bicubic":
        run(BICUBIC, bicubic(task))
    else:
        run(DEGRADED, skip(task))
    missing = []
    design = candidate.evaluation.design
    full = design.in_full_precision()
    for name, wanted in ((FULL_PRECISION, full), (RECOMMENDED, design)):
        try:
            run(name, _trained(study, wanted, dataset, place))
        except (Diverged, FloatingPointError) as error:
            missing.append(f"{name} is missing: {error}")
    shown = validation.select(range(min(IMAGES, len(validation))))
    crops = [
        _crop(name, {method: images[name] for method, images in restored.items()}, hq, task, side)
        for name, (_, hq) in zip(shown.names, validation_pairs(shown, task, side), strict=True)
    ]
    note = f"Trained again under the study's protocol ({config.protocol.name}) for these pictures."
    return Pictures(
        candidate.number, tuple(crops), means, ". ".join([note.rstrip("."), *missing]) + "."
    )


def _trained(
    study: Study, design: Design, dataset: Dataset, device: torch.device
) -> RestorationNetwork:
    task, protocol = get_task(study.config.task), study.config.protocol
    training = Training.of(design, task, protocol, dataset, device)
    # One thread, as in a search: on a busy machine that is faster than several too.
    with torch_threads(1):
        training.advance(protocol.iterations)
    return training.averaged


def _crop(name: str, restored: dict[str, Image], hq: Image, task: Task, side: int) -> Crop:
    height, width = (min(side, length) for length in hq.shape[:2])
    y, x = most_detailed(hq, height, width)
    window = (slice(y, y + height), slice(x, x + width))
    images = {method: image[window] for method, image in (*restored.items(), (HQ, hq))}
    figures = {
        method: psnr(image, images[HQ], on=compared(task))
        for method, image in images.items()
        if method != HQ
    }
    colours = {
        method: image.repeat(3, axis=2) if image.shape[2] == 1 else image
        for method, image in images.items()
    }
    return Crop(name, colours, figures)


def most_detailed(image: Image, height: int, width: int) -> tuple[int, int]:
    """The corner (y, x) of the window in which neighbouring pixels differ most."""
    grey = image.mean(axis=2)
    detail = np.zeros_like(grey)
    detail[:-1] += np.abs(np.diff(grey, axis=0))
    detail[:, :-1] += np.abs(np.diff(grey, axis=1))
    # The sum over a window is a difference of cumulative sums.
    total = np.pad(detail, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sums = (
        total[height:, width:]
        - total[:-height, width:]
        - total[height:, :-width]
        + total[:-height, :-width]
    )
    y, x = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(y), int(x)
