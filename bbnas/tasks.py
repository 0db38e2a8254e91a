"""Tasks: what is restored, from which degradation, by which backbone, scored how."""

from __future__ import annotations

from dataclasses import dataclass

from bbnas.design import Part
from bbnas.errors import unknown


@dataclass(frozen=True)
class Task:
    """One restoration task (paper §4.1).

    ``scale`` is the upsampling factor; ``channels`` those of the image that the network sees.
    Scores are PSNR and SSIM on Y of BT.601 with ``scale`` border pixels cropped.
    """

    name: str
    title: str
    scale: int
    channels: int
    backbone: str
    parts: tuple[Part, ...]
    benchmarks: tuple[str, ...]


_SR_BENCHMARKS = ("Set5", "Set14", "B100", "Urban100", "Manga109")

TASKS: dict[str, Task] = {
    f"sr{scale}": Task(
        name=f"sr{scale}",
        title=f"×{scale} super-resolution",
        scale=scale,
        channels=3,
        backbone="srresnet",
        parts=tuple(Part),
        benchmarks=_SR_BENCHMARKS,
    )
    for scale in (2, 3, 4)
}


def get_task(name: str) -> Task:
    """Raises UserError for a name that is no task."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]
