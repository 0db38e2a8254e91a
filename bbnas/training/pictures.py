"""What a study's proxy restores: crops of its recommended design beside its peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from bbnas.data import Patches, bicubic_upscale, validation_pairs
from bbnas.design import Design
from bbnas.metrics import psnr_y, to_y
from bbnas.report.pictures import BICUBIC, FULL_PRECISION, HQ, RECOMMENDED, Crop, Pictures
from bbnas.tasks import get_task
from bbnas.training.device import resolve_device
from bbnas.training.loop import Diverged, Training, initialise
from bbnas.training.tiling import restore

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from bbnas.data import Dataset
    from bbnas.evaluation import Candidate, Study
    from bbnas.networks import SRResNet

    Pixels = NDArray[np.uint8]


def restored_crops(
    study: Study,
    chosen: Candidate,
    dataset: Dataset,
    device: str = "cpu",
    crops: int = 3,
    side: int = 96,
) -> Pictures:
    """``crops`` crops of ``side`` HQ pixels of the validation images, restored in each way.

    A study keeps no weights, so ``chosen`` is trained once more under the study's protocol, and
    a full-precision network of its size. One that diverges is left out. From an image, the crop
    with the most detail is shown; images in their order.

    Raises:
        UserError: the device is not there.
    """
    config = study.config
    task, place = get_task(config.task), resolve_device(device)
    design = chosen.evaluation.design
    reference = Design(width=design.width, depth=design.depth)
    methods: dict[str, Callable[[Pixels], Pixels]] = {
        BICUBIC: lambda lq: bicubic_upscale(lq, task.scale)
    }
    peers = {FULL_PRECISION: reference, RECOMMENDED: design}
    for name, network in _trained(study, peers, dataset, place):
        methods[name] = partial(restore, network, device=place)

    pairs = validation_pairs(dataset.validation, task, config.protocol.validation_side)
    restored = {name: [method(lq) for lq, _ in pairs] for name, method in methods.items()}
    psnr = {
        name: [psnr_y(image, hq, task.scale) for image, (_, hq) in zip(images, pairs, strict=True)]
        for name, images in restored.items()
    }
    shown: list[Crop] = []
    for index, (name, (_, hq)) in enumerate(zip(dataset.validation.names, pairs, strict=True)):
        if len(shown) == crops:
            break
        window = _detailed(hq, side, task.scale)
        images = {method: found[index][window] for method, found in restored.items()}
        here = {method: found[index] for method, found in psnr.items()}
        shown.append(Crop(name, images | {HQ: hq[window]}, here))
    return Pictures(
        trial=chosen.number,
        crops=tuple(shown),
        mean_psnr={name: fmean(values) for name, values in psnr.items()},
        note=(
            f"Trained for {config.protocol.iterations:,} iterations under the "
            f"{config.protocol.name} protocol, as in the search; PSNR is of the whole image."
        ),
    )


def _trained(
    study: Study, designs: dict[str, Design], dataset: Dataset, place: torch.device
) -> Iterator[tuple[str, SRResNet]]:
    task, protocol = study.config.task, study.config.protocol
    for name, design in designs.items():
        patches = Patches(dataset.train, get_task(task), protocol.patch, protocol.batch, protocol.seed)
        training = Training(initialise(design, task, protocol), patches, protocol, place)
        try:
            training.advance(protocol.iterations)
        except Diverged:
            continue
        yield name, training.network


def _detailed(image: Pixels, side: int, step: int) -> tuple[slice, slice]:
    """The window of ``side``² whose luma varies most, among those a quarter of it apart."""
    luma = to_y(image)
    height, width = (min(side, length) for length in luma.shape)
    stride = max(step, side // 4)
    windows = [
        (slice(top, top + height), slice(left, left + width))
        for top in range(0, luma.shape[0] - height + 1, stride)
        for left in range(0, luma.shape[1] - width + 1, stride)
    ]
    return max(windows, key=lambda window: float(luma[window].std()))
