"""Our scores: those beside checkpoints, those of the models of bbnas, and bicubic's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from bbnas.design import Design
from bbnas.errors import UserError, short
from bbnas.formats import JSON, other_format
from bbnas.models import models
from bbnas.protocol import Protocol
from bbnas.tasks import get_task
from bbnas.text import from_json

FORMAT = 1
SUFFIX = ".scores.json"


class BenchmarkScore(BaseModel):
    """Mean PSNR (dB; None: infinite) and SSIM over a benchmark's images, and the date."""

    psnr: float | None = Field(allow_inf_nan=False)
    ssim: float = Field(allow_inf_nan=False)
    images: int
    date: str = ""


class _Content(BaseModel):
    design: Design
    task: str
    trained_for: str = ""
    protocol: Protocol
    iteration: int
    data: str
    benchmarks: dict[str, BenchmarkScore]
    checkpoint: str
    origin: str = ""


@dataclass(frozen=True)
class Scored:
    """The scores of one checkpoint; ``data`` is the fingerprint of its training images.

    ``checkpoint`` is a file, or a model of bbnas by its name. ``trained_for`` is the task of the
    training, where that is another than ``task``, which it covers. ``origin`` is that of
    :class:`bbnas.inference.checkpoint.CheckpointInfo`.
    """

    checkpoint: Path
    design: Design
    task: str
    protocol: Protocol
    iteration: int
    data: str
    benchmarks: dict[str, BenchmarkScore]
    trained_for: str = ""
    origin: str = ""

    @cached_property
    def key(self) -> str:
        """The key of the design."""
        return self.design.key

    @property
    def whole(self) -> bool:
        """Whether the network has the design's full width and depth."""
        return self.protocol.width_scale == self.protocol.depth_scale == 1

    def words(self) -> str:
        """The origin of the scores, in one line."""
        if self.origin:
            scored = f"{self.task}: {self.checkpoint}, imported from {self.origin}"
            return f"{scored}; {get_task(self.task).metric}"
        p = self.protocol
        size = (
            f" at width × {p.width_scale:g}, depth × {p.depth_scale:g}" if not self.whole else ""
        )
        blind = self.trained_for not in ("", self.task)
        task = f" for {get_task(self.trained_for).title}" if blind else ""
        return (
            f"ours, {self.task}: {self.checkpoint}, trained{task} by protocol {p.name!r} ({p.key})"
            f"{size} for {self.iteration:,} of {p.iterations:,} iterations on data {self.data}; "
            f"{get_task(self.task).metric}"
        )


def read_scores(path: Path) -> Scored:
    """The scores in one file.

    Raises:
        UserError: the file cannot be read, was written by a newer bbnas, or is damaged.
    """
    try:
        content: Any = from_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise other_format(path, JSON, "evaluate the checkpoint again") or UserError(
            f"{path}: not valid JSON ({error}); evaluate the checkpoint again"
        ) from error
    form = content.get("format") if isinstance(content, dict) else None
    if not isinstance(form, int) or form > FORMAT:
        raise UserError(
            f"{path}: format {short(form)} is not one that this bbnas reads ({FORMAT}); evaluate "
            "the checkpoint again, or upgrade bbnas"
        )
    try:
        valid = _Content.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {key}: {first['msg']}; evaluate the checkpoint again") from error
    fields = {name: getattr(valid, name) for name in _Content.model_fields}
    return Scored(**fields | {"checkpoint": path.parent / valid.checkpoint})


def find_scores(folder: str | Path) -> tuple[list[Scored], list[str]]:
    """All scores in a folder and below, and one line for each file that cannot be used.

    Raises:
        UserError: the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the one that bbnas train wrote to")
    scores, skipped = [], []
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        try:
            scores.append(read_scores(path))
        except UserError as error:
            skipped.append(str(error))
    return scores, skipped


def shipped_scores() -> list[Scored]:
    """Those of the models that come with bbnas, from their cards."""
    return [
        Scored(
            checkpoint=Path(f"model {model}"),
            design=card.design,
            task=task,
            protocol=card.protocol,
            iteration=card.iterations,
            data=card.fingerprint,
            benchmarks={
                name: BenchmarkScore(psnr=f.psnr, ssim=f.ssim, images=f.images, date=card.date)
                for name, f in sets.items()
            },
            trained_for=card.task,
        )
        for model, card in models().items()
        for task, sets in card.scores.items()
    ]


def best_trained(
    scores: Iterable[Scored], design: Design, task: str, dataset: str
) -> Scored | None:
    """Of the checkpoints of this network with a score on this benchmark, the one trained longest.

    Full size comes before reduced size, then more iterations, then the later date. The score
    itself never decides, because that would be a choice on the test set.
    """
    key = design.key
    matching = [s for s in scores if s.task == task and dataset in s.benchmarks and s.key == key]
    return max(
        matching,
        key=lambda s: (s.whole, s.iteration, s.benchmarks[dataset].date, str(s.checkpoint)),
        default=None,
    )


def live_bicubic(
    data_root: str | Path | None = None,
) -> Callable[[str, str], tuple[float, float] | None]:
    """A function of task and benchmark: mean PSNR (dB) and SSIM of bicubic interpolation.

    It returns None where :func:`bbnas.data.find_benchmark` does not find the benchmark.
    """
    from bbnas.data import find_benchmark
    from bbnas.inference.scoring import score_baseline
    from bbnas.tasks import get_task

    def score(task: str, dataset: str) -> tuple[float, float] | None:
        try:
            images = find_benchmark(dataset, data_root)
        except UserError:
            return None
        mean = score_baseline("bicubic", get_task(task), images)[-1]
        return mean.psnr, mean.ssim

    return score
