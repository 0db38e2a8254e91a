"""Tasks: what is restored, from which degradation, by which backbone, scored how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from bbnas.errors import unknown

Degradation = Literal["bicubic", "noise", "jpeg"]

# (width, height) in pixels of the LQ image that OPs and latencies are given for: the paper counts
# on an HQ image of 1280×720 (§4.1).
LQ_SIZE = (320, 180)


class Part(StrEnum):
    """The four parts of a restoration network, in network order (paper §3.2, Fig. 3)."""

    HEAD = "head"
    BODY = "body"
    UPSAMPLING = "upsampling"
    TAIL = "tail"


@dataclass(frozen=True)
class Backbone:
    """A full-precision network of the paper, whose parts a design binarizes.

    ``channels`` are those of the image that it sees, ``depth`` its convolutions in the body.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    channels: int
    depth: int


_NO_UPSAMPLING = (Part.HEAD, Part.BODY, Part.TAIL)

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone
    for backbone in (
        Backbone("srresnet", "SRResNet", tuple(Part), channels=3, depth=32),
        Backbone("dncnn", "DnCNN", _NO_UPSAMPLING, channels=3, depth=18),
        Backbone("dncnn3", "DnCNN-3", _NO_UPSAMPLING, channels=1, depth=18),
    )
}


@dataclass(frozen=True)
class Task:
    """One restoration task (paper §4.1).

    ``level`` is the upsampling factor of ``bicubic``, the σ of ``noise`` (of 255) or the quality
    of ``jpeg``, at which a network is scored. ``levels`` are the lowest and the highest level that
    training draws for each patch. They differ in a *blind* task, whose network is not told the
    level (DnCNN-B and DnCNN-3: Zhang et al., TIP 2017). ``metric`` says in words how the task is
    scored.
    """

    name: str
    title: str
    degradation: Degradation
    level: int
    levels: tuple[int, int]
    backbone: Backbone
    metric: str
    benchmarks: tuple[str, ...]

    @property
    def blind(self) -> bool:
        """Whether training draws the level."""
        return self.levels[0] < self.levels[1]

    @property
    def covered(self) -> tuple[Task, ...]:
        """The tasks of one level that a network of this task restores; itself, if not blind."""
        if not self.blind:
            return (self,)
        lowest, highest = self.levels
        return tuple(
            task
            for task in TASKS.values()
            if task.degradation == self.degradation
            and not task.blind
            and lowest <= task.level <= highest
        )

    @property
    def scale(self) -> int:
        """The upsampling factor; 1 where HQ and LQ are of one size."""
        return self.level if self.degradation == "bicubic" else 1

    def upsamples(self) -> bool:
        """Whether HQ is larger than LQ."""
        return self.degradation == "bicubic"

    @property
    def border(self) -> int:
        """Pixels that scoring cuts from each border: ``scale`` of them in super-resolution."""
        return self.scale if self.degradation == "bicubic" else 0

    @property
    def channels(self) -> int:
        """Those of the image that the network sees: 3 for RGB, 1 for Y."""
        return self.backbone.channels

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.backbone.parts

    @property
    def baseline(self) -> str:
        """What a network is compared with, by its name in ``bbnas evaluate``."""
        return "bicubic" if self.degradation == "bicubic" else "identity"

    @property
    def skip(self) -> str:
        """The name of the network's global skip: its output where the rest adds nothing."""
        return "bilinear interpolation" if self.scale > 1 else "the degraded image"


def _sr(scale: int) -> Task:
    return Task(
        name=f"sr{scale}",
        title=f"×{scale} super-resolution",
        degradation="bicubic",
        level=scale,
        levels=(scale, scale),
        backbone=BACKBONES["srresnet"],
        metric=f"PSNR and SSIM on Y, {scale} border pixels cropped",
        benchmarks=("Set5", "Set14", "B100", "Urban100", "Manga109"),
    )


def _denoise(name: str, title: str, sigma: int, sigmas: tuple[int, int]) -> Task:
    return Task(
        name=name,
        title=title,
        degradation="noise",
        level=sigma,
        levels=sigmas,
        backbone=BACKBONES["dncnn"],
        metric="PSNR and SSIM on RGB",
        benchmarks=("CBSD68", "Kodak24", "Urban100"),
    )


def _jpeg(name: str, title: str, quality: int, qualities: tuple[int, int]) -> Task:
    return Task(
        name=name,
        title=title,
        degradation="jpeg",
        level=quality,
        levels=qualities,
        backbone=BACKBONES["dncnn3"],
        metric="PSNR and SSIM on Y",
        benchmarks=("LIVE1", "Classic5"),
    )


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        *map(_sr, (2, 3, 4)),
        *(_denoise(f"denoise{s}", f"denoising, σ = {s}", s, (s, s)) for s in (15, 25, 50)),
        _denoise("denoise", "blind denoising, σ = 0 to 55", 25, (0, 55)),
        *(_jpeg(f"jpeg{q}", f"JPEG deblocking, q = {q}", q, (q, q)) for q in (10, 20, 30, 40)),
        _jpeg("jpeg", "blind JPEG deblocking, q = 5 to 50", 10, (5, 50)),
    )
}


def get_task(name: str) -> Task:
    """Raises UserError for a name that is no task."""
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    return TASKS[name]
